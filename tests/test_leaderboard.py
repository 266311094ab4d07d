"""The leaderboard: recomputed from what ships, about the weights that ship, and equal to what `evaluate` says."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from ifl_hub import list_checkpoints
from ifl_hub.checkpoints import DEFAULT_CHECKPOINT
from ifl_hub.evaluation import PAPER_TABLES, baseline_localizer, evaluate_folder
from ifl_hub.evaluation.explaining import explain, worst_first
from ifl_hub.evaluation.leaderboard import (
    ROBUSTNESS,
    STATISTICS,
    card_scores,
    leaderboard_names,
    load_statistics,
    measure,
    render_leaderboard,
    summarize,
)
from ifl_hub.evaluation.leaderboard.measuring import checkpoint_localizer
from ifl_hub.evaluation.leaderboard.statistics import TEST_SETS, load_speed
from ifl_hub.evaluation.leaderboard.values import robustness_area
from ifl_hub.metrics import ImageCounts, get_definition
from labelled_folder import write_folder

ROOT = Path(__file__).parent.parent
TRAINED = [name for name in leaderboard_names() if not name.startswith("baseline:")]


@pytest.fixture(autouse=True)
def few_draws(request, monkeypatch):
    """Rough intervals, but where the shipped documents are compared."""
    if "drifted" not in request.node.name:
        for module in ("ifl_hub.evaluation.scores", "ifl_hub.evaluation.leaderboard.values"):
            monkeypatch.setattr(f"{module}.DRAWS", 50)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The three test sets in small: four forged and three authentic pictures in each."""
    folder = tmp_path_factory.mktemp("sets")
    for test_set in TEST_SETS:
        write_folder(folder / test_set.folder, forged=4, authentic=3)
    return folder


@pytest.fixture(scope="module")
def measured(sets, tmp_path_factory):
    work, target = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("statistics")
    done = measure(sets, work, ["baseline:ela", "baseline:all-forged"], target)
    return work, target, done


def test_no_document_has_drifted():
    path = ROOT / "training_scripts" / "make_leaderboard.py"
    spec = importlib.util.spec_from_file_location("make_leaderboard", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "LEADERBOARD.md").read_text(encoding="utf-8") == render_leaderboard(), f"run {path.name}"
    for name, (document, render) in script.PARTS.items():
        text = document.read_text(encoding="utf-8")
        assert script.with_part(text, name, render()) == text, f"{document.name}: run {path.name}"
    with pytest.raises(ValueError, match="markers"):
        script.with_part("no markers here", "zoo", "")


class TestWhatShips:
    def test_every_localizer_was_measured_on_every_set(self):
        for one in load_statistics():
            assert set(one.runs) == set(leaderboard_names())
            for run in one.runs.values():
                assert [row.name for row in run.counts["clean"]] == [image.name for image in one.images]
        assert set(load_speed()) == set(leaderboard_names())

    @pytest.mark.parametrize("name", TRAINED)
    def test_the_numbers_are_those_of_the_weights_that_ship(self, name):
        settings = json.loads(json.dumps(dict(checkpoint_localizer(name).settings)))
        for one in load_statistics():
            facts = one.runs[name].facts
            assert {key: facts[key] for key in settings} == settings, "run training_scripts/make_leaderboard.py --data"
            assert facts["score_threshold"] == list_checkpoints()[name]["operating_point"]["score_threshold"]

    @pytest.mark.parametrize("name", TRAINED)
    def test_the_card_states_the_same_numbers(self, name):
        facts = list_checkpoints()[name]
        stated = {(score["data"], score["split"]): score for score in facts["scores"]}
        for score in card_scores(name, facts["weights_sha256"], "2026-11-26"):
            card = stated.pop((score["data"], score["split"]))
            assert card["methods"] == score["methods"], "run training_scripts/write_cards.py"
            assert card.get("robustness") == score.get("robustness")
        assert not stated

    def test_robustness_was_measured_on_the_same_pictures_for_all(self):
        runs = {name: run for name, run in load_statistics()[0].runs.items() if len(run.counts) > 1}
        assert {*TRAINED, "baseline:ela", "baseline:noise", "baseline:copy-move"} == set(runs)
        judged = {
            (condition, tuple(row.name for row in rows))
            for run in runs.values()
            for condition, rows in run.counts.items()
            if condition != "clean"
        }
        assert sorted(condition for condition, _ in judged) == sorted(ROBUSTNESS)

    def test_it_is_a_few_hundred_kilobytes_of_numbers(self):
        files = [path for path in STATISTICS.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} == {".csv", ".json"}
        assert sum(path.stat().st_size for path in files) < 600_000

    def test_no_number_of_a_paper_stands_in_a_table_of_ours(self):
        ours, papers = render_leaderboard().split("## The papers' own figures, not ours")
        assert "*paper*" not in ours and "*paper*: method" in papers
        [row] = [line for line in papers.splitlines() if "CASIA1.0+" in line]
        assert row.endswith("| .868 | .517 |")
        assert PAPER_TABLES["diff_forensics/table_2"].rows["DiffForensics"][:2] == (0.517, 0.868)

    def test_the_zoo_table_has_every_checkpoint(self):
        table = (ROOT / "README.md").read_text().split("<!-- zoo: begin -->")[1].split("<!-- zoo: end -->")[0]
        linked = re.findall(r"\]\((model_cards/[\w-]+\.md)\)", table)
        assert linked == [f"model_cards/{name}.md" for name in list_checkpoints()]
        assert all((ROOT / link).is_file() for link in linked)
        assert table.count("the default") == 1 and f"`{DEFAULT_CHECKPOINT}`" in table

    def test_the_galleries_are_small(self):
        for name in ("gallery.jpg", "gallery_worst.jpg"):
            assert (ROOT / "docs" / name).stat().st_size <= 300_000


def test_statistics_give_the_numbers_of_an_evaluation(sets, measured, tmp_path):
    _, target, done = measured
    assert sorted(done) == sorted(
        [f"{one.name}/{name}" for one in TEST_SETS for name in ("baseline:ela", "baseline:all-forged")]
        + ["speed/baseline:ela", "speed/baseline:all-forged"]
    )
    localizers = [baseline_localizer("ela"), baseline_localizer("all-forged")]
    evaluation = evaluate_folder(tmp_path, sets / "casia1", localizers, get_definition(), "validation")
    casia = load_statistics(target)[0]
    for run in evaluation.scores:
        values = summarize(casia.runs[run.model].counts["clean"])
        for key in ("pixel_auc", "pixel_f1", "pixel_f1_oracle", "pixel_iou", "authentic_fpr", "authentic_alarm_rate"):
            assert values[key].value == pytest.approx(run.value(key), abs=1e-6)
            assert values[key][1:] == pytest.approx(run.intervals[key], abs=1e-6)
        assert values["image_auc"].value == pytest.approx(run.value("image_auc"), abs=1e-6)
        assert values["called_forged"] is values["false_alarms"] is None  # a baseline has no label


def test_what_is_up_to_date_is_left_alone_and_what_is_not_is_measured(sets, measured):
    work, target, _ = measured
    files = {path: path.read_bytes() for path in target.rglob("*.*")}
    assert measure(sets, work, ["baseline:ela"], target) == []
    facts = target / "comofod" / "baseline-ela.json"
    facts.write_text(facts.read_text().replace('"fingerprint": "', '"fingerprint": "of other images '))
    assert measure(sets, work, ["baseline:ela"], target) == ["comofod/baseline:ela"]
    slow = {path for path in files if path.name == "speed.json"}
    assert {path: path.read_bytes() for path in files if path not in slow} == {
        path: content for path, content in files.items() if path not in slow
    }


def test_the_label_is_counted_at_its_own_operating_point():
    def picture(score, forged):
        return ImageCounts(forged, score, 4 * forged, 4, (0,), (0,), 0.5 if forged else None, 0.1, 0.1)

    counts = [picture(score, forged) for score, forged in ((0.7, True), (0.2, True), (0.6, False), (0.1, False))]
    values = summarize([*counts, picture(0.3, False)], 0.5)
    assert values["called_forged"].value == 0.5 and values["false_alarms"].value == pytest.approx(1 / 3)
    assert values["image_auc"].value == pytest.approx(4 / 6)
    assert summarize(counts[2:])["image_auc"] is None and summarize(counts[2:])["pixel_f1"] is None


def test_a_robustness_area_is_the_mean_height_of_the_curve(measured):
    run = load_statistics(measured[1])[0].runs["baseline:ela"]
    x = [0.0, 1.0, 2.0]
    names = ["clean", "gaussian_blur_sigma_1.0_px", "gaussian_blur_sigma_2.0_px"]
    y = [summarize([row for row in run.counts[name] if row.is_forged])["pixel_auc"].value for name in names]
    assert robustness_area(run, "gaussian_blur_sigma", "pixel_auc") == pytest.approx(np.trapezoid(y, x) / 2)
    assert robustness_area(run, "gamma", "pixel_auc") is None


def test_the_worst_come_first_and_each_says_why():
    def picture(hits, alarms, auc):
        return ImageCounts(True, 0.5, 10, 90, (hits,), (alarms,), auc, 0.5, 0.1, name=f"{hits}-{alarms}")

    counts = [picture(9, 0, 0.99), picture(0, 0, 0.3), picture(0, 45, 0.9), picture(5, 20, 0.7)]
    assert [row.name for row in worst_first(counts)] == ["0-0", "0-45", "5-20", "9-0"]
    assert [explain("splicing", row) for row in worst_first(counts)] == [
        "a splicing of 10 % of the picture; nothing is flagged, and the forged part ranks below the rest",
        "a splicing of 10 % of the picture; what is flagged, 50 % of the picture, lies elsewhere, "
        "though the forged part ranks high",
        "a splicing of 10 % of the picture; 50 % of it is flagged, and 2.0 times its area elsewhere",
        "a splicing of 10 % of the picture; 90 % of it is flagged, and next to nothing elsewhere, "
        "though the forged part ranks high",
    ]
