"""Arithmetic that the losses of two methods or more share: cross-entropy of a mask, and means over what counts."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_cross_entropy(logits: Tensor, labels: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of every pixel, in float32; the values of ignored pixels mean nothing.

    Args:
        logits: `(B, 1, H, W)`.
        labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
        positive_weight: Weight of forged pixels.

    Returns:
        `(B, H, W)`, >= 0.
    """
    weight = torch.tensor(positive_weight, device=logits.device)
    target = (labels == 1).float()
    return F.binary_cross_entropy_with_logits(logits[:, 0].float(), target, pos_weight=weight, reduction="none")


def mean_over(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of the values that count; 0, attached to the graph, where none does.

    Example:
        >>> mean_over(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])).item()
        1.5
    """
    return torch.where(counted, values, 0).sum() / counted.sum().clamp_min(1)
