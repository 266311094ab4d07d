"""Pixel metrics against naive references and their undefined cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ifl_hub.metrics import pixel_auc, pixel_f1

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
LEVELS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


@st.composite
def maps_and_masks(draw):
    shape = draw(SHAPES)
    return draw(hnp.arrays(np.float32, shape, elements=LEVELS.map(np.float32))), draw(hnp.arrays(np.bool_, shape))


def naive_auc(scores, mask):
    """The share of (forged, authentic) pixel pairs in the right order, a tie counting one half."""
    forged, authentic = scores[mask], scores[~mask]
    wins = sum((f > a) + 0.5 * (f == a) for f in forged for a in authentic)
    return wins / (len(forged) * len(authentic))


@given(maps_and_masks())
def test_auc_equals_the_pairwise_definition(case):
    scores, mask = case
    if mask.all() or not mask.any():
        assert pixel_auc(scores, mask) is None
    else:
        assert pixel_auc(scores, mask) == pytest.approx(naive_auc(scores, mask), abs=1e-12)


@given(maps_and_masks())
def test_f1_equals_harmonic_mean_of_precision_and_recall(case):
    scores, mask = case
    value = pixel_f1(scores, mask)
    if not mask.any():
        assert value is None
        return
    predicted = scores > 0.5
    hits = (predicted & mask).sum()
    precision = hits / predicted.sum() if predicted.any() else 0.0
    recall = hits / mask.sum()
    expected = 2 * precision * recall / (precision + recall) if hits else 0.0
    assert value == pytest.approx(expected, abs=1e-12)


def test_threshold_is_strict():
    mask = np.ones((2, 2), bool)
    assert pixel_f1(np.full((2, 2), 0.5), mask) == 0.0
    assert pixel_f1(np.full((2, 2), 0.5), mask, threshold=0.49) == 1.0


def test_a_constant_map_has_auc_one_half():
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    assert pixel_auc(np.full((4, 4), 0.3), mask) == 0.5


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(ValueError, match="original pixel grid"):
        pixel_auc(np.zeros((4, 4)), np.zeros((4, 5), bool))


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(ValueError, match="must be bool"):
        pixel_f1(np.zeros((2, 2)), np.zeros((2, 2), np.uint8))
