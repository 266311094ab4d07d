"""What goes to the Hub, looked at before it goes: the repository, its card and results, and every reason to refuse."""

import ast
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from ifl_hub import (
    FaceImageProcessor,
    IflImageProcessor,
    SumiIflConfig,
    SumiIflForImageForgeryLocalization,
    checkpoint_path,
    list_checkpoints,
)
from ifl_hub.cli.main import main
from ifl_hub.files import check_cached_files, file_sha256
from ifl_hub.hub.checks import SECTIONS
from ifl_hub.hub.code_export import export_code, flatten
from ifl_hub.hub.description import describe
from ifl_hub.hub.eval_results import eval_results
from ifl_hub.hub.model_card import render_card, render_model_card
from ifl_hub.hub.push import PublishingError, prepare
from ifl_hub.hub.results import own_numbers, score_from_evaluation
from ifl_hub.registration import FACE_CLASSIFICATION_MODELS, LOCALIZATION_MODELS
from tiny_model import write_model

STATED = {"licence": "apache-2.0", "trained_on": [("my photos", "cc0-1.0")]}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("original") / "mine")


@pytest.fixture
def checkpoint(original, tmp_path):
    return shutil.copytree(original, tmp_path / "mine")


@pytest.fixture
def call(monkeypatch, capsys):
    """The command in this process; it may not use the network, which is off here."""
    verbosity = logging.get_verbosity()

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["ifl-hub", "push", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code or 0, *capsys.readouterr()

    yield run_here
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


def evaluation(weights, pixel_f1=0.5):
    """What `ifl-hub evaluate` writes, shortened."""
    values = {"pixel_f1": pixel_f1, "pixel_auc": 0.75, "authentic_fpr": 0.1, "image_auc": None}
    group = {"grouping": "forgery_type", "group": "splicing", "n_forged": 4, "n_authentic": 0, "values": values}
    clean = {
        "model": "anything",
        "condition": "clean",
        "weights_sha256": weights,
        "values": values,
        "intervals_95": {"pixel_f1": [0.4, 0.6], "pixel_auc": None},
        "groups": [group],
    }
    worse = {**clean, "condition": "jpeg_quality_70", "values": {**values, "pixel_f1": 0.3}}
    return {
        "definition": {"preset": "default", "threshold": 0.5},
        "data": {"name": "mine", "split": "test", "fingerprint": "f" * 64, "n_forged": 4, "n_authentic": 6},
        "runs": [clean, worse],
    }


def write_evaluation(path, weights):
    path.write_text(json.dumps(evaluation(weights)))
    return path


class TestRepository:
    def test_holds_model_processor_scheduler_documents_and_nothing_else(self, checkpoint):
        (checkpoint / "scheduler").mkdir()
        (checkpoint / "scheduler" / "scheduler_config.json").write_text("{}")
        (checkpoint / "notes.txt").write_text("mine")
        with prepare(checkpoint, "org/mine", **STATED) as repository:
            assert set(repository.sizes) == {
                *("config.json", "preprocessor_config.json", "model.safetensors", "scheduler/scheduler_config.json"),
                *("README.md", "metadata.json", "LICENSE", "CITATION.cff"),
            }
            assert repository.left_out == ("notes.txt",)
            assert file_sha256(repository.folder / "model.safetensors") == file_sha256(checkpoint / "model.safetensors")
            folder = repository.folder
        assert not folder.exists()

    def test_sharded_weights_go_along(self, checkpoint):
        (checkpoint / "model.safetensors").unlink()
        model = SumiIflForImageForgeryLocalization(SumiIflConfig.tiny())
        model.save_pretrained(checkpoint, max_shard_size="20KB")
        with prepare(checkpoint, "org/mine", **STATED) as repository:
            assert "model.safetensors.index.json" in repository.sizes
            assert sum(name.endswith(".safetensors") for name in repository.sizes) > 1

    def test_citation_file_names_the_paper(self, checkpoint):
        with prepare(checkpoint, "org/mine", **STATED) as repository:
            citation = yaml.safe_load((repository.folder / "CITATION.cff").read_text(encoding="utf-8"))
        assert citation["references"][0]["title"].startswith("SUMI-IFL")
        assert citation["license"] == "apache-2.0"

    @pytest.mark.parametrize("name", sorted(list_checkpoints()))
    def test_every_embedded_checkpoint_passes(self, name):
        with prepare(Path(checkpoint_path(name)), f"org/{name}", with_code=True) as repository:
            assert any(name.startswith(".eval_results/") for name in repository.sizes)
            card = ModelCard((repository.folder / "README.md").read_text(encoding="utf-8"))
        assert card.data.license == "apache-2.0" and card.data.library_name == "transformers"
        assert card.data.pipeline_tag in ("image-segmentation", "image-classification")

    def test_a_licence_of_its_own_needs_its_text(self, checkpoint):
        with (
            pytest.raises(PublishingError, match="text of mit is missing"),
            prepare(checkpoint, "org/mine", licence="mit", trained_on=STATED["trained_on"]),
        ):
            pass
        (checkpoint / "LICENSE").write_text("MIT License")
        with prepare(checkpoint, "org/mine", licence="mit", trained_on=STATED["trained_on"]) as repository:
            assert (repository.folder / "LICENSE").read_text() == "MIT License"


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def spoil_a_weight(weights):
    next(iter(weights.values())).view(-1)[0] = float("nan")


def drop_a_weight(weights):
    weights.pop(next(iter(weights)))


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def add_to_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def write_metadata(folder, **changes):
    description = describe(folder, "mine", **STATED)
    (folder / "metadata.json").write_text(json.dumps({**description, **changes}))


FAULTS = {
    "a pickle": (lambda f: (f / "pytorch_model.bin").write_bytes(b"\x80\x04."), "pytorch_model.bin"),
    "a pickle below": (
        lambda f: ((f / "optimizer").mkdir(), (f / "optimizer" / "state.pt").write_bytes(b"")),
        "state.pt, which may run code",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no safetensors"),
    "nan": (lambda f: change_weights(f, spoil_a_weight), "not finite"),
    "a missing weight": (lambda f: change_weights(f, drop_a_weight), "missing keys"),
    "half of the weights": (lambda f: cut_off(f / "model.safetensors"), "cannot be read"),
    "no processor": (lambda f: (f / "preprocessor_config.json").unlink(), "preprocessor_config.json is missing"),
    "another model": (lambda f: add_to_json(f / "config.json", model_type="bert"), "'bert' is no method"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "config.json is no JSON"),
    "a path of this machine": (lambda f: write_metadata(f, limits=["See /home/me/notes.md"]), "/home/me/notes.md"),
    "a path in the configuration": (
        lambda f: add_to_json(f / "config.json", note="C:\\Users\\me"),
        "config.json names a place on this machine",
    ),
    "an unknown licence": (lambda f: write_metadata(f, licence="free"), "licence 'free' is none"),
    "data without licence": (
        lambda f: write_metadata(f, training_data=[{**describe(f, "x", **STATED)["training_data"][0], "licences": []}]),
        "licence of the training data 'my photos' is missing",
    ),
    "a description of other weights": (lambda f: write_metadata(f, weights_sha256="0" * 64), "other weights"),
    "a card without limits": (lambda f: write_metadata(f, limits=[]), "nothing under 'Limits'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_with_a_fault_is_refused_in_a_line_that_names_it(fault, checkpoint):
    spoil, message = FAULTS[fault]
    spoil(checkpoint)
    stated = {} if (checkpoint / "metadata.json").exists() else STATED
    with pytest.raises(ValueError, match=re.escape(message)), prepare(checkpoint, "org/mine", **stated):
        pass


class TestCommand:
    def test_dry_run_shows_the_files_and_the_card_and_sends_nothing(self, checkpoint, call):
        code, out, _ = call(checkpoint, "org/mine", "--licence", "apache-2.0", "--trained-on", "a=cc0-1.0", "--dry-run")
        assert code == 0
        assert out.startswith("org/mine: 7 files") and "model.safetensors" in out and "## Limits" in out
        assert out.rstrip().endswith("nothing was sent (dry run)")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--trained-on", "a=cc0-1.0"], "licence is unknown: state it with --licence"),
            (["--licence", "mit"], "--trained-on 'SOURCE=LICENCE'"),
            (["--licence", "mit", "--trained-on", "photos"], "give SOURCE=LICENCE"),
        ],
    )
    def test_what_nobody_has_said_is_asked_for_in_one_line(self, checkpoint, call, arguments, message):
        code, _, err = call(checkpoint, "org/mine", "--dry-run", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1

    def test_wrong_names_are_one_line(self, checkpoint, call):
        for arguments, message in (
            ((checkpoint / "none", "org/mine"), "no checkpoint"),
            ((checkpoint, "mine"), "organisation/name"),
            (("sumi-ifl-small", "org/mine", "--licence", "mit"), "states its own licence"),
        ):
            code, _, err = call(*arguments, "--dry-run")
            assert code == 2 and message in err and err.count("\n") == 1


class TestResults:
    def test_numbers_come_with_definition_revision_count_and_interval(self, checkpoint, tmp_path):
        weights = file_sha256(checkpoint / "model.safetensors")
        path = write_evaluation(tmp_path / "results.json", weights)
        with prepare(checkpoint, "org/mine", evaluations=[path], **STATED) as repository:
            text = (repository.folder / ".eval_results" / "mine-test.yaml").read_text(encoding="utf-8")
            card = (repository.folder / "README.md").read_text(encoding="utf-8")
            assert (repository.folder / "mine-robustness.png").stat().st_size > 1000
        entries = {entry.task_id: entry for entry in parse_eval_result_entries(yaml.safe_load(text))}
        assert set(entries) == {"pixel_f1", "pixel_auc", "authentic_fpr"}
        f1 = entries["pixel_f1"]
        assert (f1.dataset_id, f1.dataset_revision, f1.value) == ("mine", "f" * 64, 0.5)
        for part in ("threshold 0.5", "n: 4", "95 % interval: 0.4000 to 0.6000", "split: test"):
            assert part in f1.notes
        assert "n: 6" in entries["authentic_fpr"].notes and "not computed" in entries["pixel_auc"].notes
        assert ".500 [.400, .600]" in card and "| jpeg_quality_70 |" in card and "mine-robustness.png" in card
        assert "10.0% of the pixels of 6 authentic images" in card

    def test_numbers_of_other_weights_are_refused(self, checkpoint, tmp_path):
        path = write_evaluation(tmp_path / "results.json", "0" * 64)
        with pytest.raises(ValueError, match="no evaluation of these weights"):
            describe(checkpoint, "mine", evaluations=[path], **STATED)

    def test_another_file_is_refused(self):
        with pytest.raises(ValueError, match=r"results\.json"):
            score_from_evaluation({"runs": []}, "0", "mine")

    @pytest.mark.parametrize("name", sorted(list_checkpoints()))
    def test_every_number_of_an_embedded_checkpoint_is_in_its_files(self, name):
        description = list_checkpoints()[name]
        files = eval_results(description)
        values = [entry["value"] for text in files.values() for entry in yaml.safe_load(text)]
        assert values == [number.value for score in description["scores"] for number in own_numbers(score)]


class TestCard:
    def test_says_of_everything_unknown_that_it_is(self, checkpoint):
        card = render_card(describe(checkpoint, "mine", **STATED), "org/mine")
        for phrase in ("Not measured: nobody has counted", "Not measured: nobody has scored", "is not recorded",
                       "Not recorded."):  # fmt: skip
            assert phrase in card
        assert not re.search(r"\bNone\b|nan|undefined", card)

    @pytest.mark.parametrize("name", sorted(list_checkpoints()))
    def test_has_all_that_a_reader_looks_for(self, name):
        card = render_model_card(checkpoint_path(name))
        positions = [card.index(f"\n## {section}\n") for section in SECTIONS]
        assert positions == sorted(positions)
        point = list_checkpoints()[name]["operating_point"]
        assert f"{100 * point['false_alarm_rate']:.1f} %" in card
        assert "not metered" in card and "bibtex" in card and "re-implementation" in card
        assert not re.search(r"\bNone\b|\bnan\b", card)

    def test_is_the_same_for_a_run_wherever_it_lay(self, checkpoint):
        recipe = {"method": "sumi_ifl", "weights": "/somewhere/else/model", "seed": 3, "steps": 5, "batch_size": 2,
                  "crop_size": 32}  # fmt: skip
        summary = {"recipe": recipe, "best_step": None, "seconds_this_run": 90, "hardware": "cpu", "torch": "2",
                   "weights_sha256": file_sha256(checkpoint / "model.safetensors")}  # fmt: skip
        (checkpoint / "training_summary.json").write_text(json.dumps(summary))
        with prepare(checkpoint, "org/mine", **STATED) as repository:
            card = (repository.folder / "README.md").read_text(encoding="utf-8")
        assert "/somewhere" not in card and "the weights of model" in card and "1.5 minutes of cpu" in card


class TestCode:
    @pytest.mark.parametrize(
        ("config_class", "model_class"),
        [*LOCALIZATION_MODELS.items(), *FACE_CLASSIFICATION_MODELS.items()],
        ids=lambda value: getattr(value, "model_type", ""),
    )
    def test_is_whole_and_needs_no_library(self, config_class, model_class, tmp_path):
        model_class(config_class.tiny()).save_pretrained(tmp_path)
        is_face = config_class in FACE_CLASSIFICATION_MODELS
        (FaceImageProcessor() if is_face else IflImageProcessor()).save_pretrained(tmp_path)
        files = export_code(tmp_path)
        for name in files:
            tree = ast.parse((tmp_path / name).read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.level:
                    assert node.level == 1 and f"{node.module}.py" in files
                elif isinstance(node, ast.ImportFrom | ast.Import):
                    names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                    assert not any(part.startswith("ifl_hub") for part in names)
        config = json.loads((tmp_path / "config.json").read_text())
        assert config["auto_map"]["AutoModel"].endswith(model_class.__name__)
        [task] = config["custom_pipelines"]
        assert task.endswith("-remote")

    def test_an_import_that_would_not_go_along_is_refused(self):
        with pytest.raises(ValueError, match="import from the module that defines"):
            flatten(["ifl_hub.registration"])

    def test_names_of_code_are_dropped_where_the_code_does_not_go_along(self, checkpoint):
        export_code(checkpoint)
        with prepare(checkpoint, "org/mine", **STATED) as repository:
            assert not any(name.endswith(".py") for name in repository.sizes)
            for name in ("config.json", "preprocessor_config.json"):
                text = (repository.folder / name).read_text()
                assert "auto_map" not in text and "custom_pipelines" not in text

    def test_a_model_of_a_repository_with_code_is_saved_without_names_of_code(self, checkpoint, tmp_path):
        export_code(checkpoint)
        model = SumiIflForImageForgeryLocalization.from_pretrained(checkpoint)
        assert model.config.auto_map and model.config.custom_pipelines
        model.save_pretrained(tmp_path / "again")
        IflImageProcessor.from_pretrained(checkpoint).save_pretrained(tmp_path / "again")
        for name in ("config.json", "preprocessor_config.json"):
            text = (tmp_path / "again" / name).read_text()
            assert "auto_map" not in text and "custom_pipelines" not in text


class TestDamage:
    def cached(self, folder, content):
        """A file as it lies in the Hub's cache."""
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir()
        blob.write_bytes(content)
        link = folder / "snapshots" / "model.safetensors"
        link.parent.mkdir()
        link.symlink_to(blob)
        return link

    def test_a_whole_file_passes_and_any_other_does_not(self, tmp_path):
        link = self.cached(tmp_path, b"weights")
        check_cached_files([link])
        for content in (b"weight", b"Weights", b""):
            link.resolve().write_bytes(content)
            with pytest.raises(OSError, match=r"model\.safetensors is damaged"):
                check_cached_files([link])

    def test_files_outside_of_the_cache_are_taken_as_they_are(self, tmp_path):
        (tmp_path / "model.safetensors").write_bytes(b"anything")
        check_cached_files([tmp_path / "model.safetensors"])

    def test_half_a_file_in_a_folder_is_an_error_of_one_line(self, checkpoint):
        cut_off(checkpoint / "model.safetensors")
        with pytest.raises(OSError, match="weights are damaged or") as caught:
            SumiIflForImageForgeryLocalization.from_pretrained(checkpoint)
        assert "\n" not in str(caught.value)

    def test_pickled_weights_are_not_loaded(self, checkpoint):
        torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
        (checkpoint / "model.safetensors").unlink()
        with pytest.raises(OSError, match="safetensors"):
            SumiIflForImageForgeryLocalization.from_pretrained(checkpoint)
