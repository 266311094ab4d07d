"""Ground-truth masks as datasets really store them, read into one label map.

Masks come as 0/255 or 0/1, with one bit or three channels, palettes, alpha, grey edges from JPEG. Guessing wrong
inverts or empties the ground truth without a sound, so whatever has no single reading is refused.
"""

from typing import Any

import numpy as np
from PIL import Image

#: The label that losses and metrics skip.
IGNORED = 255


def to_label_map(mask: Any, name: str = "mask") -> np.ndarray:
    """Read one mask into labels: 0 authentic, 1 forged, 255 ignored.

    Values 0 and 255 alone are black and white: 255 is forged. As soon as a 1 occurs, 1 is forged and 255 is ignored.
    Grey values of an 8- or 16-bit picture (soft or JPEG-compressed edges) are cut at half.

    Args:
        mask: PIL image of any mode, or array `(H, W)`, `(H, W, C)` or `(1, H, W)` of bool, integers or floats.
        name: What error messages call it.

    Returns:
        `(H, W)` uint8.

    Raises:
        ValueError: If it is coloured, half transparent, or its values are no mask.

    Example:
        >>> to_label_map(np.array([[0, 255]], dtype=np.uint8)), to_label_map(np.array([[0, 1, 255]]))
        (array([[0, 1]], dtype=uint8), array([[  0,   1, 255]], dtype=uint8))
    """
    return _binarize(_one_channel(_as_array(mask, name), name), name)


def _as_array(mask: Any, name: str) -> np.ndarray:
    if isinstance(mask, Image.Image):
        if mask.mode == "P" and "transparency" not in mask.info:
            colours = np.asarray(mask.convert("RGB"))
            grey = bool((colours == colours[..., :1]).all())
            return colours if grey else np.asarray(mask)  # a coloured palette only paints class indices
        if mask.mode == "P":
            mask = mask.convert("RGBA")
        return np.asarray(mask)
    values = np.asarray(mask)
    if values.dtype.kind not in "biuf" or values.size == 0:
        raise ValueError(f"{name}: {type(mask).__name__} is no mask; give a PIL image or an array (H, W)")
    return values


def _one_channel(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim == 3 and values.shape[0] == 1 and values.shape[2] not in (1, 3, 4):
        return values[0]
    if values.ndim == 2:
        return values
    if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4):
        raise ValueError(f"{name}: shape {values.shape} is no mask; give (H, W)")
    channels = values.shape[2]
    if channels in (2, 4):
        if values[..., -1].min() != values[..., -1].max() or values[..., -1].max() == 0:
            raise ValueError(f"{name}: is partly transparent; save it as black (authentic) and white (forged)")
        values = values[..., :-1]
    if not (values == values[..., :1]).all():
        raise ValueError(f"{name}: is coloured; save it as black (authentic) and white (forged)")
    return values[..., 0]


def _binarize(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name}: holds NaN or infinite values; give 0 (authentic) and 1 (forged)")
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise ValueError(f"{name}: values {low} to {high} are no mask; give 0 (authentic) and 1 (forged)")
    is_one = values == 1
    if (is_one | (values == 0) | (values == IGNORED)).all():
        return np.where(is_one, 1, np.where(values == IGNORED, IGNORED if is_one.any() else 1, 0)).astype(np.uint8)
    if high <= 1:
        full = 1
    elif 128 <= high <= 255:
        full = 255
    elif high >= 32768:
        full = 65535
    else:
        raise ValueError(
            f"{name}: values {low} to {high} are neither 0/1 nor 0/255; save it as black (authentic) and white (forged)"
        )
    return (values >= full / 2).astype(np.uint8)
