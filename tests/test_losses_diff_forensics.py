"""DiffForensics' losses against hand-computed values and the properties of the spec's section 8."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.modeling.diff_forensics.losses_diff_forensics import (
    class_weights_from_counts,
    denoising_loss,
    detection_loss,
    dice_loss,
    edge_labels,
    edge_loss,
    weighted_cross_entropy,
)

seeds = st.integers(0, 2**31 - 1)


def random_labels(seed, *shape, ignored=0.0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(shape, generator=generator) < 0.5).long()
    return labels.masked_fill(torch.rand(shape, generator=generator) < ignored, 255)


# -- eq. 1 and 5 -------------------------------------------------------------------------------------------------------


def test_predicting_nothing_costs_the_noises_variance():
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert denoising_loss(torch.zeros_like(noise), noise).item() == pytest.approx(1, abs=0.05)
    assert denoising_loss(noise.bfloat16(), noise.bfloat16()).item() == 0


@settings(max_examples=10)
@given(seed=seeds)
def test_equal_weights_give_torchs_cross_entropy(seed):
    labels = random_labels(seed, 2, 5, 6)
    logits = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(seed)) * 20
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    torch.testing.assert_close(weighted_cross_entropy(logits, labels, 1, 1), expected)
    weighted = 0.5 * F.binary_cross_entropy_with_logits(logits[:, 0], labels.float(), pos_weight=torch.tensor(4.0))
    torch.testing.assert_close(weighted_cross_entropy(logits, labels, 2, 0.5), weighted)


def test_cross_entropy_by_hand_and_of_huge_logits():
    labels = torch.tensor([[[1, 0], [255, 0]]])
    logits = torch.tensor([[[[1.0, -2.0], [9.0, 3.0]]]])
    expected = (2 * math.log1p(math.exp(-1)) + 0.5 * math.log1p(math.exp(-2)) + 0.5 * math.log1p(math.exp(3))) / 3
    assert weighted_cross_entropy(logits, labels, 2, 0.5).item() == pytest.approx(expected)
    assert weighted_cross_entropy(torch.full((1, 1, 2, 2), -1e4), labels, 2, 0.5).item() == pytest.approx(2e4 / 3)


# -- eq. 6 -------------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds, smooth=st.floats(0, 2), reduction=st.sampled_from(["sample", "batch"]))
def test_dice_lies_between_0_and_1_and_is_0_for_the_truth(seed, smooth, reduction):
    generator = torch.Generator().manual_seed(seed)
    labels = random_labels(seed, 3, 6, 5, ignored=0.2)
    valid, target = labels != 255, labels == 1
    value = dice_loss(torch.rand(3, 6, 5, generator=generator), target, valid, smooth, reduction)
    assert 0 <= value <= 1
    target[:, 0, 0], valid[:, 0, 0] = True, True
    assert dice_loss(target.float(), target, valid, smooth, reduction).item() == pytest.approx(0, abs=1e-6)


def test_dice_by_hand():
    p, y = torch.tensor([[[0.5, 1.0], [0.0, 0.25]]]), torch.tensor([[[1, 1], [0, 0]]])
    every = torch.ones_like(y, dtype=torch.bool)
    assert dice_loss(p, y, every, smooth=0).item() == pytest.approx(1 - 2 * 1.5 / (1.3125 + 2))
    assert dice_loss(p, y, every).item() == pytest.approx(1 - (2 * 1.5 + 1) / (1.3125 + 2 + 1))


def test_dice_of_a_batch_is_that_of_one_long_picture():
    p, y = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)), random_labels(0, 3, 4, 5)
    every = torch.ones_like(y, dtype=torch.bool)
    together = dice_loss(p.view(1, 12, 5), y.view(1, 12, 5), every.view(1, 12, 5))
    torch.testing.assert_close(dice_loss(p, y, every, reduction="batch"), together)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("reduction", ["sample", "batch"])
def test_an_empty_mask_is_finite(smooth, reduction):
    p = torch.zeros(2, 4, 4, requires_grad=True)
    nothing, every = torch.zeros(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool)
    loss = dice_loss(p, nothing, every, smooth, reduction) + dice_loss(p, nothing, ~every, smooth, reduction)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(p.grad).all()
    if smooth:
        assert loss.item() == 0


def test_sums_are_in_float32_whatever_comes_in():
    ones = torch.ones(1, 512, 512)
    assert dice_loss(ones.half(), ones, ones.bool()).item() == 0


# -- eq. 7 -------------------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(seed=seeds, kernel=st.sampled_from([3, 5, 7]))
def test_edge_labels_are_pixels_whose_square_holds_both(seed, kernel):
    labels = random_labels(seed, 1, 9, 11, ignored=0.02)
    edges, known = edge_labels(labels, kernel)
    reach = kernel // 2
    for row in range(9):
        for column in range(11):
            square = labels[0, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            assert known[0, row, column] == (square != 255).all()
            if known[0, row, column]:
                assert edges[0, row, column] == float((square == 1).any() and (square == 0).any())


@pytest.mark.parametrize("value", [0, 1])
def test_a_uniform_mask_has_no_edge_not_even_at_the_border(value):
    edges, known = edge_labels(torch.full((1, 12, 12), value), 7)
    assert not edges.any()
    assert known.all()


def test_the_ring_is_as_wide_as_the_kernel_less_one():
    labels = torch.zeros(1, 40, 40, dtype=torch.long)
    labels[:, :, 20:] = 1
    assert edge_labels(labels, 7)[0][0, 10].nonzero()[:, 0].tolist() == list(range(17, 23))


def test_edge_loss_weighs_the_finest_most():
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[:, 4:12, 4:12] = 1
    target, _ = edge_labels(labels, 3)
    worst = 1 - target[:, None].expand(1, 3, 16, 16)
    everything = edge_loss(worst, labels, (1, 0.5, 0.25), 3, smooth=0)
    assert everything.item() == pytest.approx(1.75)
    for scale, weight in enumerate((1, 0.5, 0.25)):
        right = worst.clone()
        right[:, scale] = target
        assert everything - edge_loss(right, labels, (1, 0.5, 0.25), 3, smooth=0) == pytest.approx(weight)


# -- eq. 8 -------------------------------------------------------------------------------------------------------------


def test_detection_by_hand():
    logits, targets = torch.tensor([[0.0], [2.0]]), torch.tensor([1, 0])
    expected = (0.7 * math.log(2) + 0.3 * math.log1p(math.exp(2))) / 2
    assert detection_loss(logits, targets, 0.7, 0.3).item() == pytest.approx(expected)


def test_class_weights():
    assert class_weights_from_counts(7, 3) == (0.7, 0.3)
    assert class_weights_from_counts(24_546, 7491) == (0.7, 0.2)  # CASIA v2 and Fantastic Reality: not the paper's 0.3
    assert class_weights_from_counts(3, 1, "complement") == (0.75, 0.25)
    assert class_weights_from_counts(3, 1, "inverse") == (0.25, 0.75)
    with pytest.raises(ValueError, match="both 0"):
        class_weights_from_counts(0, 0)
