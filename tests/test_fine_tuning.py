"""Training on a user's own forgeries: what is drawn, what validates, what is refused, what is kept."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ifl_hub import AutoModelForImageForgeryLocalization
from ifl_hub.cli.errors import CommandError
from ifl_hub.cli.train import train
from ifl_hub.data.schema import DataFormatError
from ifl_hub.training import load_recipe
from ifl_hub.training.dry_run import refuse_leakage
from ifl_hub.training.engine import run_recipe
from ifl_hub.training.labelled import LabelledData, WholePictures, labelled_training_samples
from ifl_hub.training.mixing import BLOCK, MixedSamples
from ifl_hub.training.sources import Sources, forgery_samples
from test_training import BrightSquares, photo_folder, recipe, run, trainer, weights
from tiny_photos import texture


class Numbers:
    """Sample n is n."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> dict:
        return {"source": self.name, "number": index}


def forgeries(folder: Path, count: int = 24, splits: tuple[str, ...] = ()) -> Path:
    """Textures; two of three have a bright rectangle, which is the forgery."""
    (folder / "image").mkdir(parents=True)
    (folder / "mask").mkdir()
    rows = []
    for index in range(count):
        size = (72, 88) if index % 2 else (88, 72)
        picture, mask = texture(index, *size) // 2, np.zeros(size, np.uint8)
        if index % 3:
            rng = np.random.default_rng(index)
            (top, left), (height, width) = rng.integers(2, 36, 2), rng.integers(16, 34, 2)
            mask[top : top + height, left : left + width] = 255
            picture[mask > 0] += 120
        Image.fromarray(picture).save(folder / "image" / f"{index}.png")
        Image.fromarray(mask).save(folder / "mask" / f"{index}.png")
        label = "forged" if index % 3 else "authentic"
        row = {"file_name": f"image/{index}.png", "mask_file_name": f"mask/{index}.png", "label": label}
        row |= {"forgery_type": "splicing" if index % 3 else "none", "source": "mine", "group": f"g{index}"}
        rows.append(row | ({"split": splits[index % len(splits)]} if splits else {}))
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@given(
    weights=st.lists(st.floats(0.05, 5), min_size=1, max_size=5),
    seed=st.integers(0, 2**20),
    block=st.integers(0, 3),
)
def test_every_source_has_its_share_and_none_of_its_samples_is_lost(weights, seed, block):
    mixed = MixedSamples([Numbers(str(index)) for index in range(len(weights))], weights, seed)
    drawn = [mixed[index] for index in range((block + 1) * BLOCK)]
    for index, weight in enumerate(weights):
        numbers = [sample["number"] for sample in drawn if sample["source"] == str(index)]
        assert numbers == list(range(len(numbers)))
        assert abs(len(numbers) / len(drawn) - weight / sum(weights)) <= 1.001 / BLOCK


def test_a_source_without_weight_is_refused():
    for weights_ in ([1.0, 0.0], [1.0], [], [1.0, 1e-9]):
        with pytest.raises(ValueError, match="weight"):
            MixedSamples([Numbers("a"), Numbers("b")], weights_)


def test_what_is_written_after_data():
    assert LabelledData.parse("a/b") == LabelledData("a/b")
    assert LabelledData.parse("a/b:train") == LabelledData("a/b", "train")
    assert LabelledData.parse("a:b=0.5") == LabelledData("a:b", None, 0.5)
    with pytest.raises(ValueError, match="above 0"):
        LabelledData.parse("a=0")


def test_groups_never_cross_from_training_to_validation(tmp_path):
    data = LabelledData(str(forgeries(tmp_path / "d", 40)))
    train, validation = data.rows
    assert len(train) + len(validation) == 40 and len(validation) >= 2
    assert not set(train["group"]) & set(validation["group"])
    again = LabelledData(data.path).rows
    assert [part["group"][:] for part in again] == [train["group"][:], validation["group"][:]]


def test_a_data_sets_own_splits_count_and_its_test_split_stays_away(tmp_path):
    folder = forgeries(tmp_path / "d", 30, ("train", "validation", "test"))
    train, validation = LabelledData(str(folder)).rows
    assert set(train["group"]) == {f"g{i}" for i in range(0, 30, 3)}
    assert set(validation["group"]) == {f"g{i}" for i in range(1, 30, 3)}
    inner = LabelledData(str(folder), "train").rows
    assert set(inner[0]["group"]) | set(inner[1]["group"]) == set(train["group"])


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("validation", "test"), "validation and test, but none to train on.*:validation"),
        (("test",), "of test"),
    ],
)
def test_rows_that_are_there_to_test_are_not_divided_to_train_on(tmp_path, splits, message):
    folder = str(forgeries(tmp_path / "d", 12, splits))
    with pytest.raises(DataFormatError, match=message):
        _ = LabelledData(folder).rows
    train, validation = LabelledData(folder, splits[0]).rows
    assert len(train) + len(validation) == 12 // len(splits)


def test_too_few_groups_are_said(tmp_path):
    train, validation = LabelledData(str(forgeries(tmp_path / "two", 2))).rows
    assert len(train) == len(validation) == 1
    with pytest.raises(DataFormatError, match="all pictures are of one group"):
        _ = LabelledData(str(forgeries(tmp_path / "one", 1))).rows


def test_samples_are_balanced_and_masks_stay_on_their_pictures(tmp_path):
    train, validation = LabelledData(str(forgeries(tmp_path / "d", 30))).rows
    settings = recipe(crop_size=48, authentic_share=0.5, augmentation={"forged_crops": 1.0})
    samples = labelled_training_samples([(train, None)], settings)
    drawn = [samples[index] for index in range(200)]
    authentic = sum(not sample["mask"].any() for sample in drawn)
    assert 80 <= authentic <= 120
    for sample in drawn:
        assert sample["image"].shape == (48, 48, 3)
        if sample["mask"].any() and not sample["mask"].all():
            bright, dark = (sample["image"][sample["mask"] == value].mean() for value in (1, 0))
            assert bright > dark + 60
    whole = WholePictures(validation, 0)
    assert sorted(whole[0]["image"].shape) == [3, 72, 88] and len(whole) == len(validation)


def test_real_and_synthesized_forgeries_mix_and_real_ones_validate(tmp_path):
    sources = Sources((photo_folder(tmp_path / "photos", 40),), (LabelledData(str(forgeries(tmp_path / "d"))),))
    train, validation = forgery_samples(recipe(crop_size=48, synthesized_share=0.25), sources, 64)
    made = ["record" in train[index] for index in range(256)]
    assert 40 < sum(made) < 90
    assert isinstance(validation, WholePictures)


def test_nothing_to_learn_from_is_said():
    with pytest.raises(ValueError, match="--data for forgeries"):
        forgery_samples(recipe(), Sources(), 64)


def test_the_same_photo_in_training_and_validation_is_refused(tmp_path):
    folder = forgeries(tmp_path / "d", 24)
    refuse_leakage(Sources(data=(LabelledData(str(folder)),)))
    train, validation = LabelledData(str(folder)).rows
    source, target = train["group"][0][1:], validation["group"][0][1:]
    shutil.copy(folder / "image" / f"{source}.png", folder / "image" / f"{target}.png")
    with pytest.raises(ValueError, match="share pictures"):
        refuse_leakage(Sources(data=(LabelledData(str(folder)),)))


def test_added_up_batches_are_one_large_batch(tmp_path):
    """For a loss that is a mean over samples, in a network without batch statistics or draws."""
    changes = {"ema_decay": 0.0, "config": {"minimality_weight": 0.0}, "steps": 3, "optimizer": "sgd"}
    for name, size, added in (("large", 4, 1), ("added", 1, 4)):
        trainer(tmp_path / name, recipe(**changes, batch_size=size, accumulation_steps=added)).run()
    large, added = weights(tmp_path / "large" / "final"), weights(tmp_path / "added" / "final")
    for name, value in large.items():
        torch.testing.assert_close(added[name], value, rtol=1e-2, atol=1e-4)


def test_the_best_weights_are_kept_and_the_run_stops_when_nothing_gets_better(tmp_path):
    settings = {"metric": "pixel_auc", "patience": 2, "keep_best": 2, "steps": 40, "validation_every": 2}
    settings |= {"learning_rate": 0.0, "ema_decay": 0.0}  # so that no validation is better than the first
    final = run(tmp_path, **settings)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 6
    summary = json.loads((final / "training_summary.json").read_text())
    assert summary["best_step"] == 2
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-0000002"]
    before = (final / "model.safetensors").read_bytes()
    assert (run(tmp_path, **settings) / "model.safetensors").read_bytes() == before


def test_lower_may_be_better_and_an_unknown_metric_is_said(tmp_path):
    run(tmp_path / "a", metric="-authentic_fpr", steps=3)
    with pytest.raises(ValueError, match="none of the scores: pixel_f1"):
        run(tmp_path / "b", metric="accuracy", steps=3)


def test_a_missing_tracker_is_an_error_and_not_silence(tmp_path):
    with pytest.raises(ValueError, match="there is no tracker 'tensorbord'"):
        run(tmp_path, trackers=("tensorbord",))
    with pytest.raises(ValueError, match="pip install comet_ml"):
        run(tmp_path, trackers=("comet_ml",))


def test_tensorboard_gets_losses_scores_and_pictures(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the tensorboard package")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, trackers=("tensorboard",), steps=3)
    [folder] = {path.parent for path in tmp_path.rglob("events.out.tfevents*")}
    events = EventAccumulator(str(folder)).Reload()
    assert {"loss", "pixel_auc", "pixel_f1"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["validation"]


@pytest.mark.parametrize(
    "changes",
    [
        {"deterministic": True},
        {"activation_checkpointing": True},
        pytest.param({"compile": "aot_eager"}, marks=pytest.mark.slow),
        pytest.param({"compile": True}, marks=pytest.mark.slow),
    ],
)
def test_switches_change_how_and_not_what_is_computed(tmp_path, changes):
    settings = {"steps": 2, "validation_every": 2, "config": {"minimality_weight": 0.0}, "learning_rate": 1e-3}
    try:
        plain, switched = (weights(run(tmp_path / str(i), **settings, **c)) for i, c in enumerate(({}, changes)))
    finally:
        torch.use_deterministic_algorithms(False)
    for name, value in plain.items():
        torch.testing.assert_close(switched[name], value, rtol=1e-2, atol=1e-4)


def command(*arguments: str) -> subprocess.CompletedProcess:
    script = Path(__file__).parent.parent / "training_scripts" / "train.py"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_fine_tuning_is_one_line_and_its_report_says_what_happened(tmp_path):
    start, data, out = run(tmp_path / "start"), forgeries(tmp_path / "d"), tmp_path / "mine"
    small = ["--set", "steps=4", "--set", "validation_every=2", "--set", "batch_size=2", "--set", "crop_size=48"]
    line = ["--from", str(start), "--data", str(data), "--out", str(out), *small, "--workers", "0"]
    dry = command(*line, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "to train on" in dry.stdout and "s a step on cpu" in dry.stdout and "GB" in dry.stdout
    assert not out.exists()
    done = command(*line)
    assert done.returncode == 0, done.stderr
    assert "pixel_f1" in done.stdout + done.stderr
    AutoModelForImageForgeryLocalization.from_pretrained(out / "final")
    report = (out / "training_report.md").read_text()
    assert "| 4" in report and "(kept)" in report and '"method": "sumi_ifl"' in report
    assert '"shape"' not in report  # the weights decide it
    assert Image.open(out / "validation.png").size[0] > 50


def test_the_pages_example_trains_with_transformers_trainer(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    before = [parameter.clone() for parameter in names["model"].parameters()]
    names["trainer"].train()
    assert any(not torch.equal(old, new) for old, new in zip(before, names["model"].parameters(), strict=True))


def test_mistakes_are_one_line(tmp_path):
    refused = command("--out", "x", "--from", "safl-net-lite0", "--data", str(tmp_path / "none"))
    assert refused.returncode == 2 and "no such folder or list" in refused.stderr
    assert "Traceback" not in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
    for options, message in (
        ({}, "--from MODEL"),
        ({"recipe": "fine_tune"}, "names no method"),
        ({"from_": "safl-net-lite0"}, "name what to learn from"),
        ({"from_": "no/such/folder"}, "there is no folder"),
        ({"from_": "safl-net-lite0", "set_": ["step=3"]}, "did you mean 'steps'"),
    ):
        with pytest.raises(CommandError, match=message) as caught:
            train(tmp_path / "x", **options)
        assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_that_goes_on_keeps_the_weights_processor(tmp_path):
    start = run(tmp_path / "start", processor={"image_mean": [0.4, 0.4, 0.4]})
    settings = load_recipe("fine_tune", [f"weights={start}", "steps=1", "crop_size=48", "batch_size=2"])
    data = Sources(data=(LabelledData(str(forgeries(tmp_path / "d"))),))
    final = run_recipe(settings, data, tmp_path / "mine", num_workers=0)
    assert json.loads((final / "preprocessor_config.json").read_text())["image_mean"] == [0.4, 0.4, 0.4]
    assert BrightSquares()[0]["image"].shape == (32, 32, 3)
