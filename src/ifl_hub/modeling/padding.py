"""Padding that lets networks with a fixed stride take images of any size."""

import torch
from torch import Tensor


def pad_reflect(pixels: Tensor, divisor: int) -> Tensor:
    """Mirror the right and bottom border until both sides are multiples of `divisor`, however small the image.

    Example:
        >>> pad_reflect(torch.arange(3.0).view(1, 1, 1, 3), 5)[0, 0, 0].tolist()
        [0.0, 1.0, 2.0, 1.0, 0.0]
    """
    for dimension in (2, 3):
        size = pixels.shape[dimension]
        # No early return for sizes that fit, and no period as a plain number: torch.export would hold every later input
        # to the same branch, and ONNX knows no remainder by a size.
        index = torch.arange(size + -size % divisor, device=pixels.device)
        period = torch.full_like(index, 2 * (size - 1)).clamp(min=1)
        index = index % period
        pixels = pixels.index_select(dimension, torch.minimum(index, period - index))
    return pixels
