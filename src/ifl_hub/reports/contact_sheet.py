"""Many small pictures on one sheet: people would rather look than read."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP = 4
LARGEST = 320  # pixels each way; larger pictures are shown smaller


def prediction_sheet(rows: Sequence[tuple[NDArray, NDArray, NDArray]], columns: int = 2) -> Image.Image:
    """Image, predicted map and mask side by side, several triples a row.

    Args:
        rows: `(image (H, W, 3) uint8, probabilities (H, W) in [0, 1], mask (H, W) bool)`; sizes may differ.
        columns: Triples in one row of the sheet.

    Returns:
        An RGB picture.

    Example:
        >>> import numpy as np
        >>> image, zeros = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8))
        >>> prediction_sheet([(image, zeros, zeros > 0)], columns=1).size
        (36, 12)
    """
    shown = [
        [_small(picture) for picture in (image, _grey(probabilities), _grey(mask.astype(np.float32)))]
        for image, probabilities, mask in rows
    ]
    height, width = (max(row[0].shape[axis] for row in shown) + GAP for axis in (0, 1))
    triples = [np.concatenate([_framed(picture, height, width) for picture in row], axis=1) for row in shown]
    blank = np.full_like(triples[0], 255)
    triples += [blank] * (-len(triples) % columns)
    lines = [np.concatenate(triples[i : i + columns], axis=1) for i in range(0, len(triples), columns)]
    return Image.fromarray(np.concatenate(lines, axis=0))


def _grey(values: NDArray) -> NDArray[np.uint8]:
    return np.repeat((values * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def _small(picture: NDArray) -> NDArray:
    shown = Image.fromarray(np.ascontiguousarray(picture))
    shown.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return np.asarray(shown)


def _framed(picture: NDArray, height: int, width: int) -> NDArray:
    """On white, so that all have one size and a gap between them."""
    rows, columns = picture.shape[:2]
    return np.pad(picture, ((0, height - rows), (0, width - columns), (0, 0)), constant_values=255)
