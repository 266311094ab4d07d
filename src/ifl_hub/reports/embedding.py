"""Pictures inside an HTML file: made smaller, each within a budget of bytes, none fetched from anywhere."""

import base64
import io

import numpy as np
from PIL import Image

#: Longest side of a picture in a report, in pixels.
LARGEST = 1200
_QUALITIES = (88, 75, 60, 40)


def shrink(image: Image.Image, largest: int = LARGEST) -> Image.Image:
    """The picture, or a smaller one whose pixels are the means of its own; never a larger one.

    Example:
        >>> shrink(Image.new("RGB", (3000, 600)), 1000).size
        (1000, 200)
    """
    scale = largest / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def shrink_mask(mask: np.ndarray, largest: int = LARGEST) -> np.ndarray:
    """A mask on the smaller grid, bool: marked where any of its pixels was, so that a small region stays visible.

    Example:
        >>> mask = np.zeros((400, 800), bool)
        >>> mask[7, 9] = True
        >>> shrink_mask(mask, 100).shape, int(shrink_mask(mask, 100).sum())
        ((50, 100), 1)
    """
    return np.asarray(shrink(Image.fromarray(mask.astype(np.float32)), largest)) > 0


def to_jpeg_uri(image: Image.Image, budget: int = 300_000) -> str:
    """A `data:` URI of at most about `budget` bytes: the best quality that fits."""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling="4:4:4" if quality == _QUALITIES[0] else "4:2:0")
        if buffer.tell() <= budget:
            break
    return _uri("jpeg", buffer)


def to_png_uri(image: Image.Image) -> str:
    """A `data:` URI without loss, for masks."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return _uri("png", buffer)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
