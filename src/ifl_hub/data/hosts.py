"""The picture that a forgery happens to, and what comes out.

A host is a crop of one of the pool's photos at some scale, with a life of its own behind it; an edit is what a
manipulation makes of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .histories import apply_steps, draw_kernel, plan_history, resize
from .photos import CutObject, PhotoPool

_SHOWS_OBJECT = 0.35  # how often the crop is drawn around one of the pool's known objects
_LARGEST_OBJECT = 0.25  # of the canvas, such an object's box, where the photo allows it


@dataclass(frozen=True)
class Host:
    """A canvas and where in its photo it came from.

    Attributes:
        image: (H, W, 3) uint8 RGB, history applied.
        photo: Index of the photo in the pool.
        crop: (top, left, height, width) in the photo's pixels.
        flipped: Whether the crop was mirrored left to right.
        record: All of it, and the history, JSON-able.
    """

    image: np.ndarray
    photo: int
    crop: tuple[int, int, int, int]
    flipped: bool
    record: dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """An edited picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32 in [0, 1], how much of each pixel is new.
        record: What was done, JSON-able.
    """

    image: np.ndarray
    alpha: np.ndarray
    record: dict[str, Any]


def draw_host(rng: np.random.Generator, pool: PhotoPool, height: int, width: int, grid: tuple[int, int] | None) -> Host:
    """Draws a photo, a scale, a crop, a flip and a history.

    A third of the canvases are native pixels, a third show most of the photo (as a thumbnail does), the rest lie
    between. A photo too small for the canvas is enlarged to fit. A third of the crops are drawn around an object whose
    outline is known, whatever will be done to the host: authentic pictures show things too.

    Args:
        rng: The source of every choice.
        pool: The photos.
        height: Height of the canvas.
        width: Width of the canvas.
        grid: Preferred (row, column) offset of the last compression's grid; None for any.
    """
    index, box = _draw_photo(rng, pool)
    photo = pool.photo(index)
    smallest = max(height / photo.shape[0], width / photo.shape[1])
    scale = draw_scale(rng, smallest)
    if box is not None:
        scale = max(smallest, min(scale, float(np.sqrt(_LARGEST_OBJECT * height * width / (box[2] * box[3])))))
    crop_height = min(photo.shape[0], max(1, round(height / scale)))
    crop_width = min(photo.shape[1], max(1, round(width / scale)))
    top = _draw_start(rng, photo.shape[0], crop_height, None if box is None else (box[0], box[0] + box[2]))
    left = _draw_start(rng, photo.shape[1], crop_width, None if box is None else (box[1], box[1] + box[3]))
    kernel = draw_kernel(rng)
    image = resize(photo[top : top + crop_height, left : left + crop_width], height, width, kernel)
    flipped = bool(rng.random() < 0.5)
    image = np.ascontiguousarray(image[:, ::-1] if flipped else image)
    history = plan_history(rng, grid)
    crop = (top, left, crop_height, crop_width)
    record = {
        "photo": pool.photos[index].name,
        "photo_index": index,
        "crop": list(crop),
        "size": [height, width],
        "kernel": kernel if (crop_height, crop_width) != (height, width) else None,
        "flipped": flipped,
        "history": history,
    }
    return Host(apply_steps(image, history), index, crop, flipped, record)


def _draw_photo(rng: np.random.Generator, pool: PhotoPool) -> tuple[int, tuple[int, int, int, int] | None]:
    """Any photo, or the donor of a known object together with the (top, left, height, width) of that object."""
    known = pool.known_objects
    if known and rng.random() < _SHOWS_OBJECT:
        cut: CutObject = pool.cutout(known[int(rng.integers(len(known)))])
        if cut.donor is not None and cut.box is not None:
            return cut.donor, (*cut.box, *cut.alpha.shape)
    return int(rng.integers(len(pool))), None


def _draw_start(rng: np.random.Generator, length: int, crop: int, span: tuple[int, int] | None) -> int:
    """Where a crop begins along a side of the photo, so that it holds the span if it is long enough for it."""
    low, high = 0, length - crop
    if span is not None and span[1] - span[0] <= crop:
        low, high = max(low, span[1] - crop), min(high, span[0])
    return int(rng.integers(low, high + 1))


def draw_scale(rng: np.random.Generator, smallest: float) -> float:
    """Canvas pixels per photo pixel, not below `smallest`, where the crop is as large as the photo allows.

    A third of the draws are native pixels, a third a thumbnail, the rest lie between.
    """
    choice = rng.random()
    if choice < 0.35:
        return max(1.0, smallest)
    if choice < 0.7:
        return smallest * float(rng.uniform(1.0, 1.3))
    return float(np.exp(rng.uniform(np.log(smallest), np.log(max(1.25, smallest)))))


def object_in_view(rng: np.random.Generator, pool: PhotoPool, host: Host) -> np.ndarray | None:
    """The outline of one of the photo's known objects on the canvas.

    Returns:
        (H, W) float32 alpha of an object of which most is in view, or None where there is none.
    """
    seen = [alpha for index in pool.objects_in(host.photo) if (alpha := _on_canvas(pool, index, host)) is not None]
    return seen[int(rng.integers(len(seen)))] if seen else None


def _on_canvas(pool: PhotoPool, index: int, host: Host) -> np.ndarray | None:
    cut = pool.cutout(index)
    if cut.box is None:
        return None
    top, left, height, width = host.crop
    rows, columns = cut.alpha.shape
    row, column = cut.box[0] - top, cut.box[1] - left
    visible_rows = min(row + rows, height) - max(row, 0)
    visible_columns = min(column + columns, width) - max(column, 0)
    if visible_rows < 0.7 * rows or visible_columns < 0.7 * columns:
        return None
    crop = np.zeros((height, width), np.float32)
    crop[max(row, 0) : row + rows, max(column, 0) : column + columns] = cut.alpha[
        max(-row, 0) : max(-row, 0) + visible_rows, max(-column, 0) : max(-column, 0) + visible_columns
    ]
    alpha = resize(crop, host.image.shape[0], host.image.shape[1], "linear")
    return np.ascontiguousarray(alpha[:, ::-1]) if host.flipped else alpha
