"""SAFL-Net's losses against hand-computed values, brute force, and the properties of spec B7."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.modeling.safl_net.losses_safl_net import (
    alignment_loss,
    boundary_loss,
    classification_loss,
    consistency_loss,
    contrast_loss,
    forged_share,
    localization_loss,
    soft_boundary,
)

seeds = st.integers(0, 2**31 - 1)


def random_labels(seed, *shape, ignored=0.0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(shape, generator=generator) < 0.5).long()
    return labels.masked_fill(torch.rand(shape, generator=generator) < ignored, 255)


def all_of(labels):
    return torch.ones(len(labels), dtype=torch.bool)


# -- localization and classification -----------------------------------------------------------------------------------


def test_localization_by_hand():
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 5.0]]]])
    labels = torch.tensor([[[1, 1], [0, 255]]])
    expected = (math.log(2) + math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 3
    assert localization_loss(logits, labels, all_of(labels)).item() == pytest.approx(expected, abs=1e-6)
    weighted = (3 * math.log(2) + 3 * math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 3
    assert localization_loss(logits, labels, all_of(labels), positive_weight=3).item() == pytest.approx(weighted)


def test_dice_by_hand_and_only_for_forged_images():
    logits, labels = torch.zeros(2, 1, 2, 2), torch.tensor([[[1, 1], [0, 255]], [[0, 0], [0, 0]]])
    without = localization_loss(logits, labels, all_of(labels))
    dice = 1 - (2 * 1.0 + 1) / (3 * 0.25 + 2 + 1)
    assert localization_loss(logits, labels, all_of(labels), dice_weight=2).item() == pytest.approx(
        without.item() + 2 * dice
    )


def test_images_that_do_not_count_get_no_gradient():
    labels = random_labels(0, 2, 8, 8)
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    counted = torch.tensor([True, False])
    loss = localization_loss(logits, labels, counted, 2, 1) + boundary_loss(logits, labels, counted, 3)
    loss.backward()
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0


@pytest.mark.parametrize("value", [0, 1, 255])
def test_uniform_and_uncounted_masks_are_finite(value):
    labels, logits = torch.full((2, 6, 7), value), torch.randn(2, 1, 6, 7, requires_grad=True)
    for counted in (all_of(labels), ~all_of(labels)):
        loss = localization_loss(logits, labels, counted, 2, 1) + boundary_loss(logits, labels, counted, 5)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()
        if value == 255 or not counted.any():
            assert loss.item() == 0


def test_classification_by_hand():
    expected = (math.log(2) + math.log1p(math.exp(3))) / 2
    assert classification_loss(torch.tensor([[0.0], [3.0]]), torch.tensor([1, 0])).item() == pytest.approx(expected)


# -- eq. 7 and 8 -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=seeds, height=st.integers(1, 14), width=st.integers(1, 14), half=st.integers(0, 4))
def test_soft_boundary_equals_the_sum_over_each_window(seed, height, width, half):
    labels = random_labels(seed, 1, height, width, ignored=0.2)
    actual = soft_boundary(labels, 2 * half + 1)[0]
    for row in range(height):
        for column in range(width):
            window = labels[0, max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
            count = (window != 255).sum().item()
            expected = 1 - abs(count - 2 * (window == 1).sum().item()) / count if count else 0.0
            assert actual[row, column].item() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, window=st.sampled_from([1, 3, 7, 15]))
def test_soft_boundary_is_symmetric_and_bounded(seed, window):
    labels = random_labels(seed, 2, 12, 9)
    boundary = soft_boundary(labels, window)
    assert boundary.min() >= 0
    assert boundary.max() <= 1
    torch.testing.assert_close(soft_boundary(1 - labels, window), boundary)
    torch.testing.assert_close(soft_boundary(labels.flip(1), window), boundary.flip(1))
    torch.testing.assert_close(soft_boundary(labels.transpose(1, 2), window), boundary.transpose(1, 2))


def test_soft_boundary_of_a_straight_edge_falls_linearly():
    labels = torch.zeros(1, 40, 40, dtype=torch.long)
    labels[:, :, 20:] = 1
    expected = [1 - (2 * distance + 1) / 15 for distance in range(8)]
    torch.testing.assert_close(soft_boundary(labels, 15)[0, 20, 20:28], torch.tensor(expected))


def test_the_largest_soft_boundary_is_just_below_1_inside_and_1_where_a_cut_window_is_even():
    """Exactly half of an odd number of pixels cannot be forged; half of a window of 2x3 at the border can."""
    labels = (torch.arange(9)[:, None] + torch.arange(9)[None]) % 2
    boundary = soft_boundary(labels[None], 3)[0]
    torch.testing.assert_close(boundary[1:-1, 1:-1], torch.full((7, 7), 1 - 1 / 9))
    assert boundary[0, 4].item() == 1


@pytest.mark.parametrize("value", [0, 1])
def test_uniform_masks_have_no_boundary(value):
    assert (soft_boundary(torch.full((1, 9, 9), value), 5) == 0).all()


@pytest.mark.parametrize("pixel_weight", ["soft", "binary"])
def test_boundary_loss_is_eq_8(pixel_weight):
    labels, logits = random_labels(3, 2, 7, 8, ignored=0.1), torch.randn(2, 1, 7, 8)
    soft = soft_boundary(labels, 3)
    binary = (soft >= 0.5).float()
    total, count = 0.0, 0
    for index in zip(*torch.nonzero(labels != 255, as_tuple=True), strict=True):
        s = torch.sigmoid(logits[index[0], 0, index[1], index[2]])
        b, g = binary[index], soft[index]
        entropy = -(b * s.log() + (1 - b) * (1 - s).log())
        total += entropy * ((g if pixel_weight == "soft" else b) + 0.1) + (s - g).abs()
        count += 1
    actual = boundary_loss(logits, labels, all_of(labels), 3, "soft", pixel_weight, 0.1)
    assert actual.item() == pytest.approx((total / count).item(), rel=1e-5)


def test_a_hard_boundary_is_learned_by_plain_cross_entropy():
    """Setups 2 and 3 of Table 3: the absolute outline, neither a weight nor a distance; gamma says nothing."""
    labels, logits = random_labels(3, 2, 7, 8, ignored=0.1), torch.randn(2, 1, 7, 8)
    valid = labels != 255
    outline = (soft_boundary(labels, 3) >= 0.5).float()
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][valid], outline[valid])
    for options in (("soft", 0.1), ("binary", 5.0)):
        torch.testing.assert_close(boundary_loss(logits, labels, all_of(labels), 3, "hard", *options), expected)


# -- semantic suppression, eq. 1 to 5 ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=seeds, count=st.integers(0, 4))
def test_consistency_is_bounded(seed, count):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(count, 5, generator=generator), torch.randn(count, 5, generator=generator)
    assert -1.0001 <= consistency_loss(a, b).item() <= 1.0001
    assert 0 <= consistency_loss(a, b, "squared").item() <= consistency_loss(a, b, "abs").item() <= 1.0001


def test_consistency_by_hand():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[-3.0, 0.0], [1.0, 0.0]])
    assert consistency_loss(a, b).item() == pytest.approx(-0.5)
    assert consistency_loss(a, b, "abs").item() == pytest.approx(0.5)


def brute_force_contrast(trained, semantic, share, temperature, ambiguous):
    """Eq. 3 and 4 with loops, every patch of T an anchor, averaged."""
    t = F.normalize(trained.flatten(1), dim=0).T
    s = F.normalize(semantic.flatten(1), dim=0).T
    part = share.flatten().tolist()
    tampered = [i for i, value in enumerate(part) if value > 0.95]
    limit = 0.05 if ambiguous == "ignore" else 0.9500001
    outside = [i for i, value in enumerate(part) if value < limit]
    if len(tampered) < 2 or not outside:
        return None
    losses = []
    for anchor in tampered:
        positives = [p for p in tampered if p != anchor]
        negatives = [max(outside, key=lambda n, p=p: float(s[p] @ s[n])) for p in positives]
        similarity = [float(t[anchor] @ t[a]) / temperature for a in positives + negatives]
        total = math.log(sum(math.exp(value) for value in similarity))
        losses.append(sum(total - value for value in similarity[: len(positives)]) / len(positives))
    return sum(losses) / len(losses)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, ambiguous=st.sampled_from(["negative", "ignore"]), temperature=st.sampled_from([0.1, 0.5]))
def test_contrast_equals_brute_force_and_its_bounds(seed, ambiguous, temperature):
    generator = torch.Generator().manual_seed(seed)
    trained, semantic = (torch.randn(1, 6, 3, 4, generator=generator) for _ in range(2))
    share = torch.tensor([0.0, 0.5, 0.95, 0.97, 1.0])[torch.randint(5, (1, 3, 4), generator=generator)]
    actual = contrast_loss(trained, semantic, share, temperature, "all", ambiguous).item()
    expected = brute_force_contrast(trained[0], semantic[0], share[0], temperature, ambiguous)
    if expected is None:
        assert actual == 0
        return
    assert actual == pytest.approx(expected, rel=1e-4)
    m = int((share > 0.95).sum()) - 1
    assert math.log(m * (1 + math.exp(-2 / temperature))) - 1e-4 <= actual
    assert actual <= math.log(2 * m) + 2 / temperature + 1e-4


def test_exactly_95_percent_is_not_tampered():
    share = torch.full((1, 2, 2), 0.95)
    share[0, 0, 0] = 0.0
    assert contrast_loss(torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2), share).item() == 0


def test_a_patch_of_32_px_needs_973_forged_pixels():
    """More than 95 % of 1024; the second of two such patches decides whether there is anything to contrast."""
    for count, contrasted in ((972, False), (973, True)):
        patch = torch.zeros(1024, dtype=torch.long)
        patch[:count] = 1
        labels = torch.cat([torch.ones(32, 32), patch.view(32, 32), torch.zeros(32, 32)], 1)[None].long()
        share = forged_share(labels, (1, 3))
        loss = contrast_loss(torch.randn(1, 4, 1, 3), torch.randn(1, 4, 1, 3), share, anchors="all")
        assert (loss.item() > 0) == contrasted


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_contrast_does_not_depend_on_where_patches_lie(seed):
    generator = torch.Generator().manual_seed(seed)
    trained, semantic = (torch.randn(1, 5, 1, 12, generator=generator) for _ in range(2))
    share = (torch.rand(1, 1, 12, generator=generator) > 0.5).float()
    order = torch.randperm(12, generator=generator)
    moved = contrast_loss(trained[..., order], semantic[..., order], share[..., order], anchors="all")
    torch.testing.assert_close(moved, contrast_loss(trained, semantic, share, anchors="all"))


def test_one_anchor_is_one_of_the_tampered_patches():
    trained, semantic = torch.randn(1, 5, 2, 4), torch.randn(1, 5, 2, 4)
    share = torch.tensor([[[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]])
    drawn = [contrast_loss(trained, semantic, share, generator=torch.Generator().manual_seed(i)) for i in range(30)]
    assert len({round(loss.item(), 4) for loss in drawn}) == 4
    everything = contrast_loss(trained, semantic, share, anchors="all")
    assert torch.stack(drawn).unique().mean().item() == pytest.approx(everything.item(), rel=1e-3)


def test_contrast_sends_no_gradient_to_the_semantic_branch_and_pushes_negatives_away():
    trained = torch.randn(1, 4, 2, 3, requires_grad=True)
    semantic = torch.randn(1, 4, 2, 3, requires_grad=True)
    share = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    loss = contrast_loss(trained, semantic, share, anchors="all")
    loss.backward()
    assert semantic.grad is None
    stepped = contrast_loss(trained.detach() - 0.01 * trained.grad, semantic, share, anchors="all")
    assert stepped < loss


def test_contrast_does_not_depend_on_the_order_of_images():
    trained, semantic = torch.randn(3, 4, 3, 3), torch.randn(3, 4, 3, 3)
    share = (torch.rand(3, 3, 3) > 0.5).float()
    a = contrast_loss(trained, semantic, share, anchors="all")
    b = contrast_loss(trained.flip(0), semantic.flip(0), share.flip(0), anchors="all")
    torch.testing.assert_close(a, b)


def test_forged_share_counts_real_labels_only():
    labels = torch.tensor([[[1, 1, 255, 255], [0, 255, 255, 255]]])
    share = forged_share(labels, (1, 2))
    assert share[0, 0, 0].item() == pytest.approx(2 / 3)
    assert math.isnan(share[0, 0, 1].item())


def test_alignment_by_hand():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert alignment_loss(a, a, "cosine").item() == pytest.approx(0, abs=1e-6)
    assert alignment_loss(a, -a, "cosine").item() == pytest.approx(2)
    assert alignment_loss(a, a, "infonce", temperature=1.0).item() == pytest.approx(
        math.log(1 + math.exp(-1)), rel=1e-5
    )


def test_one_vector_for_every_picture_satisfies_eq_1_only_as_written():
    """The trivial answer that the default objective must not reward."""
    same = torch.ones(6, 4) + 1e-3 * torch.randn(6, 4)
    other = torch.ones(6, 4) + 1e-3 * torch.randn(6, 4)
    assert alignment_loss(same, other, "cosine").item() < 1e-3
    for objective in ("cosine_bn", "cosine_var", "infonce"):
        assert alignment_loss(same, other, objective).item() > 0.3
