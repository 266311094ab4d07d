"""Classical localizers that cost nothing: what a trained model must beat to be worth its weights."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


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


def _box_mean(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Mean over a window around each pixel, the border mirrored, by cumulative sums in float64."""
    padded = np.pad(values.astype(np.float64), window // 2, mode="reflect" if min(values.shape) > window else "edge")
    for axis in (0, 1):
        sums = np.cumsum(padded, axis=axis)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        count = sums.shape[axis] - window
        padded = (sums.take(range(window, window + count), axis) - sums.take(range(count), axis)) / window
    return padded.astype(np.float32)
