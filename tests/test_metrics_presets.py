"""Every preset against an independent naive implementation, and the facts that set the definitions apart."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import naive_metrics as naive
from ifl_hub.metrics import PRESETS, LocalizationAccumulator, get_definition, image_counts
from metric_cases import blocks, compute, detect, labelled_maps

ALL = st.lists(labelled_maps(), min_size=1, max_size=5).map(
    lambda images: [(values, np.where(labels == 255, 0, labels)) for values, labels in images]
)
some = settings(max_examples=25)


def agree(result, expected):
    for key, value in expected.items():
        assert result[key] == (None if value is None else pytest.approx(value, abs=1e-9)), key


def forged_only(images):
    return [(values / 255, labels == 1) for values, labels in images if labels.any()]


def all_of(images):
    return [(values / 255, labels == 1) for values, labels in images]


def pool(images):
    return tuple(np.concatenate([part.ravel() for part in parts]) for parts in zip(*images, strict=True))


def per_image_mean(measure, images, threshold=0.5):
    return naive.mean([measure(values > threshold, mask) for values, mask in images])


def top_percent(values):
    """Of fewer than a hundred pixels, one."""
    return float(values.max())


def of_images(images, keys):
    scores = [top_percent(values) for values, _ in all_of(images)]
    labels = [bool(labels.any()) for _, labels in images]
    flagged = [score > 0.5 for score in scores]
    tp, fp, fn, tn = naive.confusion(flagged, labels)
    both = tp + fn > 0 and fp + tn > 0
    values = {
        "image_auc": naive.auc(scores, labels),
        "image_acc": (tp + tn) / len(labels),
        "image_f1": naive.f1(flagged, labels) if tp + fn else None,
        "image_eer": naive.eer(scores, labels) if both else None,
        "image_ap": naive.average_precision(scores, labels),
        "image_balanced_acc": (tp / (tp + fn) + tn / (tn + fp)) / 2 if both else None,
    }
    return {key: values[key] for key in keys}


def plain(images):
    """Mean over forged images at 0.5: `default`, and our reading of three papers."""
    forged = forged_only(images)
    values = {
        "pixel_f1": per_image_mean(naive.f1, forged),
        "pixel_auc": naive.mean([naive.auc(*image) for image in forged]),
        "pixel_f1_pooled": None,
        "pixel_auc_pooled": None,
    }
    if forged:
        scores, mask = pool(forged)
        values["pixel_f1_pooled"], values["pixel_auc_pooled"] = naive.f1(scores > 0.5, mask), naive.auc(scores, mask)
    authentic = [values for values, mask in all_of(images) if not mask.any()]
    values["authentic_fpr"] = naive.mean([float((v > 0.5).mean()) for v in authentic])
    values["authentic_alarm_rate"] = naive.mean([float((v > 0.5).any()) for v in authentic])
    return values


@given(ALL)
@some
def test_default(images):
    forged = forged_only(images)
    expected = plain(images) | {
        "pixel_precision": per_image_mean(naive.precision, forged),
        "pixel_recall": per_image_mean(naive.recall, forged),
        "pixel_iou": per_image_mean(naive.iou, forged),
        "pixel_mcc": naive.mean([naive.correlation(v > 0.5, m) for v, m in forged if not m.all()]),
        "pixel_ap": naive.mean([naive.average_precision(*image) for image in forged]),
        "pixel_f1_oracle": naive.mean([max(naive.f1(v > t, m) for t in naive.cuts(v)) for v, m in forged]),
        "pixel_f1_permuted": naive.mean([max(naive.f1(v > 0.5, m), naive.f1(v <= 0.5, m)) for v, m in forged]),
    }
    agree(compute(images), expected | of_images(images, ["image_auc", "image_eer", "image_acc", "image_f1"]))


@given(ALL, st.sampled_from(["paper_sumi_ifl", "paper_ncl"]))
@some
def test_papers_read_as_the_mean_over_forged_images(images, preset):
    agree(compute(images, preset=preset), plain(images))


@given(ALL)
@some
def test_paper_diff_forensics(images):
    expected = plain(images) | of_images(images, ["image_acc", "image_auc", "image_eer", "image_f1"])
    agree(compute(images, preset="paper_diff_forensics"), expected)


@given(ALL)
@some
def test_paper_safl_net(images):
    result = compute(images, preset="paper_safl_net")
    forged = forged_only(images)
    if not forged:
        assert result["pixel_f1"] is None
        return
    scores, mask = pool(forged)
    at = result["pixel_threshold"]
    flagged = [(v.astype(np.float32) > np.float32(at), m) for v, m in forged]
    assert result["pixel_f1"] == pytest.approx(naive.mean([naive.f1(f, m) for f, m in flagged]))
    if not mask.all():
        tp, fp, fn, tn = naive.confusion(scores.astype(np.float32) > np.float32(at), mask)
        gaps = [abs(alarms - misses) for alarms, misses in naive.rates(scores, mask)]
        assert abs(fp / (fp + tn) - fn / (fn + tp)) == pytest.approx(min(gaps))
    image_scores = [top_percent(v) for v, _ in all_of(images)]
    labels = [bool(labels.any()) for _, labels in images]
    if all(labels):
        assert result["image_auc"] is None
    else:
        points = naive.rates(image_scores, labels)
        alarms, misses = min(points, key=lambda point: abs(point[0] - point[1]))
        best = abs(alarms - misses)
        reached = abs((1 - result["image_specificity"]) - (1 - result["image_sensitivity"]))
        assert reached == pytest.approx(best)
    ablation = compute(images, preset="paper_safl_net", threshold=0.5, score_threshold=0.5)
    assert ablation["pixel_f1"] == pytest.approx(plain(images)["pixel_f1"])


# Eighths, so that equal means of videos are equal in floating point as well.
@given(st.lists(st.tuples(st.sampled_from([0.125, 0.375, 0.5, 0.75]), st.integers(0, 3)), min_size=1, max_size=14))
@some
def test_paper_exposing_deception(frames):
    scores, videos = map(list, zip(*frames, strict=True))
    labels = [video % 2 for video in videos]
    result = detect(
        scores, labels, [("set", f"m{video % 2}", str(video)) for video in videos], preset="paper_exposing_deception"
    )
    means = {video: naive.mean([s for s, v in frames if v == video]) for video in videos}
    agree(
        result,
        {
            "image_acc": naive.mean([float((s > 0.5) == bool(label)) for s, label in zip(scores, labels, strict=True)]),
            "image_auc": naive.auc(scores, labels),
            "image_log_loss": naive.log_loss(scores, labels),
            "video_auc": naive.auc(list(means.values()), [video % 2 for video in means]),
        },
    )


TWO_CUTS_EQUALLY_NEAR = [
    (0.1, 0),
    (0.1, 0),
    (0.1, 1),
    (0.25, 0),
    (0.25, 1),
    (0.25, 1),
    (0.25, 1),
    (0.5, 0),
    (0.5, 0),
    (0.5, 1),
]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.9]), st.booleans()), min_size=2, max_size=14))
@example([(score, bool(label)) for score, label in TWO_CUTS_EQUALLY_NEAR])
@some
def test_deepfakebench_frame(rows):
    scores, labels = map(list, zip(*rows, strict=True))
    both = len(set(labels)) == 2
    agree(
        detect(scores, labels, preset="deepfakebench_frame"),
        {
            "image_auc": naive.auc(scores, labels),
            "image_ap": naive.average_precision(scores, labels),
            "image_acc": naive.mean([float((s > 0.5) == label) for s, label in rows]),
            "image_eer": naive.nearest_eer(scores, labels) if both else None,
        },
    )


@given(ALL)
@some
def test_imdlbenco(images):
    everything = all_of(images)
    areas = [naive.auc(values, mask) if mask.any() else 0.0 for values, mask in everything]
    expected = {
        "pixel_f1": naive.mean([naive.f1_with_epsilon(v > 0.5, m, 1e-8) for v, m in everything]),
        "pixel_auc": naive.mean(areas),
    }
    agree(compute(images, preset="imdlbenco"), expected | of_images(images, ["image_f1", "image_acc", "image_auc"]))


@given(ALL)
@some
def test_imdlbenco_permuted(images):
    pairs = [(v > 0.5, m) for v, m in all_of(images)]
    best = [max(naive.f1_with_epsilon(f, m, 1e-8), naive.f1_with_epsilon(~f, m, 1e-8)) for f, m in pairs]
    agree(compute(images, preset="imdlbenco_permuted"), {"pixel_f1": naive.mean(best), "pixel_auc": None})


@st.composite
def images_with_rectangles(draw):
    height, width = draw(st.integers(14, 22)), draw(st.integers(14, 22))
    mask = np.zeros((height, width), np.uint8)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : draw(st.integers(top, height)), left : draw(st.integers(left, width))] = 1
    cells = draw(hnp.arrays(np.uint8, (3, 3), elements=st.sampled_from([0, 60, 127, 128, 255])))
    return np.kron(cells, np.ones((8, 8), np.uint8))[:height, :width], mask


@given(st.lists(images_with_rectangles(), min_size=1, max_size=4))
@some
def test_trufor(images):
    at_half, best = [], []
    for values, mask in forged_only(images):
        kept = naive.band(mask)
        if (kept & mask).any():
            v, m = values[kept], mask[kept]
            at_half.append(max(naive.f1(v > 0.5, m), naive.f1(v <= 0.5, m)))
            best.append(max(max(naive.f1(v > t, m), naive.f1(v <= t, m)) for t in naive.cuts(v)))
    expected = {"pixel_f1": naive.mean(at_half), "pixel_f1_oracle": naive.mean(best)}
    result = compute(images, preset="trufor")
    agree(result, expected)
    scores = [np.sort(v.ravel())[-max(1, -(-v.size // 100)) :].mean() for v, _ in all_of(images)]
    labels = [bool(labels.any()) for _, labels in images]
    agree(result, {"image_auc": naive.auc(np.round(scores, 6), labels)})


@given(
    st.lists(
        st.tuples(hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1)), st.sampled_from([0, 1])),
        min_size=1,
        max_size=6,
    )
)
@some
def test_mvss(cases):
    labels = np.zeros((3, 4), np.uint8)
    labels[1:, :2] = 1
    images = [(np.float32(values), labels * forged) for values, forged in cases]
    stored = [((values * np.float32(255)).astype(np.uint8), mask == 1) for values, mask in images]
    scores = [v.max() / 255 for v, _ in stored]
    truth = [bool(mask.any()) for _, mask in stored]
    tp, fp, fn, tn = naive.confusion([score > 0.5 for score in scores], truth)
    sensitivity = tp / (tp + fn) if tp + fn else None
    specificity = tn / (tn + fp) if tn + fp else None
    harmonic = None
    if sensitivity is not None and specificity is not None:
        harmonic = 2 * sensitivity * specificity / (sensitivity + specificity) if sensitivity + specificity else 0.0
    expected = {
        "pixel_f1": naive.mean([naive.f1(v > 127, m) for v, m in stored if m.any()]),
        "image_f1": harmonic,
        "image_auc": naive.auc(scores, truth),
        "image_acc": (tp + tn) / len(truth),
    }
    agree(compute(images, preset="mvss"), expected)


def test_the_cut_to_8_bits_keeps_an_8_bit_map_and_rounds_others_down():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mask = (levels > 100).astype(np.uint8)
    cut, whole = (compute([(levels / 255, mask)], eight_bit=eight_bit) for eight_bit in (True, False))
    assert cut.pop("definition") != whole.pop("definition")
    assert cut == whole
    row = image_counts(np.full((1, 2), 127.9 / 255), np.array([[1, 0]]), get_definition("mvss"))
    assert row.score == np.float32(127 / 255) and row.hits == (0,)


@given(ALL)
@some
def test_catnet(images):
    everything = all_of(images)
    scores, mask = pool(everything)
    expected = {
        "pixel_miou": per_image_mean(naive.mean_iou, everything),
        "pixel_miou_permuted": naive.mean(
            [max(naive.mean_iou(v > 0.5, m), naive.mean_iou(v <= 0.5, m)) for v, m in everything]
        ),
        "pixel_miou_pooled": naive.mean_iou(scores > 0.5, mask),
        "pixel_f1": None,
    }
    agree(compute(images, preset="catnet"), expected)


@given(ALL)
@some
def test_photoholmes_pooled(images):
    everything = all_of(images)
    scores, mask = pool(everything)
    thresholds = np.linspace(0, 1, 100).astype(np.float32)
    rates = [(0.0, 0.0)]
    for threshold in thresholds[::-1]:
        tp, fp, fn, tn = naive.confusion(scores.astype(np.float32) >= threshold, mask)
        rates.append((fp / max(fp + tn, 1), tp / max(tp + fn, 1)))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(rates))
    expected = {
        "pixel_f1": naive.f1(scores > 0.5, mask),
        "pixel_iou": naive.iou(scores > 0.5, mask),
        "pixel_auc": area if mask.any() and not mask.all() else 0.0,
    }
    agree(compute(images, preset="photoholmes_pooled"), expected)
    per_image = naive.mean([naive.auc(*image) or 0.0 for image in everything])
    agree(compute(images, preset="photoholmes_pooled", average="image"), {"pixel_auc": per_image})


@given(ALL)
@some
def test_smp_micro(images):
    scores, mask = pool(all_of(images))
    at_128 = compute(images, preset="smp_micro", threshold=128 / 255)
    for result, flagged in ((compute(images, preset="smp_micro"), scores >= 0.5), (at_128, scores >= 128 / 255)):
        tp, fp, fn, _ = naive.confusion(flagged, mask)
        empty = tp + fp + fn == 0
        agree(
            result,
            {
                "pixel_f1": 1.0 if empty else 2 * tp / (2 * tp + fp + fn),
                "pixel_iou": 1.0 if empty else tp / (tp + fp + fn),
            },
        )


# Facts


def test_ground_truth_scores_one_and_half_where_authentic_images_count_zero():
    images = [(mask.astype(np.float32), mask) for _, mask in blocks(8)]
    result = compute(images)
    for key in ("pixel_f1", "pixel_iou", "pixel_auc", "pixel_mcc", "pixel_f1_pooled", "pixel_auc_pooled"):
        assert result[key] == 1, key
    assert result["n_authentic"] == 4
    peer = compute(images, preset="imdlbenco")
    assert peer["pixel_f1"] == pytest.approx(0.5) and peer["pixel_auc"] == 0.5


def test_a_forgery_thinner_than_15_pixels_vanishes_under_the_trufor_band():
    for side, known in ((14, False), (15, True)):
        mask = np.zeros((40, 40), np.uint8)
        mask[5 : 5 + side, 5 : 5 + side] = 1
        result = compute([(mask.astype(np.float32), mask)], preset="trufor")
        assert result["pixel_f1"] == (1.0 if known else None)
        assert result["n_skipped"] == (0 if known else 1)


def test_binning_moves_the_auc_of_an_image_and_is_not_done():
    """Steps of 1/256 would lose the order within a saturated map; areas of an image come from its exact values."""
    rng = np.random.default_rng(0)
    mask = (rng.random((64, 64)) < 0.3).astype(np.uint8)
    values = (1 / (1 + np.exp(6 - rng.normal(0, 1, mask.shape) - mask))).astype(np.float32)
    exact = naive.auc(values[:20, :20], mask[:20, :20])
    assert compute([(values[:20, :20], mask[:20, :20])])["pixel_auc"] == pytest.approx(exact, abs=1e-12)
    coarse = np.floor(values[:20, :20] * 256) / 256
    assert abs(naive.auc(coarse, mask[:20, :20]) - exact) > 0.01


def test_permuted_rewards_an_inverted_map_and_cannot_tell_all_forged_from_empty():
    images = [(prediction, mask) for prediction, mask in blocks(4) if mask.any()]
    inverted = [(1 - mask.astype(np.float32), mask) for _, mask in images]
    assert compute(inverted)["pixel_f1"] == 0
    assert compute(inverted, polarity="permuted")["pixel_f1"] == 1
    full, empty = ([(np.full(mask.shape, value), mask) for _, mask in images] for value in (1.0, 0.0))
    assert compute(full, polarity="permuted")["pixel_f1"] == compute(empty, polarity="permuted")["pixel_f1"] > 0
    assert compute(full)["pixel_f1"] > compute(empty)["pixel_f1"] == 0


def test_all_forged_is_no_perfect_answer():
    """As it is under a mean IoU that leaves out the background label."""
    images = [(np.ones(mask.shape), mask) for _, mask in blocks(4)]
    for preset in ("default", "catnet", "smp_micro"):
        result = compute(images, preset=preset)
        assert not any(
            result[key] is not None and result[key] > 0.75 for key in ("pixel_f1", "pixel_miou", "pixel_iou")
        )


def test_definitions_disagree_on_the_same_predictions():
    images = list(blocks(10))
    scores = [compute(images, preset=preset)["pixel_f1"] for preset in ("default", "imdlbenco", "smp_micro")]
    assert max(scores) > 1.5 * min(scores)


# Choices


@pytest.mark.parametrize("preset", PRESETS)
def test_a_result_names_its_definition(preset):
    definition = compute(list(blocks(2)), preset=preset)["definition"]
    assert definition["preset"] == preset and definition["resolution"] == "original"
    assert {"threshold", "boundary", "ignore_value", "average", "authentic", "polarity"} <= set(definition)


def test_what_a_preset_does_not_define_is_none_with_that_reason():
    result = compute(list(blocks(2)), preset="catnet")
    assert result["pixel_f1"] is None and result["undefined"]["pixel_f1"] == "the preset catnet does not define it"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"preset": "imdlbeno"}, "did you mean 'imdlbenco'"),
        ({"treshold": 0.3}, "no such choice"),
        ({"threshold": 1.5}, "give a number in"),
        ({"threshold": None}, "give a number in"),
        ({"threshold": "best"}, "oracle_image"),
        ({"boundary": (4, 3)}, "odd window sides"),
        ({"ignore_value": 1}, "label of a class"),
        ({"average": "median"}, "choose from image, pooled"),
        ({"image_eer": "exact"}, "choose from interpolated, nearest"),
    ],
)
def test_unknown_choices_are_refused_with_the_allowed_ones(choices, message):
    with pytest.raises(ValueError, match=message):
        get_definition(**choices)


def test_arguments_of_compute_are_checked_too():
    with pytest.raises(ValueError, match="choose from exclude, zero, empty_is_one"):
        LocalizationAccumulator().compute(authentic="one")
