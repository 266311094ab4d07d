"""Localizers that learned nothing: what a trained model must beat to be worth its weights.

Each is a function from a PIL image to a heat map on its pixels, and has a name, so that `baseline:NAME` stands wherever
a model's name does.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .copy_move import copy_move_keypoints
from .labelled_images import EvaluationError

#: PIL image to `(H, W)` float map in [0, 1], the probability that a pixel is forged.
Localizer = Callable[[Image.Image], NDArray[np.floating]]

PREFIX = "baseline:"


def all_forged(image: Image.Image) -> NDArray[np.float32]:
    """Calls every pixel forged: the recall that costs nothing.

    Example:
        >>> from PIL import Image
        >>> all_forged(Image.new("RGB", (3, 2))).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    return np.ones((image.height, image.width), np.float32)


def all_authentic(image: Image.Image) -> NDArray[np.float32]:
    """Calls every pixel authentic: the false-alarm rate that costs nothing."""
    return np.zeros((image.height, image.width), np.float32)


def random_map(image: Image.Image) -> NDArray[np.float32]:
    """Independent uniform values; the seed is the picture's own pixels, so neither order nor process matters.

    Returns:
        `(H, W)` float32 in [0, 1).
    """
    digest = hashlib.sha256(np.asarray(image.convert("RGB")).tobytes()).digest()
    return np.random.default_rng(list(digest)).random((image.height, image.width), np.float32)


def error_level_analysis(image: Image.Image, quality: int = 90, window: int = 9) -> NDArray[np.float32]:
    """Error-level analysis: how much each neighbourhood changes when the image is compressed once more.

    The absolute difference to a JPEG copy, averaged over channels and a square window, scaled per image to [0, 1].

    Args:
        image: Any mode; read as RGB.
        quality: JPEG quality of the copy.
        window: Side of the averaging window in pixels, odd.

    Returns:
        `(H, W)` float32 in [0, 1]; all 0 where nothing changes.

    Example:
        >>> from PIL import Image
        >>> error_level_analysis(Image.new("RGB", (32, 24))).shape
        (24, 32)
    """
    original = image.convert("RGB")
    buffer = io.BytesIO()
    original.save(buffer, "JPEG", quality=quality)
    copy = Image.open(buffer)
    residual = np.abs(np.asarray(original, np.float32) - np.asarray(copy, np.float32)).mean(2)
    smooth = _box_mean(residual, window)
    low, high = float(smooth.min()), float(smooth.max())
    return ((smooth - low) / (high - low)).astype(np.float32) if high > low else np.zeros_like(smooth)


def noise_inconsistency(image: Image.Image, window: int = 17, limit: float = 3.0) -> NDArray[np.float32]:
    """Block noise variance: how far the noise of each neighbourhood lies from what is usual in the image.

    The noise's standard deviation is read off a second-difference filter that a smooth scene does not excite, averaged
    over a block. Its logarithm is compared with the image's median in units of the median absolute deviation.

    Args:
        image: Any mode; read as RGB, its luma is used.
        window: Side of the block around each pixel, odd.
        limit: Deviations at which the map reads 0.5.

    Returns:
        `(H, W)` float32 in [0, 1); all 0 where the noise is the same everywhere.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> grain = np.random.default_rng(0).normal(128, 2, (64, 64))
        >>> grain[20:50, 20:50] += np.random.default_rng(1).normal(0, 12, (30, 30))
        >>> levels = noise_inconsistency(Image.fromarray(grain.clip(0, 255).astype(np.uint8)))
        >>> bool(levels[35, 35] > 0.5 > levels[5, 5])
        True
    """
    luma = np.pad(np.asarray(image.convert("RGB").convert("L"), np.float32), 1, mode="edge")
    rows = luma[:-2] - 2 * luma[1:-1] + luma[2:]
    second = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    # White noise of deviation s gives |second| a mean of 6 s sqrt(2 / pi); a tenth of a grey level is no noise at all.
    deviation = _box_mean(np.abs(second), window) * float(np.sqrt(np.pi / 2) / 6) + 0.1
    distance = np.abs(np.log(deviation) - np.median(np.log(deviation)))
    usual = 1.4826 * float(np.median(distance))
    if usual == 0:
        return (distance > 0).astype(np.float32)
    squared = (distance / usual) ** 2
    return (squared / (squared + limit**2)).astype(np.float32)


#: Every baseline by the name that follows `baseline:`.
BASELINES: Mapping[str, Localizer] = MappingProxyType(
    {
        "all-forged": all_forged,
        "all-authentic": all_authentic,
        "random": random_map,
        "ela": error_level_analysis,
        "noise": noise_inconsistency,
        "copy-move": copy_move_keypoints,
    }
)


def find_baseline(name: str) -> Localizer:
    """The baseline of a name, with or without `baseline:` before it.

    Raises:
        EvaluationError: If there is none of that name.

    Example:
        >>> find_baseline("baseline:ela") is error_level_analysis
        True
    """
    bare = name.removeprefix(PREFIX)
    if bare not in BASELINES:
        raise EvaluationError(f"no baseline {bare!r}: choose from {', '.join(BASELINES)}")
    return BASELINES[bare]


def _box_mean(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Mean over a window around each pixel, the border mirrored, by cumulative sums in float64."""
    padded = np.pad(values.astype(np.float64), window // 2, mode="reflect" if min(values.shape) > window else "edge")
    for axis in (0, 1):
        sums = np.cumsum(padded, axis=axis)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        count = sums.shape[axis] - window
        padded = (sums.take(range(window, window + count), axis) - sums.take(range(count), axis)) / window
    return padded.astype(np.float32)
