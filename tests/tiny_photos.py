"""Small photos and cut-outs made on the fly, so that the tests of data need no pictures from anywhere."""

from pathlib import Path

import numpy as np
from PIL import Image

from ifl_hub.data import Cutout, PhotoPool

OBJECT_COLOUR = (250, 20, 20)


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth and fine structure in colour, like a photo: (height, width, 3) uint8, no red of `OBJECT_COLOUR`."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (3, 9, 27, 81):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float32) / cells**0.5
    picture = (picture - picture.min()) / (picture.max() - picture.min()) * 255
    picture[..., 0] = picture[..., 0] * 0.4
    return picture.astype(np.uint8)


def write_pool(folder: Path, photos: int = 3, height: int = 150, width: int = 190) -> PhotoPool:
    """Photos that each show one red disc, the disc as a cut-out of each photo, and a cut-out without a donor."""
    paths, cutouts = [], []
    rows, columns = np.mgrid[:41, :41] - 20
    disc = rows**2 + columns**2 <= 19**2
    for index in range(photos):
        picture = texture(index, height, width)
        top, left = 30 + 5 * index, 60 - 7 * index
        picture[top : top + 41, left : left + 41][disc] = OBJECT_COLOUR
        rgba = np.dstack([picture[top : top + 41, left : left + 41], np.where(disc, 255, 0).astype(np.uint8)])
        paths.append(folder / f"photo{index}.png")
        Image.fromarray(picture).save(paths[-1])
        Image.fromarray(rgba).save(folder / f"cutout{index}.png")
        cutouts.append(Cutout(folder / f"cutout{index}.png", paths[-1]))
    stray = np.dstack([texture(99, 60, 30), np.tri(60, 30, dtype=np.uint8) * 255])
    Image.fromarray(stray).save(folder / "stray.png")
    return PhotoPool(paths, [*cutouts, Cutout(folder / "stray.png")])
