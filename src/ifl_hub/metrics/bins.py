"""Bins for pixels of all images together: fixed in number, exact in counting, and fine where networks are sure.

Equal steps of probability are no use for a saturated map: with a mean logit of -14 nearly all of it is in the first
bin. So the bins here have a fixed relative width (1/512 of an octave) in `p` below one half and in `1 - p` above, which
is about equal steps of the logit. They are cut from the bits of the float, so counts are the same on every machine,
and each of the 256 levels of an 8-bit map has a bin of its own.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .curves import Counts

BinNames = Literal["logit", "linear_100"]

_SHIFT = 14  # 23 bits of mantissa - 14 = 512 bins an octave
_HALF = 0x3F000000 >> _SHIFT  # bits of 0.5
_LOWEST = (127 - 64) << 23 >> _SHIFT  # below 2^-64 all is one bin
_NEAREST_ONE = (127 - 24) << 23 >> _SHIFT  # 2^-24 is the smallest 1 - p of a float32, apart from 0
_BELOW_HALF = _HALF - _LOWEST

#: Number of bins by name.
N_BINS: dict[BinNames, int] = {"logit": _BELOW_HALF + _HALF - _NEAREST_ONE + 2, "linear_100": 101}

_LINEAR = np.linspace(0, 1, 100, dtype=np.float32)


def _grid() -> NDArray[np.float32]:
    tail = np.array([step * 2.0**-octave for octave in range(9, 65) for step in (1, 1.25, 1.5, 1.75)])
    levels = np.arange(256) / 255
    grid = np.concatenate([[-1], tail, 1 - tail[tail > 2**-25], levels])
    return np.unique(grid.astype(np.float32))


#: Thresholds among which one for a whole data set is chosen, ascending: "all is flagged", the levels of an 8-bit map,
#: and four an octave nearer to 0 and to 1. A pixel is flagged above its threshold.
GRID: NDArray[np.float32] = _grid()


class PooledCounts(NamedTuple):
    """Pixels of all images by bin, ascending by score.

    Attributes:
        forged: Forged pixels.
        authentic: Authentic pixels of images with a forged pixel.
        of_authentic_images: Pixels of images without one.
    """

    forged: Counts
    authentic: Counts
    of_authentic_images: Counts


def empty_counts(bins: BinNames) -> PooledCounts:
    """All zero."""
    return PooledCounts(*np.zeros((3, N_BINS[bins]), np.int64))


def bin_of(values: NDArray[np.float32], bins: BinNames) -> NDArray[np.intp]:
    """The bin of each probability; a higher probability is never in a lower bin.

    Args:
        values: float32 in [0, 1].
        bins: `"logit"`, or `"linear_100"`: how many of 100 equally spaced thresholds from 0 to 1 are reached.

    Example:
        >>> bin_of(np.array([0, 1e-6, 0.5, 1], np.float32), "logit").tolist()
        [0, 22552, 32256, 44033]
    """
    if bins == "linear_100":
        return np.searchsorted(_LINEAR, values, side="right")
    upper = values >= 0.5
    distance = np.where(upper, np.float32(1) - values, values)  # exact: 1 - p is, for p of one half and more
    steps = (distance.view(np.int32) >> _SHIFT).astype(np.intp)
    return np.where(upper, _BELOW_HALF + _HALF - np.maximum(steps, _NEAREST_ONE - 1), np.maximum(steps - _LOWEST, 0))


def add_pixels(counts: PooledCounts, values: NDArray[np.float32], forged: NDArray[np.bool_], bins: BinNames) -> None:
    """Count the pixels of one image, in place.

    Args:
        counts: Changed.
        values: `(N,)` float32 in [0, 1].
        forged: `(N,)` bool.
        bins: Which bins `counts` has.
    """
    of_label = np.bincount(2 * bin_of(values, bins) + forged, minlength=2 * N_BINS[bins])
    counts.forged[:] += of_label[1::2]
    authentic = counts.authentic if forged.any() else counts.of_authentic_images
    authentic[:] += of_label[::2]
