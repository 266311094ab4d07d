"""SUMI-IFL's losses against numbers worked out by hand, torch.distributions, and the properties the paper states."""

from math import exp, isclose, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from ifl_hub.modeling.sumi_ifl.losses_sumi_ifl import (
    add_point_noise,
    bernoulli_divergence,
    categorical_divergence,
    gaussian_divergence,
    mask_cross_entropy,
    minimality_loss,
    sufficiency_loss,
)

REDUCTIONS = ("exp_of_sum", "mean_of_exp", "sum_of_exp", "pixel")
ALL = torch.ones(1, 2, 2, dtype=torch.bool)
seeds = st.integers(0, 2**31 - 1)


def maps(*values, dtype=torch.float32):
    """Logits or labels (1, 1, 2, 2) from four numbers."""
    return torch.tensor(values, dtype=dtype).view(1, 1, 2, 2)


def labels(*values):
    return torch.tensor(values).view(1, 2, 2)


def random_logits(seed, *shape, scale=3.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


# -- by hand: sigmoid(log 3) = 3/4, sigmoid(0) = 1/2, sigmoid(-log 3) = 1/4 --------------------------------------------

LOG3 = log(3)
KL_3_2 = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)  # Bernoulli 3/4 against 1/2: 0.1308
KL_3_1 = 0.75 * log(3) + 0.25 * log(1 / 3)  # 3/4 against 1/4: 0.5493
KL_2_3 = 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)  # 1/2 against 3/4: 0.1438


def test_cross_entropy_equals_the_value_by_hand():
    logits = maps(0.0, LOG3, -LOG3, 50.0)
    expected = (log(2) + log(4 / 3) + log(4)) / 3  # the pixel with label 255 does not count
    assert isclose(mask_cross_entropy(logits, labels(0, 1, 1, 255)).item(), expected, rel_tol=1e-6)


def test_cross_entropy_weighs_forged_pixels():
    logits = maps(0.0, LOG3, -LOG3, 0.0)
    expected = (log(2) + 5 * log(4 / 3) + 5 * log(4) + log(2)) / 4
    for weight in (5, 5.0):
        assert isclose(mask_cross_entropy(logits, labels(0, 1, 1, 0), weight).item(), expected, rel_tol=1e-6)


def test_cross_entropy_is_the_mean_over_the_pixels_of_the_whole_batch():
    logits = torch.cat([maps(0.0, 0.0, 0.0, 0.0), maps(LOG3, 9.0, 9.0, 9.0)])
    batch = torch.cat([labels(0, 1, 0, 1), labels(0, 255, 255, 255)])
    assert isclose(mask_cross_entropy(logits, batch).item(), (4 * log(2) + log(4)) / 5, rel_tol=1e-6)


SUFFICIENCY_BY_HAND = {  # two pixels that count, three branches, divergences (per pixel) below
    "exp_of_sum": exp(-((KL_3_2 + 0) / 2 + (KL_3_1 + KL_2_3) / 2 + 0)),
    "mean_of_exp": (exp(-(KL_3_2 + 0) / 2) + exp(-(KL_3_1 + KL_2_3) / 2) + 1) / 3,
    "sum_of_exp": exp(-(KL_3_2 + 0) / 2) + exp(-(KL_3_1 + KL_2_3) / 2) + 1,
    "pixel": (exp(-(KL_3_2 + KL_3_1)) + exp(-(0 + KL_2_3))) / 2,
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sufficiency_equals_the_value_by_hand(reduction):
    full = maps(LOG3, 0.0, 40.0, 7.0)
    others = [maps(0.0, 0.0, -40.0, 1.0), maps(-LOG3, LOG3, 0.0, 9.0), maps(LOG3, 0.0, 3.0, 3.0)]
    valid = labels(1, 1, 0, 0).bool()
    loss, divergences = sufficiency_loss(full, others, valid, reduction)
    assert isclose(loss.item(), SUFFICIENCY_BY_HAND[reduction], rel_tol=1e-5)
    torch.testing.assert_close(divergences, torch.tensor([KL_3_2 / 2, (KL_3_1 + KL_2_3) / 2, 0.0]))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sufficiency_is_the_mean_over_images_each_with_its_own_pixels(reduction):
    full = torch.cat([maps(LOG3, LOG3, LOG3, LOG3), maps(0.0, 0.0, 0.0, 0.0)])
    other = torch.cat([maps(0.0, 0.0, 0.0, 0.0), maps(LOG3, 0.0, 0.0, 0.0)])
    valid = torch.stack([torch.ones(2, 2, dtype=torch.bool), torch.tensor([[True, False], [False, False]])])
    loss, divergences = sufficiency_loss(full, [other], valid, reduction)
    assert isclose(loss.item(), (exp(-KL_3_2) + exp(-KL_2_3)) / 2, rel_tol=1e-5)
    assert isclose(divergences.item(), (KL_3_2 + KL_2_3) / 2, rel_tol=1e-5)


def latents(*values):
    """Two channels on a 1x2 grid, from ((pixel 1, channels), (pixel 2, channels))."""
    return torch.tensor(values, dtype=torch.float32).T.view(1, 2, 1, 2)


VALID_PIXELS = torch.tensor([[[True, False]]]), torch.tensor([[[True, True]]])


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1), ("channel_sum", 2)])
def test_gaussian_minimality_equals_the_value_by_hand(reduction, factor):
    mean_p, log_variance_p = latents((1, 0), (0, 2)), latents((0, log(4)), (log(2), 0))
    mean_q, log_variance_q = latents((0, 0), (0, 0)), latents((0, 0), (log(2), log(4)))
    # KL(N(m, v) || N(n, w)) = (log(w / v) + v / w + (m - n)² / w - 1) / 2
    first = [0.5 * (0 + 1 + 1 - 1), 0.5 * (-log(4) + 4 + 0 - 1)]
    second = [0.0, 0.5 * (log(4) + 1 / 4 + 4 / 4 - 1)]
    for valid, expected in zip(VALID_PIXELS, (sum(first) / 2, (sum(first) + sum(second)) / 4), strict=True):
        loss = minimality_loss((mean_p, log_variance_p), (mean_q, log_variance_q), valid, "gaussian", reduction)
        assert isclose(loss.item(), expected * factor, rel_tol=1e-5)


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1), ("channel_sum", 2)])
def test_unit_gaussian_minimality_is_half_the_squared_distance(reduction, factor):
    mean_p, mean_q, zero = latents((1, 0), (5, 2)), latents((0, 3), (5, 0)), torch.zeros(1, 2, 1, 2)
    for valid, expected in zip(VALID_PIXELS, ((0.5 + 4.5) / 2, (0.5 + 4.5 + 0 + 2) / 4), strict=True):
        loss = minimality_loss((mean_p, zero), (mean_q, zero), valid, "gaussian_unit", reduction)
        assert isclose(loss.item(), expected * factor, rel_tol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "channel_sum"])
def test_softmax_minimality_equals_the_value_by_hand(reduction):
    # Two channels with logits (x + c, c) are a Bernoulli with logit x; the constant c does not matter.
    logits_p, logits_q = latents((LOG3 + 7, 7), (0, 0)), latents((0, 0), (LOG3 - 2, -2))
    unused = torch.full((1, 2, 1, 2), 3.0)
    for valid, expected in zip(VALID_PIXELS, (KL_3_2, (KL_3_2 + KL_2_3) / 2), strict=True):
        loss = minimality_loss((logits_p, unused), (logits_q, unused), valid, "softmax", reduction)
        assert isclose(loss.item(), expected, rel_tol=1e-5)


# -- A7.4: divergences are those of torch.distributions ----------------------------------------------------------------


@given(seed=seeds)
def test_bernoulli_divergence_is_that_of_torch_distributions(seed):
    a, b = random_logits(seed, 50), random_logits(seed + 1, 50)
    expected = kl_divergence(Bernoulli(logits=a.double()), Bernoulli(logits=b.double()))
    torch.testing.assert_close(bernoulli_divergence(a, b).double(), expected, rtol=1e-4, atol=1e-6)


@given(seed=seeds)
def test_bernoulli_divergence_is_a_two_class_softmax_divergence(seed):
    a, b = random_logits(seed, 1, 1, 5, 5), random_logits(seed + 1, 1, 1, 5, 5)
    two_class = [torch.cat([torch.zeros_like(x), x], dim=1) for x in (a, b)]
    torch.testing.assert_close(bernoulli_divergence(a, b), categorical_divergence(*two_class), rtol=1e-4, atol=1e-6)


@given(seed=seeds)
def test_gaussian_divergence_is_that_of_torch_distributions(seed):
    mean_p, mean_q, lv_p, lv_q = (random_logits(seed + i, 50, scale=2).clamp(-8, 8) for i in range(4))
    p, q = (Normal(m.double(), (0.5 * lv.double()).exp()) for m, lv in ((mean_p, lv_p), (mean_q, lv_q)))
    actual = gaussian_divergence(mean_p, lv_p, mean_q, lv_q).double()
    torch.testing.assert_close(actual, kl_divergence(p, q), rtol=1e-4, atol=1e-6)


@given(seed=seeds)
def test_categorical_divergence_is_that_of_torch_distributions(seed):
    p, q = random_logits(seed, 2, 6, 3, 3), random_logits(seed + 1, 2, 6, 3, 3)
    expected = kl_divergence(*(Categorical(logits=x.double().movedim(1, -1)) for x in (p, q)))
    torch.testing.assert_close(categorical_divergence(p, q)[:, 0].double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@given(seed=seeds, scale=st.sampled_from([0.01, 1.0, 30.0, 1e4]), nudge=st.sampled_from([0.0, 1e-3, 1.0, 1e4]))
def test_divergences_are_finite_and_never_negative(dtype, seed, scale, nudge):
    """Nearly equal logits in half precision gave negative divergences; large ones gave infinities."""
    a = random_logits(seed, 1, 4, 6, 6, scale=scale).clamp(-1e4, 1e4).to(dtype)
    b = (a + random_logits(seed + 1, 1, 4, 6, 6, scale=nudge).to(dtype)).clamp(-1e4, 1e4)
    for divergence in (
        bernoulli_divergence(a, b),
        categorical_divergence(a, b),
        gaussian_divergence(a, b, b, a),
        gaussian_divergence(a, a, a, b),
    ):
        assert divergence.dtype == torch.float32
        assert torch.isfinite(divergence).all()
        assert (divergence >= 0).all()
    for divergence in (bernoulli_divergence(a, a), categorical_divergence(a, a), gaussian_divergence(a, b, a, b)):
        assert (divergence == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_losses_of_extreme_logits_are_finite_with_finite_gradients(dtype):
    a = maps(1e4, -1e4, 1e4, 0.0, dtype=dtype).requires_grad_()
    b = maps(-1e4, 1e4, 1e4, 1.0, dtype=dtype).requires_grad_()
    losses = [mask_cross_entropy(a, labels(0, 1, 1, 255))]
    losses += [sufficiency_loss(a, [b, a, b], ALL, reduction)[0] for reduction in REDUCTIONS]
    zero = torch.zeros_like(a)
    losses.append(minimality_loss((a, zero), (b, zero), ALL, "gaussian_unit"))
    losses += [minimality_loss((a, b), (b, a), ALL, distribution) for distribution in ("softmax", "gaussian")]
    for loss in losses:
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert loss >= 0
    if dtype == torch.float16:
        losses.pop()  # the slope at a distance of 2e4 and a variance of exp(-8) is beyond float16's largest number
    torch.stack(losses).sum().backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()


def test_the_cross_entropy_of_a_confident_error_is_its_logit():
    assert mask_cross_entropy(maps(*[1e4] * 4, dtype=torch.float16), labels(0, 0, 0, 0)).item() == 1e4


# -- A7.3: the sufficiency term ----------------------------------------------------------------------------------------


@given(seed=seeds, height=st.integers(1, 9), width=st.integers(1, 9), batch=st.integers(1, 3))
def test_sufficiency_lies_in_its_interval_and_its_reductions_are_ordered(seed, height, width, batch):
    full, *others = (random_logits(seed + i, batch, 1, height, width, scale=2) for i in range(4))
    valid = torch.rand(batch, height, width, generator=torch.Generator().manual_seed(seed)) < 0.7
    losses = {reduction: sufficiency_loss(full, others, valid, reduction)[0].item() for reduction in REDUCTIONS}
    assert all(0 < losses[name] <= 1 + 1e-6 for name in ("exp_of_sum", "mean_of_exp", "pixel"))
    assert 0 < losses["sum_of_exp"] <= 3 + 3e-6
    assert losses["exp_of_sum"] <= losses["mean_of_exp"] + 1e-6  # the sum of the divergences is at least each of them
    assert losses["exp_of_sum"] <= losses["pixel"] + 1e-6  # Jensen: exp is convex
    assert isclose(losses["sum_of_exp"], 3 * losses["mean_of_exp"], rel_tol=1e-5)


@pytest.mark.parametrize(("reduction", "highest"), [(r, 3.0 if r == "sum_of_exp" else 1.0) for r in REDUCTIONS])
@given(seed=seeds)
def test_sufficiency_is_at_its_maximum_when_every_branch_says_the_same(reduction, highest, seed):
    logits = random_logits(seed, 2, 1, 4, 5)
    loss, divergences = sufficiency_loss(
        logits, [logits.clone() for _ in range(3)], torch.ones(2, 4, 5).bool(), reduction
    )
    assert loss.item() == pytest.approx(highest)
    assert (divergences == 0).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(seed=seeds, branch=st.integers(0, 2), step=st.floats(0.2, 3), sign=st.sampled_from([-1, 1]))
def test_sufficiency_falls_when_one_branch_is_moved_away(reduction, seed, branch, step, sign):
    full = random_logits(seed, 1, 1, 4, 4, scale=1)
    valid, losses = torch.ones(1, 4, 4).bool(), []
    for distance in (0, step, 2 * step):
        others = [full + sign * distance * (i == branch) for i in range(3)]
        losses.append(sufficiency_loss(full, others, valid, reduction)[0].item())
    assert losses[0] > losses[1] > losses[2]


@given(seed=seeds)
def test_sufficiency_weighs_pixels_before_or_after_the_exponential(seed):
    """`pixel` differs from `exp_of_sum` exactly where the divergence varies over the image."""
    same, other = torch.full((1, 1, 4, 4), 1.0), torch.full((1, 1, 4, 4), -0.5)
    varying = random_logits(seed, 1, 1, 4, 4)
    valid = torch.ones(1, 4, 4).bool()
    uniform = [sufficiency_loss(same, [other], valid, r)[0].item() for r in ("exp_of_sum", "pixel")]
    spread = [sufficiency_loss(same, [varying], valid, r)[0].item() for r in ("exp_of_sum", "pixel")]
    assert uniform[0] == pytest.approx(uniform[1])
    assert spread[0] < spread[1]


def test_sufficiency_is_a_mean_so_a_large_image_does_not_saturate_it():
    """A sum over 65 536 pixels would make exp(-KL) exactly 0 and its gradient too."""
    full = torch.full((1, 1, 256, 256), 1.0)
    other = torch.zeros(1, 1, 256, 256, requires_grad=True)
    loss, _ = sufficiency_loss(full, [other], torch.ones(1, 256, 256).bool())
    small, _ = sufficiency_loss(full[..., :2, :2], [other[..., :2, :2]], ALL)
    assert loss.item() == pytest.approx(small.item(), rel=1e-5)
    loss.backward()
    assert other.grad.abs().sum() > 0.01


# -- ignored pixels ----------------------------------------------------------------------------------------------------


@given(seed=seeds, share=st.sampled_from([0.0, 0.3, 0.9]))
def test_ignored_pixels_have_no_say(seed, share):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(2, 5, 6, generator=generator) < 0.5).long()
    ignored = torch.rand(2, 5, 6, generator=generator) < share
    mask[ignored] = 255
    logits = [random_logits(seed + i, 2, 1, 5, 6) for i in range(4)]
    corrupted = [torch.where(ignored[:, None], random_logits(seed + 9, 2, 1, 5, 6, scale=1e3), x) for x in logits]

    def losses(full, *others):
        latents = (full, others[0]), (others[1], others[2])
        return [
            mask_cross_entropy(full, mask),
            *(sufficiency_loss(full, others, mask != 255, reduction)[0] for reduction in REDUCTIONS),
            *(minimality_loss(*latents, mask != 255, name) for name in ("gaussian", "gaussian_unit")),
        ]

    assert torch.equal(torch.stack(losses(*logits)), torch.stack(losses(*corrupted)))


def test_nothing_but_ignored_pixels_gives_a_loss_without_gradient():
    a, b = (maps(1.0, 2.0, 3.0, 4.0).requires_grad_() for _ in range(2))
    nothing = torch.zeros(1, 2, 2).bool()
    losses = [mask_cross_entropy(a, labels(255, 255, 255, 255)), minimality_loss((a, b), (b, a), nothing)]
    assert [loss.item() for loss in losses] == [0, 0]
    losses += [sufficiency_loss(a, [b] * 3, nothing, reduction)[0] for reduction in REDUCTIONS]
    # exp(-0): without a pixel the divergence is 0.
    assert [loss.item() for loss in losses[2:]] == [1, 1, 3, 1]
    torch.stack(losses).sum().backward()
    assert (a.grad == 0).all()
    assert (b.grad == 0).all()


# -- A7.5: point noise -------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    seed=seeds,
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    ratio=st.one_of(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.floats(0, 1)),
    ignored=st.sampled_from([0.0, 0.3, 1.0]),
    region=st.sampled_from(["all", "foreground"]),
    dtype=st.sampled_from([torch.int64, torch.uint8]),
)
def test_noise_inverts_exactly_the_stated_number_of_pixels(seed, height, width, ratio, ignored, region, dtype):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(3, height, width, generator=generator) < 0.4).to(dtype)
    mask[torch.rand(mask.shape, generator=generator) < ignored] = 255
    original = mask.clone()
    noisy = add_point_noise(mask, ratio, region, generator)
    assert torch.equal(mask, original)
    assert noisy.dtype == dtype
    eligible = mask == 1 if region == "foreground" else mask != 255
    changed = noisy != mask
    assert not (changed & ~eligible).any()
    assert torch.equal(noisy[changed], 1 - mask[changed])
    assert changed.sum((1, 2)).tolist() == [round(ratio * int(area)) for area in eligible.sum((1, 2))]


def test_noise_of_ratio_0_is_the_identity_and_of_ratio_1_the_inversion():
    mask = torch.tensor([[[0, 1, 255], [1, 1, 0]]])
    assert torch.equal(add_point_noise(mask, 0.0), mask)
    assert torch.equal(add_point_noise(mask, 1.0), torch.tensor([[[1, 0, 255], [0, 0, 1]]]))
    assert torch.equal(add_point_noise(mask, 1.0, "foreground"), torch.tensor([[[0, 0, 255], [0, 0, 0]]]))


def test_noise_is_seedable_and_spreads_over_the_mask():
    mask = torch.zeros(1, 20, 20, dtype=torch.long)
    first, again, other = (add_point_noise(mask, 0.2, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    hits = sum(add_point_noise(mask, 0.2, generator=torch.Generator().manual_seed(s)) for s in range(400))
    # Each pixel is hit 80 times on average, binomially: deviation 8.
    assert 40 < hits.min() <= hits.max() < 120


def test_images_of_a_batch_get_different_noise():
    noisy = add_point_noise(torch.zeros(2, 16, 16, dtype=torch.long), 0.3, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(noisy[0], noisy[1])
