"""The pictures that a result is looked at by, no larger than a screen."""

from typing import Literal, get_args

import numpy as np
from PIL import Image

from ..reports import colour_heatmap, render_overlay
from ..reports.embedding import shrink_mask
from .analysis import SCREEN, Analysis
from .examples import recognise

View = Literal["Overlay", "Heat map", "Mask", "Original", "Truth"]
VIEWS: tuple[View, ...] = get_args(View)


def available_views(analysis: Analysis) -> list[View]:
    """The truth is known of the examples only."""
    return [view for view in VIEWS if view != "Truth" or truth(analysis) is not None]


def render_view(analysis: Analysis, view: View, threshold: float) -> Image.Image:
    """Draw a view of a result.

    Args:
        analysis: The result; its heat map is read, its model is not run.
        view: Which; "Truth" only for examples.
        threshold: A pixel is marked above it, in [0, 1].

    Returns:
        RGB image of at most `SCREEN` pixels each way.
    """
    pixels, heatmap = analysis.small
    if view == "Original":
        return pixels
    if view == "Heat map":
        return colour_heatmap(heatmap)
    if view == "Truth":
        return _black_and_white(truth(analysis))
    if view == "Mask":
        return _black_and_white(analysis.mask(threshold))
    return render_overlay(pixels, heatmap, shrink_mask(analysis.mask(threshold), SCREEN))


def truth(analysis: Analysis) -> np.ndarray | None:
    """`(H, W)` bool, what was really changed: all False in an untouched example, None where nobody knows."""
    example = recognise(analysis.path)
    if example is None:
        return None
    mask = example.mask()
    return np.zeros(analysis.image.size, bool) if mask is None else mask


def _black_and_white(mask: np.ndarray | None) -> Image.Image:
    assert mask is not None
    return Image.fromarray(shrink_mask(mask, SCREEN).astype(np.uint8) * np.uint8(255)).convert("RGB")
