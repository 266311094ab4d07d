"""Tiles: how a picture of any size goes through a network of bounded memory, and comes back as one map.

Three promises, each a test:

* *Exactness.* A network whose output pixel depends on input pixels at most `overlap / 2` away (a receptive field of
  `overlap + 1`) gives the same map tiled and untiled. Neighbouring tiles share `overlap` pixels of context, of which
  each gives up the half nearer its own border (weight 0), plus a few pixels in which the two are cross-faded, so that
  networks with a wider view (global pooling) show no seam.
* *Alignment.* Tiles start at multiples of `alignment`, so that the 8×8 grid of JPEG and the strides of a network fall
  on the same pixels in every tile as in the whole picture. The last tile of a row or column is up to `alignment - 1`
  pixels longer instead of being shifted off the grid.
* *Memory.* The weights are separable and sum to one by construction: one accumulator, no weight map.
"""

import math
from dataclasses import dataclass

import numpy as np

#: The coding grid of JPEG.
JPEG_GRID = 8
#: Pixels over which two neighbours are cross-faded, where the tile leaves room for it.
CROSS_FADE = 16


@dataclass(frozen=True)
class Span:
    """One tile's extent along one axis, with the weight `(stop - start,)` float32 of each of its pixels."""

    start: int
    stop: int
    weights: np.ndarray


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture: rows times columns."""

    rows: Span
    columns: Span

    @property
    def shape(self) -> tuple[int, int]:
        """`(height, width)` in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The tile's view `(h, w, …)` of an image `(H, W, …)`; nothing is copied."""
        return image[self.rows.start : self.rows.stop, self.columns.start : self.columns.stop]


def split_axis(length: int, tile_size: int, overlap: int, alignment: int = JPEG_GRID) -> list[Span]:
    """Cover `length` pixels with tiles, evenly spread, whose weights sum to one at every pixel.

    Args:
        length: Pixels along the axis.
        tile_size: Pixels of a tile; 0 takes the whole axis as one.
        overlap: Pixels of context that neighbours share at least (the cross-fade comes on top).
        alignment: Tiles start at multiples of it.

    Raises:
        ValueError: If `overlap` is negative or leaves a tile less than `alignment` pixels of its own.

    Example:
        >>> [(span.start, span.stop) for span in split_axis(100, tile_size=64, overlap=16)]
        [(0, 64), (32, 100)]
    """
    if overlap < 0 or tile_size < 0:
        raise ValueError(f"tile_size={tile_size} and tile_overlap={overlap} must not be negative")
    if 0 < tile_size < overlap + alignment:
        raise ValueError(
            f"tile_size={tile_size} leaves no room beside tile_overlap={overlap}: take a tile_size of at least "
            f"{overlap + alignment}, or a smaller tile_overlap"
        )
    if tile_size == 0 or length - tile_size < alignment:
        return [Span(0, length, np.ones(length, dtype=np.float32))]
    stride = max(alignment, (tile_size - overlap - CROSS_FADE) // alignment * alignment)
    last = (length - tile_size) // alignment * alignment
    count = math.ceil(last / stride) + 1
    starts = [index * last // (count - 1) // alignment * alignment for index in range(count)]
    stops = [start + tile_size for start in starts[:-1]] + [length]
    raw = [_window(starts, stops, index, overlap // 2) for index in range(count)]
    total = np.zeros(length)
    for start, stop, window in zip(starts, stops, raw, strict=True):
        total[start:stop] += window
    return [
        Span(start, stop, (window / total[start:stop]).astype(np.float32))
        for start, stop, window in zip(starts, stops, raw, strict=True)
    ]


def _window(starts: list[int], stops: list[int], index: int, margin: int) -> np.ndarray:
    """Weights before normalisation: 0 within `margin` of a border that has a neighbour, then a ramp up to 1."""
    length = stops[index] - starts[index]
    position = np.arange(length, dtype=np.float64)
    window = np.ones(length)
    if index > 0:
        ramp = stops[index - 1] - starts[index] - 2 * margin + 1
        window = np.clip((position - margin + 1) / ramp, 0, 1)
    if index < len(starts) - 1:
        ramp = stops[index] - starts[index + 1] - 2 * margin + 1
        window = np.minimum(window, np.clip((length - position - margin) / ramp, 0, 1))
    return window


def split_image(height: int, width: int, tile_size: int, overlap: int, alignment: int = JPEG_GRID) -> list[Tile]:
    """Cover a picture with tiles, those of equal shape next to each other so that they can form batches.

    Raises:
        ValueError: As `split_axis`.

    Example:
        >>> len(split_image(4000, 6000, tile_size=512, overlap=64))
        140
    """
    rows, columns = (split_axis(length, tile_size, overlap, alignment) for length in (height, width))
    return sorted((Tile(row, column) for row in rows for column in columns), key=lambda tile: tile.shape, reverse=True)


class TileAccumulator:
    """The map of a whole picture, summed from its tiles' maps.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.values = np.zeros((height, width), dtype=np.float32)

    def add(self, tile: Tile, values: np.ndarray) -> None:
        """Add a tile's map `(h, w)` float32, weighted so that all tiles together form an average."""
        target = tile.cut(self.values)
        target += values * tile.rows.weights[:, None] * tile.columns.weights
