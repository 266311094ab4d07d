"""Numbers of a run: equal to what a plain loop gives, with intervals, groups and curves that mean what they say."""

import numpy as np
import pytest
from PIL import Image

from ifl_hub.evaluation import (
    NamedLocalizer,
    Prediction,
    RunScores,
    baseline_localizer,
    evaluate_folder,
    parse_grid,
    read_labelled_images,
    rescore_folder,
    score_images,
)
from ifl_hub.evaluation.baselines import error_level_analysis
from ifl_hub.evaluation.curves import plot_curves, robustness_curves
from ifl_hub.evaluation.store import EvaluationError
from ifl_hub.metrics import get_definition
from labelled_folder import read_rows, write_folder, write_rows

DEFAULT = get_definition()


@pytest.fixture(autouse=True)
def rough_intervals(request, monkeypatch):
    """Intervals cost most of the time here; only their own tests need all draws."""
    if "interval" not in request.node.name:
        monkeypatch.setattr("ifl_hub.evaluation.scores.DRAWS", 20)


def fixed(name, make, score=None):
    settings = {"weights_sha256": None, "preprocessing": None, "ifl_hub": "x"}
    return NamedLocalizer(name, settings, lambda: lambda image: Prediction(make(image), score))


def top_half(image):
    heatmap = np.full((image.height, image.width), 0.1, np.float32)
    heatmap[: image.height // 2] = 0.9
    return heatmap


def test_a_run_equals_a_plain_loop_over_the_images(tmp_path):
    data = write_folder(tmp_path / "data")
    evaluation = evaluate_folder(tmp_path / "out", data, [baseline_localizer("ela")], DEFAULT)
    rows = score_images(read_labelled_images(data), error_level_analysis)
    [run] = evaluation.scores
    for key in ("pixel_f1", "pixel_auc"):
        expected = [getattr(row, key) for row in rows if row.pixel_f1 is not None]
        assert run.value(key) == pytest.approx(np.mean(expected), abs=2e-3)  # maps are stored in 16 bits
    alarms = [row.flagged_area for row in rows if row.pixel_f1 is None]
    assert run.value("authentic_fpr") == pytest.approx(np.mean(alarms), abs=2e-3)


def test_ignored_pixels_are_in_no_number(tmp_path):
    data = write_folder(tmp_path / "data", forged=1, authentic=0)
    mask = np.zeros((60, 80), np.uint8)
    mask[:20], mask[20:] = 1, 255
    mask[25] = 0
    Image.fromarray(mask).save(data / "mask" / "0.png")
    [run] = evaluate_folder(tmp_path / "out", data, [fixed("top", top_half)], DEFAULT).scores
    assert run.value("pixel_recall") == 1
    assert run.value("pixel_precision") == pytest.approx(20 / 21)  # of the ignored rows one would expect 20 / 30
    [row] = score_images(read_labelled_images(data), top_half)
    assert row.pixel_f1 == pytest.approx(run.value("pixel_f1"))
    assert row.flagged_area == 1


def test_a_detection_heads_score_counts_and_else_the_map_is_reduced(tmp_path):
    data = write_folder(tmp_path / "data")
    heads = [fixed("head", top_half, 0.3), fixed("no head", top_half)]
    evaluation = evaluate_folder(tmp_path / "out", data, heads, DEFAULT)
    with_head, without = ({row["score"] for row in run.per_image} for run in evaluation.scores)
    assert with_head == {0.3}
    assert list(without) == pytest.approx([0.9], abs=1e-3)


def test_intervals_hold_the_value_and_narrow_with_more_images(tmp_path):
    widths = []
    for images in (4, 16):
        data = write_folder(tmp_path / f"data{images}", forged=images, authentic=images, height=24, width=32)
        localizer = fixed("noise", lambda image: np.asarray(image.convert("L"), np.float32) / 255)
        definition = get_definition("default")
        [run] = evaluate_folder(tmp_path / f"out{images}", data, [localizer], definition).scores
        for key in ("pixel_f1", "pixel_auc", "image_auc", "authentic_fpr", "pixel_f1_pooled", "image_balanced_acc"):
            low, high = run.intervals[key]
            assert low <= run.value(key) <= high, key
        widths.append(np.subtract(*run.intervals["pixel_auc"][::-1]))
    assert 0 < widths[1] < 0.9 * widths[0]


def test_the_interval_of_a_mean_is_that_of_a_plain_bootstrap(tmp_path):
    data = write_folder(tmp_path / "data", forged=8, authentic=0, height=24, width=32)
    localizer = fixed("noise", lambda image: np.asarray(image.convert("L"), np.float32) / 255)
    [run] = evaluate_folder(tmp_path / "out", data, [localizer], DEFAULT).scores
    values = np.array([row["pixel_auc"] for row in run.per_image])
    means = values[np.random.default_rng(7).integers(8, size=(4000, 8))].mean(1)
    assert run.intervals["pixel_auc"] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.01)


def test_undefined_numbers_have_no_interval_and_a_reason(tmp_path):
    data = write_folder(tmp_path / "data", forged=3, authentic=0)
    [run] = evaluate_folder(tmp_path / "out", data, [baseline_localizer("ela")], DEFAULT).scores
    assert run.value("image_auc") is None and run.intervals["image_auc"] is None
    assert "one class" in run.result["undefined"]["image_auc"]


def test_groups_add_up_and_the_worst_comes_first(tmp_path):
    data = write_folder(tmp_path / "data", forged=4, authentic=3)
    [run] = evaluate_folder(tmp_path / "out", data, [baseline_localizer("ela")], DEFAULT).scores
    for grouping in ("forgery_type", "mask_size", "jpeg_quality", "source"):
        groups = [group for group in run.groups if group.grouping == grouping]
        assert sum(group.n_forged for group in groups) == 4
        assert sum(group.n_authentic for group in groups) == 3
        weighted = sum(group.values["pixel_f1"] * group.n_forged for group in groups if group.n_forged)
        assert weighted / 4 == pytest.approx(run.value("pixel_f1"))
    with_forgeries = [group.values["pixel_f1"] for group in run.groups if group.n_forged]
    assert with_forgeries == sorted(with_forgeries)
    assert all(group.n_forged for group in run.groups[: len(with_forgeries)])


def test_other_presets_score_the_same_maps_without_images(tmp_path):
    data = write_folder(tmp_path / "data")
    localizers = [baseline_localizer("ela"), baseline_localizer("all-forged")]
    first = evaluate_folder(tmp_path / "out", data, localizers, DEFAULT)
    for path in sorted(data.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for preset in ("trufor", "mvss", "catnet", "photoholmes_pooled", "deepfakebench_frame", "paper_safl_net"):
        again = rescore_folder(tmp_path / "out", get_definition(preset))
        assert again.definition.preset == preset
        assert [run.model for run in again.scores] == ["baseline:all-forged", "baseline:ela"]
        assert again.table()
    again = rescore_folder(tmp_path / "out", DEFAULT)
    assert [run.result for run in again.scores] == [run.result for run in first.scores[::-1]]
    assert again.scores[0].value("pixel_recall") == 1
    assert rescore_folder(tmp_path / "out", get_definition("imdlbenco")).scores[0].value("pixel_f1") < (
        first.scores[1].value("pixel_f1")
    )


def test_two_weights_of_one_name_stay_apart(tmp_path):
    data = write_folder(tmp_path / "data")
    localizers = [fixed("mine", top_half), fixed("mine", lambda image: 1 - top_half(image))]
    object.__setattr__(localizers[1], "settings", {**localizers[1].settings, "weights_sha256": "ab"})
    evaluation = evaluate_folder(tmp_path / "out", data, localizers, DEFAULT)
    names = [run.model for run in evaluation.scores]
    assert len(set(names)) == 2 and all(name.startswith("mine [") for name in names)


def test_a_protocol_needs_images_of_one_of_its_data_sets(tmp_path):
    from ifl_hub.evaluation import find_protocol

    protocol = find_protocol("safl_net/table_4")
    data = write_folder(tmp_path / "data")
    evaluation = evaluate_folder(tmp_path / "out", data, [baseline_localizer("ela")], DEFAULT, protocol=protocol)
    text = evaluation.table()
    assert "paper: SAFL-Net" in text and "3 forged images, the paper has 920" in text
    paper = evaluation.as_dict()["paper"]
    assert {number["mark"] for number in paper["numbers"]} == {"paper"}
    assert "SAFL-Net" not in [run["model"] for run in evaluation.as_dict()["runs"]]
    rows = read_rows(data)
    rows[0]["source"] = "coverage"
    write_rows(data, rows)
    with pytest.raises(EvaluationError, match="one data set at a time, these images come from casia1, coverage"):
        evaluate_folder(tmp_path / "out2", data, [baseline_localizer("ela")], DEFAULT, protocol=protocol)


def run_of(model, condition, value):
    return RunScores(model, condition, {}, {"pixel_f1": value}, {}, [], [])


def test_curves_hold_the_clean_point_where_it_belongs_and_their_area():
    values = {"clean": 1.0, "gaussian_noise_std_2.0_levels": 0.8, "gaussian_noise_std_10.0_levels": 0.4,
              "jpeg_quality_90": 0.9, "jpeg_quality_50": 0.5, "resize_side_99_px+jpeg_quality_50": 0.3}  # fmt: skip
    curves = robustness_curves([run_of("a", name, value) for name, value in values.items()], "pixel_f1")
    noise, jpeg = curves  # the chain is a single point
    assert noise.family == "gaussian_noise_std (levels)"
    assert noise.points == ((0, 1.0), (2, 0.8), (10, 0.4))
    assert noise.area == pytest.approx((0.9 * 2 + 0.6 * 8) / 10)
    assert jpeg.points == ((50, 0.5), (90, 0.9)) and jpeg.area == pytest.approx(0.7) and jpeg.clean == 1


def test_curves_become_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs the report extra")
    names = [condition.name for condition in parse_grid("jpeg_quality_90,jpeg_quality_50,gamma_0.7,gamma_1.5")]
    scores = [run_of(model, name, 0.5) for model in "abcdefghi" for name in names]
    plot_curves(tmp_path / "curves.png", robustness_curves(scores, "pixel_f1"))
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > picture.height
