"""The objective of Exposing the Deception against its equations: bounds, equality, direction, gradients, weighting."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ifl_hub.modeling.exposing_deception.losses_exposing_deception import (
    global_information_loss,
    label_cross_entropy,
    local_information_loss,
    prediction_divergence,
    weighted_sum,
)

FORMS = {"direction": ("forward", "reverse"), "reduction": ("sum", "mean"), "temperature": (1.0, 1.5)}
forms = st.fixed_dictionaries({name: st.sampled_from(options) for name, options in FORMS.items()})
seeds = st.integers(0, 10_000)


def noise(*shape, seed=0, scale=2.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def divergence_by_hand(joint, other, direction="forward", reduction="sum", temperature=1.0):
    def probabilities(logits):
        powers = np.exp(logits.double().numpy() / temperature)
        return powers / powers.sum(-1, keepdims=True)

    p, q = probabilities(joint), probabilities(other)
    p, q = (p, q) if direction == "forward" else (q, p)
    total = (p * np.log(p / q)).sum(-1).mean()
    return total / joint.shape[-1] if reduction == "mean" else total


@given(seed=seeds, batch=st.integers(1, 6), classes=st.integers(2, 4), form=forms)
def test_divergence_is_the_formula(seed, batch, classes, form):
    joint, other = noise(batch, classes, seed=seed), noise(batch, classes, seed=seed + 1)
    value = prediction_divergence(joint, other, **form).item()
    assert value == pytest.approx(divergence_by_hand(joint, other, **form), rel=1e-4, abs=1e-6)
    shifted = prediction_divergence(joint + 3, other - 5, **form).item()
    assert shifted == pytest.approx(value, rel=1e-3, abs=1e-5)


def test_the_codes_form_is_reversed_softened_and_halved():
    """As the published code calls torch: the softened log of P_Z as input, P_x as target, the mean over B and C."""
    joint, other = noise(5, 2), noise(5, 2, seed=1)
    official = torch.nn.functional.kl_div(
        (joint / 1.5).log_softmax(-1), (other / 1.5).softmax(-1), reduction="none"
    ).mean()
    ours = prediction_divergence(joint, other, direction="reverse", reduction="mean", temperature=1.5)
    assert ours.item() == pytest.approx(official.item(), rel=1e-5)
    assert ours.item() != pytest.approx(prediction_divergence(joint, other).item(), rel=0.2)


@given(seed=seeds, batch=st.integers(1, 5), blocks=st.integers(2, 5), form=forms)
def test_lil_lies_in_its_range_and_is_a_product_over_the_blocks(seed, batch, blocks, form):
    joint, others = noise(batch, 2, seed=seed), noise(batch, blocks, 2, seed=seed + 1)
    loss = local_information_loss(joint, others, **form).item()
    assert 0 < loss <= 1
    factors = [math.exp(-divergence_by_hand(joint, others[:, i], **form)) for i in range(blocks)]
    assert loss == pytest.approx(math.prod(factors), rel=1e-4)


@given(seed=seeds, blocks=st.integers(2, 4), form=forms, shift=st.floats(-5, 5))
def test_lil_is_1_exactly_where_no_block_is_missed(seed, blocks, form, shift):
    joint = noise(4, 2, seed=seed)
    agreeing = joint[:, None].expand(-1, blocks, -1) + shift
    assert local_information_loss(joint, agreeing, **form).item() == pytest.approx(1, abs=1e-6)
    agreeing = agreeing.clone()
    agreeing[0, 0, 0] += 1
    assert local_information_loss(joint, agreeing, **form).item() < 1 - 1e-5


@given(seed=seeds, form=forms)
def test_lil_falls_as_the_leave_one_out_heads_part_from_the_joint_one(seed, form):
    joint, direction = noise(4, 2, seed=seed, scale=1.0), torch.tensor([1.0, -1.0])
    values = [
        local_information_loss(joint, (joint + step * direction)[:, None].expand(-1, 3, -1), **form).item()
        for step in (0.0, 0.2, 0.5, 1.0, 1.5)
    ]
    assert all(earlier > later for earlier, later in pairwise(values))


def test_the_batch_is_averaged_inside_the_exponential():
    joint = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    others = torch.tensor([[[0.0, 0.0]] * 2, [[3.0, 0.0]] * 2])
    per_sample = [local_information_loss(joint[i : i + 1], others[i : i + 1]).item() for i in range(2)]
    together = local_information_loss(joint, others).item()
    assert together == pytest.approx(math.sqrt(math.prod(per_sample)))
    assert together < sum(per_sample) / 2 - 0.05


@given(seed=seeds, form=forms)
def test_gil_is_0_where_nothing_is_lost_and_positive_elsewhere(seed, form):
    joint, other = noise(4, 2, seed=seed), noise(4, 2, seed=seed + 1)
    assert global_information_loss(joint, joint + 2, **form).item() == pytest.approx(0, abs=1e-6)
    value = global_information_loss(joint, other, **form).item()
    assert value > 0
    assert value == pytest.approx(divergence_by_hand(joint, other, **form), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("direction", FORMS["direction"])
def test_extreme_logits_give_finite_losses_and_gradients(dtype, direction):
    extreme = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]], dtype=dtype)
    for first, second in ((extreme, extreme), (extreme, extreme.flip(1))):
        others = second[:, None].repeat(1, 2, 1).requires_grad_()
        logits = second.clone().requires_grad_()
        for loss, leaf in (
            (local_information_loss(first, others, direction), others),
            (global_information_loss(first, logits, direction), logits),
            (label_cross_entropy(logits, torch.tensor([0, 1, 0])), logits),
        ):
            assert loss.dtype == torch.float32
            assert torch.isfinite(loss)
            [gradient] = torch.autograd.grad(loss, leaf)
            assert torch.isfinite(gradient).all()


@given(seed=seeds, share=st.floats(0, 1))
def test_mixed_labels_are_mixed_losses(seed, share):
    logits, first, second = noise(5, 2, seed=seed), torch.tensor([0, 1, 1, 0, 1]), torch.tensor([1, 1, 0, 0, 0])
    soft = share * torch.eye(2)[first] + (1 - share) * torch.eye(2)[second]
    expected = share * label_cross_entropy(logits, first) + (1 - share) * label_cross_entropy(logits, second)
    assert label_cross_entropy(logits, soft).item() == pytest.approx(expected.item(), rel=1e-5)


@given(loss=st.floats(1e-3, 50))
def test_the_weighting_is_lowest_at_its_closed_form(loss):
    best = (loss + math.sqrt(loss**2 + 8 * loss)) / 4
    variance = torch.tensor([best], dtype=torch.float64, requires_grad=True)
    value = weighted_sum([torch.tensor(loss, dtype=torch.float64)], variance)
    [slope] = torch.autograd.grad(value, variance)
    assert slope.item() == pytest.approx(0, abs=1e-6)
    for other in (0.8 * best, 1.25 * best):
        assert weighted_sum([torch.tensor(loss)], torch.tensor([other])).item() > value.item()


@given(values=st.lists(st.floats(0, 20), min_size=1, max_size=3), variance=st.floats(1e-6, 10))
def test_the_weighted_sum_is_never_negative(values, variance):
    losses = [torch.tensor(value) for value in values]
    assert weighted_sum(losses, torch.full((len(losses),), variance)).item() >= 0
