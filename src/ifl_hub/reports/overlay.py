"""The picture a person judges by: the photo in grey, the suspicion in colour, the mask outlined.

The photo loses its colour so that every hue means probability, and the colour map rises in lightness from dark violet
to pale yellow, so that it also reads in grey print and for colour-blind eyes. The outline is a bright line between two
dark ones: it shows on snow and on night.
"""

import numpy as np
from PIL import Image

#: RGB at probabilities 0, 1/6, … 1; CIE lightness rises evenly from 12 to 95.
_ANCHORS = np.array(
    [(38, 17, 68), (84, 22, 104), (140, 35, 106), (193, 55, 84), (230, 97, 45), (249, 161, 26), (252, 240, 160)],
    dtype=np.float32,
)
#: 256 colours, `(256, 3)` float32 in [0, 255], for probabilities 0 to 1.
COLOUR_MAP = np.stack(
    [np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(_ANCHORS)), _ANCHORS[:, c]) for c in range(3)], axis=1
).astype(np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_OPACITY = 0.85
_BAND_ROWS = 256
_OUTLINE = np.array((0, 255, 255), dtype=np.uint8)


def render_overlay(image: np.ndarray | Image.Image, heatmap: np.ndarray, mask: np.ndarray | Image.Image) -> Image.Image:
    """Draw a result onto its photo, pixel for pixel.

    Args:
        image: The upright photo, PIL image or `(H, W, 3)` uint8 RGB.
        heatmap: `(H, W)` float in [0, 1], the probability that a pixel is forged.
        mask: PIL "L" image or `(H, W)` array; non-zero where the pixel is judged forged.

    Returns:
        RGB image of the photo's size.

    Raises:
        ValueError: If the three sizes differ.

    Example:
        >>> photo = np.full((40, 60, 3), 128, dtype=np.uint8)
        >>> render_overlay(photo, np.zeros((40, 60)), np.zeros((40, 60), dtype=bool)).size
        (60, 40)
    """
    pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    inside = np.asarray(mask) != 0
    if not pixels.shape[:2] == heatmap.shape == inside.shape:
        raise ValueError(
            f"image {pixels.shape[:2]}, heatmap {heatmap.shape} and mask {inside.shape} differ in size; "
            "all lie on the upright photo's pixels"
        )
    drawn = np.empty_like(pixels)
    for top in range(0, len(pixels), _BAND_ROWS):  # in bands, so that a huge photo needs no huge temporaries
        rows = slice(top, top + _BAND_ROWS)
        drawn[rows] = _blend(pixels[rows], heatmap[rows])
    _draw_outline(drawn, inside)
    return Image.fromarray(drawn)


def colour_heatmap(heatmap: np.ndarray) -> Image.Image:
    """Probabilities `(H, W)` in [0, 1] as the overlay's colours: dark violet is 0, pale yellow 1.

    Example:
        >>> colour_heatmap(np.zeros((2, 3))).getpixel((0, 0))
        (38, 17, 68)
    """
    return Image.fromarray(COLOUR_MAP.round().astype(np.uint8)[np.rint(np.clip(heatmap, 0, 1) * 255).astype(np.uint8)])


def _blend(pixels: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    grey = (pixels.astype(np.float32) @ _LUMA)[..., None]
    probability = np.clip(heatmap, 0, 1).astype(np.float32)
    colour = COLOUR_MAP[np.rint(probability * 255).astype(np.uint8)]
    # The photo's own light and shade stays visible under the colour.
    shaded = colour * (0.7 + 0.3 * grey / 255)
    opacity = _OPACITY * probability[..., None] ** 0.75
    return np.rint(grey * (1 - opacity) + shaded * opacity).astype(np.uint8)


def _draw_outline(drawn: np.ndarray, inside: np.ndarray) -> None:
    """Draw, in place, the mask's border: a bright line, one dark line on either side."""
    width = max(1, round(min(inside.shape) / 300))
    bright = _dilate(inside, width) & ~inside
    dark = _dilate(inside, 2 * width) & ~bright & ~_erode(inside, width)
    drawn[dark] = 0
    drawn[bright] = _OUTLINE


def _dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Grow a mask by a square of `2 * radius + 1` pixels, one axis after the other, in steps that triple."""
    for axis in (0, 1):
        reached = 0
        while reached < radius:
            step = min(2 * reached + 1, radius - reached)
            before, grown = np.moveaxis(mask, axis, 0), np.moveaxis(mask.copy(), axis, 0)
            grown[step:] |= before[:-step]
            grown[:-step] |= before[step:]
            mask = np.moveaxis(grown, 0, axis)
            reached += step
    return mask


def _erode(mask: np.ndarray, radius: int) -> np.ndarray:
    return ~_dilate(~mask, radius)
