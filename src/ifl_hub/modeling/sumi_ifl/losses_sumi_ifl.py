"""The four terms of SUMI-IFL's objective as pure float32 functions, each beside its equation.

Every function takes `valid`, a boolean map of the pixels that count (label 255 and padding do not), and stays finite,
attached to the graph, when no pixel counts.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...image_processing.masks import IGNORED
from ..losses import mean_over, pixel_cross_entropy

LOG_VARIANCE_LIMIT = 8.0


def mask_cross_entropy(logits: Tensor, labels: Tensor, positive_weight: float = 1.0) -> Tensor:
    """L_loc (eq. 11) and L_aux (eq. 14): cross-entropy of a one-channel mask, averaged over the pixels that count.

    Args:
        logits: `(B, 1, H, W)`.
        labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
        positive_weight: Weight of forged pixels; 1 in the paper.

    Returns:
        Scalar >= 0, float32.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 1], [255, 255]]])
        >>> round(mask_cross_entropy(torch.zeros(1, 1, 2, 2), labels).item(), 4)  # log 2
        0.6931
    """
    return mean_over(pixel_cross_entropy(logits, labels, positive_weight), labels != IGNORED)


def bernoulli_divergence(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """KL(Bernoulli(sigmoid p) || Bernoulli(sigmoid q)) of every pixel, >= 0, finite for any finite logits.

    Written in logits, sigma(a)(a - b) - softplus(a) + softplus(b), because probabilities that round to 0 or 1 would
    make it infinite.

    Example:
        >>> import torch
        >>> bernoulli_divergence(torch.tensor(3.0), torch.tensor(3.0)).item()
        0.0
    """
    a, b = logits_p.float(), logits_q.float()
    return (torch.sigmoid(a) * (a - b) - F.softplus(a) + F.softplus(b)).clamp_min(0)


def sufficiency_loss(
    logits: Tensor,
    leave_one_out_logits: Sequence[Tensor],
    valid: Tensor,
    reduction: Literal["exp_of_sum", "mean_of_exp", "sum_of_exp", "pixel"] = "exp_of_sum",
) -> tuple[Tensor, Tensor]:
    """L_SU (eq. 5): exp(-KL[P_F || P_{F without f_i}]), small when every branch adds information of its own.

    Args:
        logits: `(B, 1, H, W)`, the prediction from the full feature F.
        leave_one_out_logits: One `(B, 1, H, W)` for each branch left out.
        valid: `(B, H, W)` bool.
        reduction: `"exp_of_sum"` is exp of minus the sum over branches, which eq. 4 implies, in (0, 1];
            `"mean_of_exp"` averages over branches, in (0, 1]; `"sum_of_exp"` adds them, in (0, 3]; `"pixel"` takes
            the exponential at each pixel before averaging, in (0, 1].

    Returns:
        The scalar loss, and the `(n,)` divergences of the branches averaged over the batch (detached).
    """
    divergences = torch.stack([bernoulli_divergence(logits, other)[:, 0] for other in leave_one_out_logits])
    # A mean over pixels, never a sum: exp(-sum over 65 536 pixels) is exactly 0 and so is its gradient.
    per_image = torch.stack([_mean_per_image(divergence, valid) for divergence in divergences])
    if reduction == "exp_of_sum":
        loss = torch.exp(-per_image.sum(0)).mean()
    elif reduction == "mean_of_exp":
        loss = torch.exp(-per_image).mean()
    elif reduction == "sum_of_exp":
        loss = torch.exp(-per_image).sum(0).mean()
    else:
        loss = _mean_per_image(torch.exp(-divergences.sum(0)), valid, empty=1.0).mean()
    return loss, per_image.detach().mean(1)


def gaussian_divergence(mean_p: Tensor, log_variance_p: Tensor, mean_q: Tensor, log_variance_q: Tensor) -> Tensor:
    """KL(N(mean_p, var_p) || N(mean_q, var_q)) of every element, >= 0; log-variances are clamped to [-8, 8].

    Example:
        >>> import torch
        >>> zero, one = torch.zeros(()), torch.ones(())
        >>> gaussian_divergence(one, zero, zero, zero).item()
        0.5
    """
    lv_p, lv_q = clamp_log_variance(log_variance_p.float()), clamp_log_variance(log_variance_q.float())
    log_ratio, difference = lv_p - lv_q, mean_p.float() - mean_q.float()
    # expm1: exp(x) - x - 1 loses every digit, and its sign, where the two variances are nearly equal.
    excess = (torch.expm1(log_ratio) - log_ratio).clamp_min(0)
    return 0.5 * (excess + difference.square() * torch.exp(-lv_q))


def categorical_divergence(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """KL between the softmax distributions over dimension 1, >= 0; that dimension is kept with size 1."""
    log_p, log_q = F.log_softmax(logits_p.float(), dim=1), F.log_softmax(logits_q.float(), dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1, keepdim=True).clamp_min(0)


def minimality_loss(
    latent_p: tuple[Tensor, Tensor],
    latent_q: tuple[Tensor, Tensor],
    valid: Tensor,
    distribution: Literal["gaussian", "gaussian_unit", "softmax"] = "gaussian",
    reduction: Literal["mean", "channel_sum"] = "mean",
) -> Tensor:
    """L_MI (eq. 13): KL(p(z|f) || q(z|m)), small when Z holds no more than the mask explains.

    Args:
        latent_p: Parameters of p(z|f), `(mean, log_variance)`, each `(B, C, h, w)`. For `"softmax"` the mean holds
            the logits and the log-variance is unused, as it is (zero) for `"gaussian_unit"`.
        latent_q: Parameters of q(z|m), likewise.
        valid: `(B, h, w)` bool on the grid of the latents.
        distribution: Family of both.
        reduction: Over channels: mean, or sum.

    Returns:
        Scalar >= 0, float32.
    """
    if distribution == "softmax":
        divergence = categorical_divergence(latent_p[0], latent_q[0])
    else:
        divergence = gaussian_divergence(*latent_p, *latent_q)
    per_pixel = divergence.sum(1) if reduction == "channel_sum" else divergence.mean(1)
    return mean_over(per_pixel, valid)


def clamp_log_variance(log_variance: Tensor) -> Tensor:
    """Keep a log-variance in [-8, 8]: exp(-log_variance) overflows otherwise."""
    return log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


def add_point_noise(
    labels: Tensor,
    ratio: float,
    region: Literal["all", "foreground"] = "all",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Invert exactly round(ratio × area) randomly chosen pixels of each mask (paper, feature reasoning network).

    Args:
        labels: `(B, H, W)` integers {0, 1, 255}; ignored pixels are never chosen.
        ratio: Share of pixels, in [0, 1].
        region: Area to draw from: every pixel that counts, or the forged ones.
        generator: Source of randomness.

    Returns:
        A new tensor; the input is untouched.

    Example:
        >>> import torch
        >>> add_point_noise(torch.zeros(1, 10, 10, dtype=torch.long), ratio=0.2).sum().item()
        20
    """
    flat = labels.flatten(1)
    eligible = (flat == 1) if region == "foreground" else (flat != IGNORED)
    counts = torch.tensor([round(ratio * area) for area in eligible.sum(1).tolist()], device=labels.device)
    scores = torch.rand(flat.shape, generator=generator, device=labels.device).masked_fill(~eligible, -1)
    order = scores.topk(int(counts.max()), dim=1).indices if len(counts) else flat[:, :0]
    chosen = torch.arange(order.shape[1], device=labels.device) < counts[:, None]
    flips = torch.zeros_like(eligible).scatter(1, order, chosen)
    return torch.where(flips, 1 - flat, flat).view_as(labels)


def _mean_per_image(values: Tensor, valid: Tensor, empty: float = 0.0) -> Tensor:
    count = valid.sum((1, 2))
    mean = torch.where(valid, values, 0).sum((1, 2)) / count.clamp_min(1)
    return torch.where(count > 0, mean, mean + empty)
