"""Shapes of what gets pasted, removed or retouched: polygons, ellipses, rectangles, blobs, outlines of real objects.

Forgers select with a lasso, a marquee or an object tool; a network that saw one outline only would learn it.
"""

import numpy as np

from .histories import resize
from .photos import PhotoPool

SHAPES = ("polygon", "ellipse", "rectangle", "blob", "object")


def draw_region(
    rng: np.random.Generator, height: int, width: int, pool: PhotoPool | None = None
) -> tuple[np.ndarray, str]:
    """A hard-edged alpha that fills a box: the outline of a real object in four of ten cases.

    Args:
        rng: The source of every choice.
        height: Height of the box in pixels, at least 3.
        width: Width of the box in pixels, at least 3.
        pool: Where object outlines come from; without cut-outs none are drawn.

    Returns:
        (height, width) float32 in [0, 1], somewhere above 0.5, and the shape's name, one of `SHAPES`.
    """
    weights = np.array([0.24, 0.09, 0.09, 0.2, 0.38 if pool is not None and pool.cutouts else 0.0])
    shape = SHAPES[int(rng.choice(len(SHAPES), p=weights / weights.sum()))]
    if shape == "object" and pool is not None:
        outline = pool.cutout(int(rng.integers(len(pool.cutouts)))).alpha
        if rng.random() < 0.5:
            outline = outline[:, ::-1]
        outline = resize(np.ascontiguousarray(outline), height, width, "area").clip(0, 1)
        if (outline > 0.5).any():
            return outline, shape
        shape = "ellipse"
    drawn = {"polygon": _polygon, "ellipse": _ellipse, "rectangle": _rectangle, "blob": _blob}[shape](
        rng, height, width
    )
    return drawn, shape


def draw_box(rng: np.random.Generator, canvas: tuple[int, ...], largest: float) -> tuple[int, int]:
    """Height and width of a box on a canvas, each at least 3 pixels.

    The area is log-uniform between 1 % of the canvas and the share `largest`, the aspect between 1:2.2 and 2.2:1.
    """
    area = float(np.exp(rng.uniform(np.log(0.01), np.log(largest)))) * canvas[0] * canvas[1]
    aspect = float(np.exp(rng.uniform(-0.8, 0.8)))
    height, width = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
    return int(np.clip(height, 3, canvas[0])), int(np.clip(width, 3, canvas[1]))


def _polygon(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    corners = int(rng.integers(3, 13))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.45, 1.0, corners)
    return _fill(angles, radii, height, width)


def _blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radii = np.ones_like(angles)
    for frequency in range(2, 7):
        radii += rng.normal(0, 0.35 / frequency) * np.cos(frequency * angles + rng.uniform(0, 2 * np.pi))
    return _fill(angles, np.clip(radii, 0.25, 2.0), height, width)


def _fill(angles: np.ndarray, radii: np.ndarray, height: int, width: int) -> np.ndarray:
    """Fills a star-shaped outline, stretched so that its bounding box is the whole box."""
    import cv2

    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - low) / np.maximum(high - low, 1e-6) * [width - 1, height - 1]
    alpha = np.zeros((height, width), np.float32)
    cv2.fillPoly(alpha, [np.rint(points).astype(np.int32)], 1.0)
    return alpha


def _ellipse(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    rows = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / (height / 2)
    columns = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / (width / 2)
    return (rows[:, None] ** 2 + columns[None, :] ** 2 <= 1).astype(np.float32)


def _rectangle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.ones((height, width), np.float32)
