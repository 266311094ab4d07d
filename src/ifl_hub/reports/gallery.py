"""A comparison grid as papers print it: a row a picture, a column a method, what each cell is worth below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_CELL = (168, 126)  # pixels, width and height that a picture is fitted into
_GAP, _LINE = 6, 16
_INK = (40, 40, 40)


@dataclass(frozen=True)
class Cell:
    """One picture of the grid.

    Args:
        pixels: `(H, W, 3)` uint8 RGB.
        caption: A few characters below it.
    """

    pixels: NDArray[np.uint8]
    caption: str = ""


def mask_picture(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A label map `(H, W)` in black (0), white (1) and grey (255, in no number), `(H, W, 3)` uint8."""
    grey = np.select([labels == 0, labels == 1], [0, 255], 128).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def comparison_grid(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """Lay cells out under their heads, each picture as large as its place allows, proportions kept.

    Args:
        heads: Of the columns.
        rows: As many cells each as there are heads.

    Returns:
        RGB, on white.

    Raises:
        ValueError: If a row has another number of cells.

    Example:
        >>> cell = Cell(np.zeros((60, 80, 3), np.uint8), "F1 .50")
        >>> comparison_grid(["image", "mask"], [[cell, cell]]).size
        (354, 176)
    """
    if any(len(row) != len(heads) for row in rows):
        raise ValueError(f"every row needs a cell for each of the {len(heads)} columns")
    width, height = _CELL[0] + _GAP, _CELL[1] + _LINE + _GAP
    top = _LINE + _GAP
    sheet = Image.new("RGB", (_GAP + width * len(heads), _GAP + top + height * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, head in enumerate(heads):
        draw.text((_GAP + width * column, _GAP), head, _INK, font)
    for line, row in enumerate(rows):
        for column, cell in enumerate(row):
            left, above = _GAP + width * column, _GAP + top + height * line
            picture = Image.fromarray(cell.pixels)
            picture.thumbnail(_CELL, Image.Resampling.BOX)
            sheet.paste(picture, (left, above))
            draw.text((left, above + picture.height + 1), cell.caption, _INK, font)
    return sheet
