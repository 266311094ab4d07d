"""The terms of SAFL-Net's objective as pure float32 functions, each beside its equation.

Every function takes `counted`, the images that train it (the paper: tampered ones), and stays finite, attached to the
graph, when no pixel or image counts.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...image_processing.masks import IGNORED


def localization_loss(
    logits: Tensor, labels: Tensor, counted: Tensor, positive_weight: float = 1.0, dice_weight: float = 0.0
) -> Tensor:
    """L_seg of eq. 9: cross-entropy averaged over the pixels that count, and, beyond the paper, a dice term.

    Args:
        logits: `(B, 1, H, W)`.
        labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
        counted: `(B,)` bool, the images whose pixels count.
        positive_weight: Weight of forged pixels in the cross-entropy.
        dice_weight: Weight of 1 - dice with squares in the denominator, averaged over images with a forged pixel.

    Returns:
        Scalar >= 0, float32.

    Example:
        >>> labels = torch.tensor([[[0, 1], [255, 255]]])
        >>> round(localization_loss(torch.zeros(1, 1, 2, 2), labels, torch.tensor([True])).item(), 4)  # log 2
        0.6931
    """
    valid = (labels != IGNORED) & counted[:, None, None]
    target = (labels == 1).float()
    weight = torch.tensor(positive_weight, device=logits.device)
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0].float(), target, pos_weight=weight, reduction="none")
    loss = mean_over(entropy, valid)
    if dice_weight:
        loss = loss + dice_weight * _dice_loss(torch.sigmoid(logits[:, 0].float()), target, valid)
    return loss


def _dice_loss(probabilities: Tensor, target: Tensor, valid: Tensor, smooth: float = 1.0) -> Tensor:
    probabilities, target = torch.where(valid, probabilities, 0), torch.where(valid, target, 0)
    overlap = (probabilities * target).sum((1, 2))
    extent = probabilities.square().sum((1, 2)) + target.sum((1, 2))
    return mean_over(1 - (2 * overlap + smooth) / (extent + smooth), target.sum((1, 2)) > 0)


def soft_boundary(labels: Tensor, window: int) -> Tensor:
    """The soft boundary map of eq. 7, G = 1 - |1 - 2 mean_W(g)|: near 1 on an outline, 0 where a window is uniform.

    Windows are cut at the image's border and leave out ignored pixels, so the mean is always over real labels.

    Args:
        labels: `(B, H, W)` integers {0, 1, 255}.
        window: Odd side of W in pixels.

    Returns:
        `(B, H, W)` float32 in [0, 1 - 1/window²]; 0 where a window holds ignored pixels only.

    Example:
        >>> edge = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]]).expand(1, 8, 8)
        >>> soft_boundary(edge, window=3)[0, 4].round(decimals=2).tolist()
        [0.0, 0.0, 0.0, 0.67, 0.67, 0.0, 0.0, 0.0]
    """
    valid = (labels != IGNORED).float()
    forged = (labels == 1).float()
    share = _window_sum(forged, window) / _window_sum(valid, window).clamp_min(1)
    return 1 - (1 - 2 * share).abs()


def _window_sum(values: Tensor, window: int) -> Tensor:
    """Sum over a square window around every pixel, cut at the border; separable, and exact for counts."""
    for size in ((window, 1), (1, window)):
        padding = (size[0] // 2, size[1] // 2)
        values = F.avg_pool2d(values[:, None], size, 1, padding, divisor_override=1)[:, 0]
    return values


def boundary_loss(
    logits: Tensor,
    labels: Tensor,
    counted: Tensor,
    window: int,
    target: Literal["soft", "hard"] = "soft",
    pixel_weight: Literal["soft", "binary"] = "soft",
    gamma: float = 0.1,
) -> Tensor:
    """L_BGM (eq. 8): cross-entropy with bin(G), weighted by w, plus |S - G|; the mean over pixels, not their sum.

    Args:
        logits: `(B, 1, H, W)`, whose sigmoid is S.
        labels: `(B, H, W)` integers {0, 1, 255}.
        counted: `(B,)` bool.
        window: Side of W in eq. 7.
        target: G of eq. 7, or its binarisation at 0.5.
        pixel_weight: w = G + gamma (the formula), or bin(G) + gamma (the prose).
        gamma: What a pixel far from every outline weighs.

    Returns:
        Scalar >= 0, float32.
    """
    soft = soft_boundary(labels, window)
    binary = (soft >= 0.5).float()
    goal = soft if target == "soft" else binary
    weight = (goal if pixel_weight == "soft" else binary) + gamma
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0].float(), binary, reduction="none")
    distance = (torch.sigmoid(logits[:, 0].float()) - goal).abs()
    return mean_over(entropy * weight + distance, (labels != IGNORED) & counted[:, None, None])


def classification_loss(image_logits: Tensor, image_targets: Tensor) -> Tensor:
    """L_cls of eq. 9, the cross-entropy of the image's label, `(B, 1)` logits against `(B,)` {0, 1}."""
    return F.binary_cross_entropy_with_logits(image_logits[:, 0].float(), image_targets.float())


def mean_over(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of the values that count; 0, attached to the graph, where none does."""
    return torch.where(counted, values, 0).sum() / counted.sum().clamp_min(1)
