"""The parts of a mask, one by one: where each lies, how large it is, and how sure the map is of it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Region:
    """Forged pixels that touch each other, also by their corners.

    Args:
        box: `(left, top, right, bottom)` in pixels of the upright photo; right and bottom lie outside.
        pixels: How many are marked.
        mean: Mean probability of its pixels, in [0, 1].
        peak: Highest probability of its pixels, in [0, 1].
    """

    box: tuple[int, int, int, int]
    pixels: int
    mean: float
    peak: float


@dataclass(frozen=True)
class Regions:
    """All regions of a mask, the largest of them in full.

    Args:
        listed: The largest, in order of their pixels.
        more: How many others there are.
        more_pixels: What those others hold together.
    """

    listed: tuple[Region, ...]
    more: int
    more_pixels: int


def find_regions(mask: np.ndarray, heatmap: np.ndarray, most: int = 10) -> Regions:
    """Split a mask into its connected regions.

    Args:
        mask: `(H, W)`, non-zero where a pixel is judged forged.
        heatmap: `(H, W)` float in [0, 1].
        most: How many to describe one by one.

    Example:
        >>> mask = np.zeros((6, 8)); mask[1:3, 2:5] = 1; mask[5, 7] = 1
        >>> regions = find_regions(mask, mask * 0.75, most=1)
        >>> regions.listed[0].box, regions.listed[0].pixels, regions.more
        ((2, 1, 5, 3), 6, 1)
    """
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats((np.asarray(mask) != 0).astype(np.uint8), connectivity=8)
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")  # 0 is the background
    listed = tuple(_describe(int(label), labels, stats[label], heatmap) for label in order[:most])
    return Regions(listed, len(order[most:]), int(stats[order[most:], cv2.CC_STAT_AREA].sum()))


def _describe(label: int, labels: np.ndarray, stats: np.ndarray, heatmap: np.ndarray) -> Region:
    left, top, width, height, pixels = map(int, stats)
    inside = slice(top, top + height), slice(left, left + width)
    probabilities = heatmap[inside][labels[inside] == label]
    return Region(
        box=(left, top, left + width, top + height),
        pixels=pixels,
        mean=float(probabilities.mean(dtype=np.float64)),
        peak=float(probabilities.max()),
    )
