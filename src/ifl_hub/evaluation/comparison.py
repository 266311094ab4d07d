"""Is one localizer better than another on the same images? A difference with its interval, not two bare means."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Difference(NamedTuple):
    """Mean difference of paired values and the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Difference:
    """Percentile bootstrap of the mean difference `ours - theirs`, images drawn with replacement in pairs.

    Args:
        ours: One value an image.
        theirs: The other method's values on the same images, in the same order.
        confidence: Coverage of the interval.
        draws: Bootstrap samples.
        seed: Seed of the draws.

    Raises:
        ValueError: If the lists are empty or of different length.

    Example:
        >>> paired_bootstrap([0.9, 0.8, 0.7], [0.5, 0.4, 0.3]).low > 0
        True
    """
    if not len(ours) or len(ours) != len(theirs):
        raise ValueError(f"paired values are needed for the same images, got {len(ours)} and {len(theirs)}")
    differences = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    picks = np.random.default_rng(seed).integers(len(differences), size=(draws, len(differences)))
    means = differences[picks].mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(differences.mean()), float(low), float(high))
