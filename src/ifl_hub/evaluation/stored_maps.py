"""Heat maps on disk: 16 bits a pixel, in steps of log-odds, so that neither order nor threshold gets lost.

Cut evenly in probability, 16 bits would turn the map of a very sure network (log-odds of -14 and below) into one
constant. In log-odds a step of 1/1024 is at most 0.00025 in probability, and finer towards 0 and 1.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import atomic_file


class BadMapError(ValueError):
    """A heat map that is none; the message says why in a few words."""


_STEPS = 1024  # per unit of log-odds; 0.5 is step 32768
_MIDDLE = 32768


def encode_map(heatmap: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Probabilities `(H, W)` in [0, 1] to 16-bit steps of log-odds; 0 and 1 become the ends of the scale.

    A value above (below) 0.5 stays above (below) it.

    Raises:
        BadMapError: If a value is NaN or outside [0, 1].

    Example:
        >>> encode_map(np.array([0.0, 0.5, 1.0]))
        array([    0, 32768, 65535], dtype=uint16)
    """
    values = np.asarray(heatmap, np.float64)
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise BadMapError("its heat map holds NaN or values outside 0 to 1")
    with np.errstate(divide="ignore"):
        steps = (np.log(values) - np.log1p(-values)) * _STEPS
    nearest = np.where(np.abs(steps) < 1, np.sign(steps), np.rint(steps))  # never onto 0.5 itself
    return (np.clip(nearest, -_MIDDLE, _MIDDLE - 1) + _MIDDLE).astype(np.uint16)


def decode_map(codes: NDArray[np.integer]) -> NDArray[np.float32]:
    """The probabilities `(H, W)` float32 of `encode_map`'s steps, within 0.00025; the scale's ends are 0 and 1.

    Example:
        >>> decode_map(np.array([0, 32768, 65535]))
        array([0. , 0.5, 1. ], dtype=float32)
    """
    odds = np.exp(-(codes.astype(np.float64) - _MIDDLE) / _STEPS)
    values = (1 / (1 + odds)).astype(np.float32)
    values[codes == 0] = 0
    values[codes == 65535] = 1
    return values


def save_map(path: Path, heatmap: NDArray[np.floating]) -> None:
    """Write a map as a 16-bit grey PNG, whole or not at all."""
    picture = Image.fromarray(encode_map(heatmap))
    with atomic_file(path) as file:
        picture.save(file, format="PNG", compress_level=3)


def load_map(path: Path) -> NDArray[np.float32]:
    """Read a map that `save_map` wrote."""
    with Image.open(path) as picture:
        return decode_map(np.asarray(picture))


def save_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write a label map (0, 1, 255) as an 8-bit grey PNG, whole or not at all."""
    with atomic_file(path) as file:
        Image.fromarray(labels).save(file, format="PNG")


def load_labels(path: Path) -> NDArray[np.uint8]:
    """Read a label map that `save_labels` wrote."""
    with Image.open(path) as picture:
        return np.asarray(picture)
