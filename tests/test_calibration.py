"""Calibration: what may not change (order, masks at 0.5), what must (the log loss), and what the checkpoints say."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor

from ifl_hub import (
    IflImageProcessor,
    ImageForgeryLocalizationPipeline,
    SaflNetConfig,
    SaflNetForImageForgeryLocalization,
    SumiIflConfig,
    SumiIflForImageForgeryLocalization,
    checkpoint_path,
    list_checkpoints,
)
from ifl_hub.data.web_copies import SIDES, web_copy
from ifl_hub.evaluation.calibration import (
    PixelCounts,
    fit_score,
    fit_temperature,
    operating_point,
    pixel_reliability,
    score_reliability,
)
from ifl_hub.image_processing.scoring import calibrate, reduce_to_score
from ifl_hub.metrics import pixel_auc
from ifl_hub.modeling.outputs import ImageForgeryLocalizationOutput
from tiny_photos import write_pool

ROOT = Path(__file__).parent.parent
LOCALIZERS = [name for name, facts in list_checkpoints().items() if facts.get("task", "localization") == "localization"]
temperatures = st.floats(0.3, 10)  # colder ones take float32 to its ends, where order is lost


def sure(true_temperature, count=40_000, seed=0):
    """Log-odds that are `true_temperature` times too large, and the truth that they speak of."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(-1, 2, count)
    truth = rng.random(count) < 1 / (1 + np.exp(-honest))
    return honest * true_temperature, truth


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_the_fitted_temperature_is_the_true_one(true_temperature):
    log_odds, truth = sure(true_temperature)
    counts = PixelCounts.empty()
    counts.add(log_odds.reshape(200, 200), truth.reshape(200, 200))
    fitted = fit_temperature(counts)
    assert fitted == pytest.approx(true_temperature, rel=0.05)
    before, after = pixel_reliability(counts), pixel_reliability(counts, fitted)
    assert after.error < 0.01 and after.log_loss <= before.log_loss
    assert sum(after.weight) == pytest.approx(1)


def test_the_fitted_score_undoes_a_wrong_scale_and_a_wrong_centre():
    log_odds, truth = sure(1.0)
    balanced = np.log(truth.mean() / (1 - truth.mean()))  # the classes weigh the same, whatever their number
    temperature, bias = fit_score((log_odds * 2.5 + 3).tolist(), truth.tolist())
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert bias == pytest.approx(3 + 2.5 * balanced, abs=0.2)
    assert score_reliability(log_odds * 2.5 + 3, truth, temperature, bias).error < 0.02


def test_scores_that_say_the_opposite_keep_their_order():
    temperature, bias = fit_score([0.0, 0.5, 1.0, 3.0, 3.5, 4.0], [True] * 3 + [False] * 3)
    assert temperature == pytest.approx(10) and np.isfinite(bias)


@pytest.mark.parametrize(
    "fit", [lambda: fit_score([1.0, 2.0], [True, True]), lambda: fit_temperature(PixelCounts.empty())]
)
def test_one_class_calibrates_nothing(fit):
    with pytest.raises(ValueError, match=r"both"):
        fit()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_no_more_authentic_pictures_than_agreed_lie_above_the_operating_point(scores, rate):
    assert np.mean(np.array(scores) > operating_point(scores, rate)) <= rate + 1e-9


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20, unique=True), temperatures, st.floats(-5, 5))
def test_calibration_changes_no_order(scores, temperature, bias):
    changed = [calibrate(score, temperature, bias) for score in sorted(scores)]
    assert changed == sorted(changed) and 0 <= min(changed) <= max(changed) <= 1
    assert [calibrate(score) for score in scores] == scores


@given(temperatures, st.integers(0, 99))
def test_a_temperature_leaves_masks_and_areas_alone(temperature, seed):
    logits = torch.randn(1, 1, 12, 16, generator=torch.Generator().manual_seed(seed))
    truth = np.zeros((12, 16), bool)
    truth[3:8, 4:11] = True
    [plain], [scaled] = (
        IflImageProcessor(temperature=t).post_process_image_forgery_localization(
            ImageForgeryLocalizationOutput(logits=logits)
        )
        for t in (1.0, temperature)
    )
    assert torch.equal(plain["mask"], scaled["mask"])
    areas = [pixel_auc(result["probabilities"].numpy(), truth) for result in (plain, scaled)]
    assert areas[0] == pytest.approx(areas[1], abs=1e-3)  # a few values may meet in float32
    torch.testing.assert_close(
        torch.logit(scaled["probabilities"].double()) * temperature, logits[0, 0].double(), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize(
    ("model_class", "config_class"),
    [(SaflNetForImageForgeryLocalization, SaflNetConfig), (SumiIflForImageForgeryLocalization, SumiIflConfig)],
)
def test_the_pipeline_and_the_processor_calibrate_alike(model_class, config_class):
    torch.manual_seed(0)
    model = model_class(config_class.tiny()).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    how = {"temperature": 2.0, "score_temperature": 3.0, "score_bias": -0.5}
    results = {}
    for name, settings in (("plain", {}), ("calibrated", how)):
        processor = IflImageProcessor(**settings)
        results[name] = ImageForgeryLocalizationPipeline(model=model, image_processor=processor)(pixels)
        with torch.no_grad():
            outputs = model(**processor(pixels))
        [direct] = processor.post_process_image_forgery_localization(outputs)
        assert results[name]["score"] == pytest.approx(direct["score"], abs=1e-5)
        np.testing.assert_allclose(results[name]["heatmap"], direct["probabilities"].numpy(), atol=1e-5)
    odds = {name: np.log(result["heatmap"]) - np.log1p(-result["heatmap"]) for name, result in results.items()}
    np.testing.assert_allclose(odds["calibrated"] * 2, odds["plain"], atol=1e-3)
    uncalibrated = results["plain"]["score"]
    if outputs.image_logits is None:
        uncalibrated = reduce_to_score(results["calibrated"]["heatmap"])
    assert results["calibrated"]["score"] == pytest.approx(calibrate(uncalibrated, 3.0, -0.5), abs=1e-5)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"score_temperature": -1.0}, {"temperature": float("inf")}])
def test_a_temperature_that_divides_nothing_is_refused(settings):
    with pytest.raises(ValueError, match="choose a positive number"):
        IflImageProcessor(**settings)


def test_calibration_travels_with_the_checkpoint(tmp_path):
    IflImageProcessor(temperature=1.5, score_temperature=2.5, score_bias=0.75).save_pretrained(tmp_path)
    loaded = IflImageProcessor.from_pretrained(tmp_path)
    assert (loaded.temperature, loaded.score_temperature, loaded.score_bias) == (1.5, 2.5, 0.75)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(SIDES), st.integers(0, 9))
def test_a_web_copy_is_the_whole_photo_and_never_larger(height, width, side, seed):
    photo = np.full((height, width, 3), 90, np.uint8)
    copy = web_copy(photo, side, np.random.default_rng(seed))
    assert copy.dtype == np.uint8 and max(copy.shape[:2]) == min(side, max(height, width))
    assert min(copy.shape[:2]) == max(1, round(min(height, width) * min(1, side / max(height, width))))
    np.testing.assert_array_equal(copy, web_copy(photo, side, np.random.default_rng(seed)))


def test_one_call_calibrates_a_folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training_scripts")
    script = importlib.import_module("calibrate_checkpoint")
    monkeypatch.setattr(script, "SAMPLES", 6)
    monkeypatch.setattr(script, "SIZES", ((64, 64), (64, 96)))
    monkeypatch.setattr(script, "DIAGRAM", tmp_path / "calibration.png")
    torch.manual_seed(0)
    SumiIflForImageForgeryLocalization(SumiIflConfig.tiny()).save_pretrained(tmp_path / "model")
    IflImageProcessor(temperature=7.0).save_pretrained(tmp_path / "model")  # of an earlier calibration: not built upon
    (tmp_path / "photos").mkdir()
    pool = write_pool(tmp_path / "photos")
    point, calibration = script.calibrate_folder(tmp_path / "model", pool, 0)
    processor = IflImageProcessor.from_pretrained(tmp_path / "model")
    assert {name: getattr(processor, name) for name in calibration["fitted"]} == calibration["fitted"]
    assert processor.temperature != 7 and processor.score_threshold == point["score_threshold"]
    assert point["false_alarm_rate"] <= 0.1 and point["n_photos"] == 3 and point["n_forged"] == 6
    assert calibration["pixels"]["after"]["log_loss"] <= calibration["pixels"]["before"]["log_loss"]
    json.dumps([point, calibration])  # metadata
    monkeypatch.setattr(script.ifl_hub, "list_checkpoints", lambda: {"tiny": {"calibration": calibration}})
    script.draw_diagram()
    with Image.open(tmp_path / "calibration.png") as picture:
        assert picture.width > 300
    assert script.calibrate_folder(tmp_path / "model", pool, 0) == (point, calibration)


@pytest.mark.parametrize("name", LOCALIZERS)
class TestShippedCalibration:
    def test_the_processor_holds_what_was_fitted(self, name):
        processor = AutoImageProcessor.from_pretrained(checkpoint_path(name))
        fitted = list_checkpoints()[name]["calibration"]["fitted"]
        assert {key: getattr(processor, key) for key in fitted} == fitted

    def test_the_diagram_is_there_and_small(self, name):
        assert name in list_checkpoints() and (ROOT / "docs" / "calibration.png").stat().st_size <= 300_000

    def test_it_made_the_probabilities_no_worse(self, name):
        for of in ("pixels", "score"):
            found = list_checkpoints()[name]["calibration"][of]
            assert found["after"]["log_loss"] <= found["before"]["log_loss"] + 1e-4

    def test_the_label_raises_no_more_alarms_than_it_says(self, name):
        point = list_checkpoints()[name]["operating_point"]
        assert point["false_alarm_rate"] <= 0.1 and point["n_photos"] >= 40
        assert sum(size["n"] for size in point["by_longer_side"].values()) == point["n_authentic"]
