"""Concept activation vectors: a planted dependence is found, with its sign; a random one is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.evaluation.concepts import (
    concept_direction,
    examine_concept,
    permutation_test,
    separation_accuracy,
    tcav_score,
)

CHANNELS = 12


def planted(seed, strength=5.0, count=40, kinds=4):
    """Examples whose channel 2 is raised by the concept, each with counterparts that lack it."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(count, CHANNELS))
    fillings = common[:, None] + rng.normal(size=(count, kinds, CHANNELS))
    concept = common + rng.normal(size=(count, CHANNELS))
    concept[:, 2] += strength
    return concept, fillings


def gradients_along(direction, seed, count=60, noise=0.1):
    return direction + noise * np.random.default_rng(seed).normal(size=(count, CHANNELS))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_direction_points_at_what_was_planted(seed):
    concept, fillings = planted(seed, count=200)
    direction = concept_direction(concept, fillings[:, 0])
    assert np.linalg.norm(direction) == pytest.approx(1)
    assert direction[2] > 0.85


def test_the_direction_is_that_of_the_least_squares_classifier():
    rng = np.random.default_rng(0)
    concept, others = rng.normal(1, 1, (30, 4)), rng.normal(0, 2, (50, 4))
    samples = np.c_[np.concatenate([concept, others]), np.ones(80)]
    weights = np.linalg.lstsq(samples, np.repeat([1.0, 0.0], [30, 50]), rcond=None)[0][:4]
    expected = weights / np.linalg.norm(weights)
    np.testing.assert_allclose(concept_direction(concept, others, ridge=0.0), expected, atol=1e-9)


def test_two_equal_sets_have_no_direction_and_fewer_examples_than_channels_have_one():
    same = np.random.default_rng(0).normal(size=(6, 3))
    assert np.abs(concept_direction(np.zeros((4, 3)), np.zeros((4, 3)))).max() == 0
    assert np.isfinite(concept_direction(same[:2], same[2:4])).all()


def test_accuracy_is_perfect_with_a_wide_gap_and_chance_without_a_concept():
    for strength, low, high in ((50.0, 1.0, 1.0), (0.0, 0.35, 0.65)):
        concept, fillings = planted(1, strength, count=200)
        halves = [(concept[part], fillings[part, 0]) for part in (slice(100), slice(100, 200))]
        assert low <= separation_accuracy(concept_direction(*halves[0]), *halves) <= high


def test_the_score_is_the_share_of_positive_slopes():
    gradients = np.array([[1.0, 9.0], [-2.0, 9.0], [3.0, -9.0], [0.0, 1.0]])
    assert tcav_score(gradients, np.array([1.0, 0.0])) == (2 + 0.5) / 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_opposite_directions_share_the_inputs_between_them(seed):
    rng = np.random.default_rng(seed)
    gradients, direction = rng.normal(size=(7, 3)), rng.normal(size=3)
    assert tcav_score(gradients, direction) + tcav_score(gradients, -direction) == pytest.approx(1)
    assert tcav_score(gradients * 5, direction * 2) == tcav_score(gradients, direction)


def test_permutations_by_enumeration():
    """Three against three: of the 20 ways to label, only the two extreme ones are as far apart."""
    p = permutation_test(np.array([1.0, 2, 3]), np.array([7.0, 8, 9]), draws=20_000)
    assert p == pytest.approx(2 / 20, abs=0.01)


def test_permutation_p_values_are_uniform_where_nothing_differs():
    rng = np.random.default_rng(0)
    p_values = [permutation_test(rng.normal(size=8), rng.normal(size=8), draws=500) for _ in range(200)]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.1) <= 0.2
    assert permutation_test(np.ones(5), np.ones(5), draws=100) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_concept_that_the_prediction_uses_is_found_with_its_sign(sign):
    concept, fillings = planted(0)
    used = np.eye(CHANNELS)[2] * sign
    result = examine_concept(concept, fillings, gradients_along(used, seed=1))
    assert (result.score > 0.95) if sign > 0 else (result.score < 0.05)
    assert result.p_value < 0.01
    assert result.accuracy > 0.85
    assert result.examples == 40


def test_a_random_concept_is_not_found():
    """Nothing tells the concept from its counterparts: the same kind of directions on both sides."""
    p_values = []
    for seed in range(20):
        concept, fillings = planted(seed, strength=0.0)
        result = examine_concept(concept, fillings, gradients_along(np.eye(CHANNELS)[2], seed), seed=seed)
        p_values.append(result.p_value)
        assert 0.35 < result.accuracy < 0.65
    assert np.mean(np.array(p_values) < 0.01) <= 0.35  # halves of the same examples are not independent
    assert np.median(p_values) > 0.05


def test_a_concept_that_the_prediction_does_not_use_scores_like_a_coin():
    concept, fillings = planted(3)
    result = examine_concept(concept, fillings, gradients_along(np.zeros(CHANNELS), seed=2, count=400))
    assert result.accuracy > 0.85
    assert 0.4 < result.score < 0.6


def test_too_few_examples_are_refused():
    with pytest.raises(ValueError, match="at least 4 examples"):
        examine_concept(np.zeros((3, 2)), np.zeros((3, 2, 2)), np.zeros((5, 2)))
