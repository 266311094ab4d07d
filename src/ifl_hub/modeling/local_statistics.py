"""Means over windows, Gaussian smoothing and the detail of a picture: what the search for copies compares."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_BLUR = 1.5  # pixels, standard deviation of what is taken off
_LUMINANCE = (0.299, 0.587, 0.114)


def luminance(pixels: Tensor) -> Tensor:
    """`(B, 3, H, W)` RGB on any scale to `(B, 1, H, W)`."""
    return (pixels * pixels.new_tensor(_LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)


def normalised_detail(grey: Tensor) -> Tensor:
    """High-pass of a luminance at one contrast everywhere, `(B, 1, H, W)`."""
    detail = grey - gaussian_blur(grey, _BLUR)
    floor = 0.02 * grey.std((1, 2, 3), keepdim=True, correction=0) + 1e-3
    return (detail / (window_mean(detail**2, 15).clamp(min=0).sqrt() + floor)).clamp(-3, 3)


def correlation(together: Tensor, energy: Tensor, other_energy: Tensor) -> Tensor:
    """How alike two normalised details are in [0, 1], from window means of their product and of their squares."""
    return (together / ((energy * other_energy).clamp(min=0).sqrt() + 0.05)).clamp(0, 1)


def window_mean(values: Tensor, side: int) -> Tensor:
    """Mean over a square window of odd side, zeros beyond the border.

    By running sums, whose rounding may leave a mean of squares a little below 0.
    """
    before, after = side // 2 + 1, side // 2
    sums = F.pad(values, (before, after, before, after)).cumsum(-1)
    sums = (sums[..., side:] - sums[..., :-side]).cumsum(-2)
    return (sums[..., side:, :] - sums[..., :-side, :]) / side**2


def gaussian_blur(values: Tensor, sigma: float) -> Tensor:
    """`(B, 1, H, W)` smoothed by a Gaussian of `sigma` pixels, the border repeated."""
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(values, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
