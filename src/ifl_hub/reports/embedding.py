"""Pictures inside an HTML file: made smaller, each within a budget of bytes, none fetched from anywhere."""

import base64
import io

import numpy as np
from PIL import Image

from .overlay import COLOUR_MAP

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


def colour_heatmap(heatmap: np.ndarray) -> Image.Image:
    """Probabilities `(H, W)` in [0, 1] as the overlay's colours.

    Example:
        >>> colour_heatmap(np.zeros((2, 3))).getpixel((0, 0))
        (38, 17, 68)
    """
    return Image.fromarray(COLOUR_MAP.round().astype(np.uint8)[np.rint(np.clip(heatmap, 0, 1) * 255).astype(np.uint8)])


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
