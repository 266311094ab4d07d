"""The terms of DiffForensics' two objectives as pure float32 functions, each beside its equation.

Every term is finite, and attached to the graph, for every mask: empty, full, one pixel, all ignored.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...image_processing.masks import IGNORED
from ..losses import mean_over


def denoising_loss(predicted: Tensor, noise: Tensor) -> Tensor:
    """l_s (eq. 1): mean squared error of the predicted noise; near 1 where nothing is predicted."""
    return F.mse_loss(predicted.float(), noise.float())


def weighted_cross_entropy(logits: Tensor, labels: Tensor, forged_weight: float, authentic_weight: float) -> Tensor:
    """l_wbce (eq. 5), averaged over the pixels that count.

    Args:
        logits: `(B, 1, H, W)`.
        labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
        forged_weight: lambda_1^s.
        authentic_weight: lambda_2^s.

    Returns:
        Scalar >= 0, float32.

    Example:
        >>> loss = weighted_cross_entropy(torch.zeros(1, 1, 1, 2), torch.tensor([[[1, 255]]]), 2.0, 0.5)
        >>> round(loss.item(), 4)  # 2 log 2
        1.3863
    """
    values, forged = logits[:, 0].float(), labels == 1
    losses = torch.where(forged, forged_weight * F.softplus(-values), authentic_weight * F.softplus(values))
    return mean_over(losses, labels != IGNORED)


def dice_loss(
    probabilities: Tensor,
    target: Tensor,
    valid: Tensor,
    smooth: float = 1.0,
    reduction: Literal["sample", "batch"] = "sample",
) -> Tensor:
    """l_dice (eq. 6): 1 - 2 sum(p y) / (sum(p²) + sum(y²)), with `smooth` added above and below.

    Args:
        probabilities: `(B, H, W)`, p.
        target: `(B, H, W)` in {0, 1}, y.
        valid: `(B, H, W)` bool, the pixels that count.
        smooth: Makes an empty map right for an empty mask; the paper's form, 0, is 0/0 there.
        reduction: For every picture with a pixel that counts, then the mean; or over all pixels together.

    Returns:
        Scalar in [0, 1], float32; 0 where p = y.

    Example:
        >>> half, all_of_it = torch.full((1, 2, 2), 0.5), torch.ones(1, 2, 2)
        >>> round(dice_loss(half, all_of_it, all_of_it.bool(), smooth=0.0).item(), 4)  # 1 - 4 / (1 + 4)
        0.2
    """
    kept = torch.where(valid, probabilities.float(), 0)
    wanted = torch.where(valid, target.float(), 0)
    sums = [(kept * wanted).sum((1, 2)), kept.square().sum((1, 2)) + wanted.sum((1, 2))]
    if reduction == "batch":
        sums = [total.sum(0, keepdim=True) for total in sums]
        valid = valid.flatten(0, 1)[None]
    overlap, extent = sums
    ratio = (2 * overlap + smooth) / (extent + smooth).clamp_min(1e-12)
    return mean_over(1 - ratio, valid.flatten(1).any(1))


def edge_labels(labels: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    """y^e: a ring around the outline of a mask, its dilation minus its erosion; the border of the image is no outline.

    The paper does not say how its edge labels are made; the ring in its Fig. 2 is some 7 px wide at 512 px.

    Args:
        labels: `(B, H, W)` integers {0, 1, 255}.
        kernel_size: Odd side of the square that dilates and erodes.

    Returns:
        Labels `(B, H, W)` in {0, 1}, float32, and where they are known, bool: wherever no pixel of the square is
        ignored.

    Example:
        >>> edge, _ = edge_labels(torch.tensor([[[0, 0, 0, 1, 1, 1]]]), 3)
        >>> edge.int().tolist()
        [[[0, 0, 1, 1, 0, 0]]]
    """

    def dilate(mask: Tensor) -> Tensor:
        return F.max_pool2d(mask.float(), kernel_size, 1, kernel_size // 2)  # pads with minus infinity

    forged = labels == 1
    ring = dilate(forged) + dilate(~forged) - 1  # 1 where the square holds both
    return ring.clamp_min(0), dilate(labels == IGNORED) == 0


def edge_loss(
    edges: Tensor,
    labels: Tensor,
    weights: Sequence[float],
    kernel_size: int,
    smooth: float = 1.0,
    reduction: Literal["sample", "batch"] = "sample",
) -> Tensor:
    """L_edg (eq. 7): dice of each edge map, weighted, finest first.

    Args:
        edges: `(B, K, H, W)` probabilities f_k^e.
        labels: `(B, H, W)` integers {0, 1, 255}.
        weights: K of them; the paper's are 1, 1/2, 1/4.
        kernel_size: As for `edge_labels`.
        smooth: As for `dice_loss`.
        reduction: As for `dice_loss`.

    Returns:
        Scalar in [0, sum of weights], float32.
    """
    target, known = edge_labels(labels, kernel_size)
    terms = [
        weight * dice_loss(edge, target, known, smooth, reduction)
        for weight, edge in zip(weights, edges.unbind(1), strict=True)
    ]
    return torch.stack(terms).sum()


def detection_loss(
    image_logits: Tensor, image_targets: Tensor, forged_weight: float, authentic_weight: float
) -> Tensor:
    """L_clf (eq. 8), averaged over the batch: `(B, 1)` logits against `(B,)` {0, 1}."""
    values, forged = image_logits[:, 0].float(), image_targets.bool()
    return torch.where(forged, forged_weight * F.softplus(-values), authentic_weight * F.softplus(values)).mean()


def class_weights_from_counts(
    forged: int, authentic: int, mode: Literal["paper", "complement", "inverse"] = "paper"
) -> tuple[float, float]:
    """lambda_0^c and lambda_1^c of eq. 8 from the number of pictures of each kind.

    The paper's rule rounds down, so that its two weights seldom sum to 1, and gives the *larger* kind the larger
    weight, although its purpose is balance. Its own values, 0.7 and 0.3, only follow if exactly 70 % are forged.

    Args:
        forged: Pictures with a forgery.
        authentic: Pictures without.
        mode: `"paper"` as printed; `"complement"` without the rounding; `"inverse"` the share of the other kind.

    Raises:
        ValueError: If there is no picture.

    Example:
        >>> class_weights_from_counts(766, 234), class_weights_from_counts(766, 234, "inverse")
        ((0.7, 0.2), (0.234, 0.766))
    """
    if forged < 0 or authentic < 0 or forged + authentic == 0:
        raise ValueError(f"counts must not be negative nor both 0, got {forged} and {authentic}")
    total = forged + authentic
    if mode == "paper":
        return math.floor(10 * forged / total) / 10, math.floor(10 * authentic / total) / 10
    share = forged / total, authentic / total
    return share if mode == "complement" else share[::-1]


__all__ = [
    "class_weights_from_counts",
    "denoising_loss",
    "detection_loss",
    "dice_loss",
    "edge_labels",
    "edge_loss",
    "weighted_cross_entropy",
]
