"""What a person judges a face by: the photo with its faces framed, and where each local information block looked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .overlay import COLOUR_MAP, render_overlay

TILE, GAP, CAPTION = 160, 4, 18  # pixels
_BRIGHT = 0.35  # colours of lower probabilities are too dark for a frame


def render_faces(image: np.ndarray, faces: Sequence[Mapping[str, Any]]) -> Image.Image:
    """The photo with a frame around each face: the higher its score, the paler, with the score beside it.

    Args:
        image: The upright photo, `(H, W, 3)` uint8 RGB.
        faces: As the pipeline returns them.

    Returns:
        RGB image of the photo's size.

    Example:
        >>> photo = np.zeros((60, 80, 3), np.uint8)
        >>> render_faces(photo, [{"box": (10, 10, 50, 50), "label": "fake", "score": 0.9}]).size
        (80, 60)
    """
    drawn = Image.fromarray(np.ascontiguousarray(image))
    pen = ImageDraw.Draw(drawn)
    size = max(10, round(min(drawn.size) / 30))
    font, width = ImageFont.load_default(size), max(1, size // 6)
    for face in sorted(faces, key=lambda face: face["score"]):  # the most suspicious on top
        red, green, blue = COLOUR_MAP[round((_BRIGHT + (1 - _BRIGHT) * face["score"]) * 255)].round().astype(int)
        colour, box = (int(red), int(green), int(blue)), face["box"]
        pen.rectangle((*box[:2], box[2] - 1, box[3] - 1), outline=colour, width=width)
        text = f"{face['label']} {face['score']:.2f}"
        _write(pen, text, (box[0], box[3] + 1), font, colour, drawn.size)
    return drawn


def render_attention(image: np.ndarray, faces: Sequence[Mapping[str, Any]]) -> Image.Image:
    """One row a face: its crop, and where each block looked (the paper's Figures 4 and 7).

    Args:
        image: The upright photo, `(H, W, 3)` uint8 RGB.
        faces: At least one, as the pipeline returns them with `explain=True`.

    Returns:
        RGB image; beside the crop stand its score and the blocks' overlap.
    """
    rows = [_row(image, face) for face in faces]
    return Image.fromarray(np.concatenate(rows, axis=0))


def _row(image: np.ndarray, face: Mapping[str, Any]) -> np.ndarray:
    left, top, right, bottom = face["crop"]
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    nowhere = np.zeros(crop.shape[:2], bool)
    overlap = "none" if face["overlap"] is None else f"{face['overlap']:.2f}"
    tiles = [_tile(Image.fromarray(crop), f"{face['label']} {face['score']:.2f}, overlap {overlap}")]
    for number, attention in enumerate(face["attention"], start=1):
        remark = "" if attention.any() else ": nothing fake"
        tiles.append(_tile(render_overlay(crop, attention, nowhere), f"block {number}{remark}"))
    return np.concatenate(tiles, axis=1)


def _tile(picture: Image.Image, caption: str) -> np.ndarray:
    tile = Image.new("RGB", (TILE + GAP, TILE + CAPTION + GAP), "white")
    tile.paste(picture.resize((TILE, TILE), Image.Resampling.BICUBIC), (0, CAPTION))
    ImageDraw.Draw(tile).text((1, 1), caption, fill="black", font=ImageFont.load_default(12))
    return np.asarray(tile)


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[int, int],
    font: Any,
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """A line on a dark ground, moved so that all of it is in the picture."""
    _, _, width, height = pen.textbbox((0, 0), text, font=font)
    left = max(0, min(corner[0], size[0] - int(width) - 1))
    top = max(0, min(corner[1], size[1] - int(height) - 1))
    pen.rectangle((left, top, left + width, top + height), fill="black")
    pen.text((left, top), text, fill=colour, font=font)
