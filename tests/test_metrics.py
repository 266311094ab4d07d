"""Pixel metrics of one image and of many: hand-made cases, undefined cases, and what must not change a result."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_metrics as naive
from ifl_hub.metrics import (
    AUTHENTIC_KEYS,
    IMAGE_KEYS,
    PIXEL_KEYS,
    DetectionAccumulator,
    LocalizationAccumulator,
    get_definition,
    image_counts,
    pixel_auc,
    pixel_f1,
)
from ifl_hub.metrics.bins import GRID, N_BINS, bin_of
from metric_cases import accumulate, blocks, compute, detect, labelled_maps

THRESHOLDS = st.sampled_from([0.0, 0.2, 0.5, 128 / 255, 1.0, "oracle_image", "oracle_dataset", "eer"])
IMAGES = st.lists(labelled_maps(), min_size=1, max_size=5)
few = settings(max_examples=25)


# One image


@given(labelled_maps())
@few
def test_auc_equals_the_pairwise_definition(case):
    scores, labels = case
    expected = naive.auc(scores, labels == 1)
    assert pixel_auc(scores / 255, labels == 1) == (None if expected is None else pytest.approx(expected, abs=1e-12))


@given(labelled_maps())
@few
def test_f1_equals_harmonic_mean_of_precision_and_recall(case):
    scores, labels = case
    mask = labels == 1
    value = pixel_f1(scores / 255, mask)
    if not mask.any():
        assert value is None
        return
    precision, recall = naive.precision(scores > 127.5, mask), naive.recall(scores > 127.5, mask)
    expected = 2 * precision * recall / (precision + recall) if precision else 0.0
    assert value == pytest.approx(expected, abs=1e-12)


def test_threshold_is_strict():
    mask = np.ones((2, 2), bool)
    assert pixel_f1(np.full((2, 2), 0.5), mask) == 0.0
    assert pixel_f1(np.full((2, 2), 0.5), mask, threshold=0.49) == 1.0
    at_half = np.full((2, 2), 0.5), mask
    assert compute([at_half])["pixel_recall"] == 0 and compute([at_half], inclusive=True)["pixel_recall"] == 1
    assert compute([at_half])["image_acc"] == 0 and compute([at_half], inclusive=True)["image_acc"] == 1


def test_two_by_two_by_hand():
    prediction, labels = np.array([[0.9, 0.6], [0.4, 0.1]]), np.array([[1, 0], [1, 0]])
    result = compute([(prediction, labels)])
    expected = {
        "pixel_f1": 0.5,  # flagged: one of each; TP 1 FP 1 FN 1 TN 1
        "pixel_precision": 0.5,
        "pixel_recall": 0.5,
        "pixel_iou": 1 / 3,
        "pixel_mcc": 0.0,
        "pixel_auc": 0.75,  # of four pairs only (0.4, 0.6) is wrong
        "pixel_ap": 0.5 + 0.5 * 2 / 3,
        "pixel_f1_oracle": 0.8,  # above 0.1 (TP 2 FP 1)
        "pixel_f1_permuted": 0.5,
        "pixel_miou": 1 / 3,
    }
    assert {key: result[key] for key in expected} == pytest.approx(expected)
    assert {key: result[f"{key}_pooled"] for key in expected} == pytest.approx(expected)


def test_an_inverted_map_has_a_negative_correlation():
    labels = np.array([[1, 0], [0, 0]])
    assert compute([(1.0 - labels, labels)])["pixel_mcc"] == pytest.approx(-1)


def test_a_constant_map_has_auc_one_half():
    labels = np.zeros((4, 4), np.uint8)
    labels[0] = 1
    result = compute([(np.full((4, 4), 0.3), labels)])
    assert result["pixel_auc"] == 0.5 and result["pixel_auc_pooled"] == 0.5
    assert pixel_auc(np.full((4, 4), 0.3), labels == 1) == 0.5


def test_empty_prediction_on_an_empty_mask():
    empty = [(np.zeros((3, 3)), np.zeros((3, 3), np.uint8))]
    assert compute(empty)["pixel_f1"] is None
    assert compute(empty, authentic="zero")["pixel_f1"] == 0
    result = compute(empty, authentic="empty_is_one")
    assert result["pixel_f1"] == result["pixel_f1_pooled"] == result["pixel_iou"] == 1
    assert result["pixel_auc"] is None and "both classes" not in result["undefined"]["image_auc"]
    assert result["authentic_fpr"] == 0 and result["authentic_alarm_rate"] == 0


def test_full_prediction_on_a_full_mask():
    result = compute([(np.ones((3, 3)), np.ones((3, 3), np.uint8))])
    assert result["pixel_f1"] == result["pixel_iou"] == result["pixel_recall"] == 1
    for key in ("pixel_auc", "pixel_ap", "pixel_mcc", "pixel_auc_pooled"):
        assert result[key] is None and "both classes" in result["undefined"][key]


def test_fully_forged_and_empty_masks_have_no_auc():
    for mask in (np.zeros((2, 3), bool), np.ones((2, 3), bool)):
        assert pixel_auc(np.linspace(0, 1, 6).reshape(2, 3), mask) is None


def test_a_map_with_nan_is_skipped_with_its_reason():
    image = next(blocks(1))
    broken = image[0].copy()
    broken[3, 3] = np.nan
    result = compute([image, (broken, image[1])])
    assert result["pixel_f1"] == compute([image])["pixel_f1"]
    assert (result["n_images"], result["n_skipped"], result["skipped"]) == (2, 1, {"the map holds NaN": 1})
    alone = compute([(broken, image[1])])
    assert alone["pixel_f1"] is None and "NaN" in alone["undefined"]["pixel_f1"]
    assert alone["image_acc"] is None


def test_nothing_counted_is_none_and_never_zero():
    result = LocalizationAccumulator().compute()
    assert all(result[key] is None for key in (*PIXEL_KEYS, *AUTHENTIC_KEYS, *IMAGE_KEYS))
    assert result["n_images"] == result["n_authentic"] == result["n_skipped"] == 0


@given(IMAGES, st.sampled_from(["exclude", "zero", "empty_is_one"]), THRESHOLDS)
@few
def test_every_value_that_is_none_has_a_reason_and_every_other_one_is_in_range(images, authentic, threshold):
    result = compute(images, authentic=authentic, threshold=threshold)
    for key, value in result.items():
        if key.startswith(("pixel_", "image_", "authentic_")) and key not in ("pixel_threshold", "image_log_loss"):
            assert value is None or (-1 if "mcc" in key else 0) <= value <= 1 + 1e-12
    missing = {key for key in (*PIXEL_KEYS, *AUTHENTIC_KEYS, *IMAGE_KEYS) if result[key] is None}
    assert missing <= set(result["undefined"])
    assert json.loads(json.dumps(result["definition"]))["threshold"] == threshold


# Labels that are left out, and inputs that are refused


@given(labelled_maps(), labelled_maps())
@few
def test_pixels_left_out_change_nothing(case, other):
    """An image beside an ignored margin scores as the image alone."""
    prediction, labels = case
    margin = np.full((labels.shape[0], 2), 255, np.uint8)
    wider = np.hstack([prediction, np.full(margin.shape, 255, np.uint8)]), np.hstack([labels, margin])
    alone, beside = (compute([pair, other], authentic="zero") for pair in (case, wider))
    for key in (*PIXEL_KEYS, *(f"{key}_pooled" for key in PIXEL_KEYS), *AUTHENTIC_KEYS):
        assert alone[key] == beside[key], key


def test_all_left_out_is_skipped_and_not_authentic_by_accident():
    with pytest.warns(UserWarning, match="255 is left out, not forged"):
        row = image_counts(np.ones((2, 2)), np.full((2, 2), 255, np.uint8))
    assert row.skipped == "every pixel is left out by its label" and row.hits == ()


def test_another_value_can_be_left_out_or_none():
    labels = np.array([[1, 0, 7]])
    assert image_counts(np.array([[0.9, 0.1, 0.9]]), labels, get_definition(ignore_value=7)).false_alarms == (0,)
    with pytest.raises(ValueError, match="to_label_map"):
        image_counts(np.zeros((1, 3)), labels, get_definition(ignore_value=None))


@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [
        (np.zeros((4, 4)), np.zeros((4, 5), np.uint8), "original pixel grid"),
        (np.zeros((1, 4, 4)), np.zeros((4, 4), np.uint8), "one map an image"),
        (np.zeros((4, 4)), np.zeros((4, 4, 1), np.uint8), "one label map an image"),
        (np.full((2, 2), -3.0), np.zeros((2, 2), np.uint8), "sigmoid"),
        (np.full((2, 2), np.inf), np.zeros((2, 2), np.uint8), "sigmoid"),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), "uint8 in 0..255"),
        (np.zeros((2, 2)), np.full((2, 2), 128, np.uint8), "to_label_map"),
    ],
)
def test_bad_input_is_refused_with_the_fix(prediction, reference, message):
    with pytest.raises(ValueError, match=message):
        LocalizationAccumulator().update(prediction, reference)


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(ValueError, match="must be bool"):
        pixel_f1(np.zeros((2, 2)), np.zeros((2, 2), np.uint8))


# What must not change a result


@given(IMAGES, THRESHOLDS)
@few
def test_8_bit_and_float_maps_give_identical_results(images, threshold):
    results = [
        compute([(read(values), labels) for values, labels in images], threshold=threshold)
        for read in (
            lambda u: u,
            lambda u: u / 255,
            lambda u: (u / 255).astype(np.float32),
            lambda u: torch.from_numpy(u.astype(np.float32) / np.float32(255)).requires_grad_(),
        )
    ]
    assert all(result == results[0] for result in results[1:])


def test_labels_may_be_bool_numbers_or_tensors():
    prediction, labels = next(blocks(1))
    results = [compute([(prediction, read)]) for read in (labels, labels == 1, labels * 1.0, torch.tensor(labels))]
    assert all(result == results[0] for result in results[1:])


@given(st.lists(labelled_maps(), min_size=2, max_size=6), st.randoms(use_true_random=False), THRESHOLDS)
@few
def test_splits_and_order_do_not_matter(images, random, threshold):
    whole = compute(images, threshold=threshold, authentic="zero")
    shuffled = random.sample(images, len(images))
    cut = random.randint(0, len(images))
    parts = [accumulate(part, threshold=threshold, authentic="zero") for part in (shuffled[:cut], shuffled[cut:])]
    travelled = pickle.loads(pickle.dumps(parts[1]))
    assert parts[0].merge(travelled).compute() == whole


def test_state_is_json_and_continues_a_run():
    images = list(blocks(6))
    whole = accumulate(images, threshold="oracle_dataset")
    first = accumulate(images[:3], threshold="oracle_dataset")
    resumed = LocalizationAccumulator(first.definition)
    resumed.load_state(json.loads(json.dumps(first.state())))
    for prediction, labels in images[3:]:
        resumed.update(prediction, labels)
    assert resumed.compute() == whole.compute() and resumed.rows == whole.rows


def test_compute_only_reduces():
    metric = accumulate(blocks(5))
    before = metric.compute()
    metric.compute(average="pooled", authentic="zero", polarity="permuted")
    assert metric.compute() == before
    assert metric.compute(average="pooled")["pixel_f1"] == before["pixel_f1_pooled"]


def test_per_image_values_are_those_behind_the_means():
    metric = LocalizationAccumulator()
    for index, (prediction, labels) in enumerate(blocks(6)):
        metric.update(prediction, labels, name=f"{index}.png")
    rows, result = metric.per_image(), metric.compute()
    assert [row["name"] for row in rows] == [f"{index}.png" for index in range(6)]
    for key in (*PIXEL_KEYS, *AUTHENTIC_KEYS):
        assert naive.mean([row[key] for row in rows]) == pytest.approx(result[key])


def test_accumulators_of_different_definitions_do_not_merge():
    other = LocalizationAccumulator(get_definition(threshold=0.3))
    with pytest.raises(ValueError, match=r"another definition \(threshold"):
        LocalizationAccumulator().merge(other)
    with pytest.raises(ValueError, match=r"another definition \(threshold"):
        LocalizationAccumulator().load_state(json.loads(json.dumps(other.state())))


# Pooled areas


def test_bins_never_swap_two_probabilities_and_part_the_levels_of_8_bits():
    rng = np.random.default_rng(0)
    values = np.sort(
        np.concatenate([rng.random(3000), np.exp(-80 * rng.random(3000)), 1 - 2.0 ** -rng.integers(1, 25, 9)])
    )
    values = np.concatenate([[0], values, [1]]).astype(np.float32)
    bins = bin_of(values, "logit")
    assert (np.diff(bins) >= 0).all() and bins[0] == 0 and bins[-1] == N_BINS["logit"] - 1
    assert len(set(bin_of(np.arange(256, dtype=np.float32) / 255, "logit").tolist())) == 256


@given(IMAGES)
@few
def test_pooled_areas_of_8_bit_maps_are_exact(images):
    result = compute(images, authentic="zero")
    kept = [(values[labels != 255], labels[labels != 255]) for values, labels in images]
    scores, mask = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    if mask.any() and not mask.all():
        assert result["pixel_auc_pooled"] == pytest.approx(naive.auc(scores, mask), abs=1e-12)
        assert result["pixel_ap_pooled"] == pytest.approx(naive.average_precision(scores, mask), abs=1e-12)


@pytest.mark.parametrize("mean_logit", [0, -14, 12])
def test_pooled_auc_of_saturated_maps_is_within_its_bound(mean_logit):
    rng = np.random.default_rng(1)
    images = []
    for _ in range(3):
        labels = (rng.random((64, 64)) < 0.2).astype(np.uint8)
        logits = rng.normal(mean_logit, 1, labels.shape) + 1.5 * labels
        images.append(((1 / (1 + np.exp(-logits))).astype(np.float32), labels))
    scores, mask = (np.concatenate([image[part].ravel() for image in images]) for part in (0, 1))
    exact = pixel_auc(scores[None], mask[None] == 1)
    result = compute(images)
    assert abs(result["pixel_auc_pooled"] - exact) <= result["pixel_auc_pooled_bound"] + 1e-12
    # Near 1 a float32 itself has few values left: the bins cannot be blamed for those ties, the bound counts them.
    assert result["pixel_auc_pooled_bound"] < (0.02 if mean_logit > 0 else 1e-3)
    assert result["pixel_auc_pooled"] == pytest.approx(exact, abs=1e-4)


# Thresholds of a data set


@given(IMAGES)
@few
def test_the_oracle_threshold_is_the_best_of_all(images):
    images = [(values, np.where(labels == 255, 0, labels)) for values, labels in images]
    forged = [(values, labels == 1) for values, labels in images if labels.any()]
    per_image = compute(images, threshold="oracle_image")
    per_set = compute(images, threshold="oracle_dataset")
    pooled = compute(images, threshold="oracle_dataset", average="pooled")
    if not forged:
        assert per_image["pixel_f1"] is None and per_set["pixel_f1"] is None and per_set["pixel_threshold"] is None
        return
    best = [max(naive.f1(v > cut, m) for cut in naive.cuts(v)) for v, m in forged]
    assert per_image["pixel_f1"] == pytest.approx(naive.mean(best)) == pytest.approx(per_image["pixel_f1_oracle"])
    values, mask = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*forged, strict=True))
    every = naive.cuts(values)
    assert per_set["pixel_f1"] == pytest.approx(max(naive.mean([naive.f1(v > t, m) for v, m in forged]) for t in every))
    assert pooled["pixel_f1"] == pytest.approx(max(naive.f1(values > t, mask) for t in every))


@given(IMAGES)
@few
def test_the_eer_threshold_balances_misses_and_false_alarms_of_pooled_pixels(images):
    result = compute(images, threshold="eer")
    kept = [(v[m != 255] / 255, m[m != 255] == 1) for v, m in images if (m == 1).any()]
    if not kept:
        assert result["pixel_threshold"] is None
        return
    values, mask = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    threshold = result["pixel_threshold"]
    flagged = values.astype(np.float32) > np.float32(threshold)
    assert result["pixel_f1_pooled"] == pytest.approx(naive.f1(flagged, mask))
    if not mask.all():
        gaps = [abs(alarms - misses) for alarms, misses in naive.rates(values, mask)]
        tp, fp, fn, tn = naive.confusion(flagged, mask)
        assert abs(fp / (fp + tn) - fn / (fn + tp)) == pytest.approx(min(gaps))


def test_the_grid_has_every_8_bit_level_and_reaches_saturated_maps():
    assert set(np.arange(256, dtype=np.float32) / np.float32(255)) <= set(GRID)
    assert (np.diff(GRID) > 0).all() and GRID[0] < 0 and GRID[1] < 1e-19 and 0 < 1 - GRID[-2] < 1e-7


# Scores of images


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.9]), st.booleans()), min_size=1, max_size=12))
@few
def test_image_level_values_equal_naive_ones(rows):
    scores, labels = map(list, zip(*rows, strict=True))
    result = detect(scores, labels)
    flagged = [score > 0.5 for score in scores]
    tp, fp, fn, tn = naive.confusion(flagged, labels)
    assert result["image_acc"] == pytest.approx((tp + tn) / len(rows))
    assert result["image_log_loss"] == pytest.approx(naive.log_loss(scores, labels))
    assert result["image_f1"] == (pytest.approx(naive.f1(flagged, labels)) if tp + fn else None)
    assert result["image_sensitivity"] == (pytest.approx(tp / (tp + fn)) if tp + fn else None)
    assert result["image_specificity"] == (pytest.approx(tn / (tn + fp)) if tn + fp else None)
    if len(set(labels)) == 1:
        for key in ("image_auc", "image_ap", "image_eer", "image_balanced_acc"):
            assert result[key] is None and result["undefined"][key] == "images of one class only"
        return
    assert result["image_auc"] == pytest.approx(naive.auc(scores, labels))
    assert result["image_ap"] == pytest.approx(naive.average_precision(scores, labels))
    assert result["image_eer"] == pytest.approx(naive.eer(scores, labels))
    assert result["image_balanced_acc"] == pytest.approx((tp / (tp + fn) + tn / (tn + fp)) / 2)


def test_video_auc_averages_frames_of_data_set_method_and_id():
    groups = [("ff", "real", "071"), ("ff", "real", "071"), ("ff", "swap", "071"), ("ff", "swap", "071")]
    result = detect([0.1, 0.7, 0.6, 0.4], [0, 0, 1, 1], groups)
    assert result["video_auc"] == 1.0  # 0.4 against 0.5; frames alone have 0.5
    assert result["image_auc"] == 0.5
    with pytest.raises(ValueError, match="method, video id"):
        DetectionAccumulator().update(0.5, 1, "071")
    with pytest.raises(ValueError, match="both labels"):
        detect([0.1, 0.7], [0, 1], [groups[0], groups[0]])


def test_scores_of_nan_are_skipped_and_logits_refused():
    result = detect([0.9, float("nan"), 0.2], [1, 1, 0])
    assert result["image_auc"] == 1 and result["skipped"] == {"the score is NaN": 1}
    with pytest.raises(ValueError, match="sigmoid"):
        DetectionAccumulator().update(3.2, 1)
    with pytest.raises(ValueError, match="neither 0"):
        DetectionAccumulator().update(0.2, 2)
