"""Ranking measures from counts: how many forged and authentic items share each distinct score.

Pixels of one image, images of a data set and the bins of a pooled histogram all come down to two arrays of counts in
ascending order of score, so every area, average precision, best F1 and equal error rate of the package is computed
here, ties and all. Items of one score (or one bin) are never split: they are one step of every curve.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class Ranking(NamedTuple):
    """Distinct scores in ascending order, and how many forged and authentic items have each."""

    values: NDArray[np.floating]
    forged: Counts
    authentic: Counts


class BestF1(NamedTuple):
    """The best F1 over all cuts of a ranking.

    Attributes:
        f1: Best F1 of "forged above the cut".
        inverted: Best F1 of "forged at or below the cut".
        hits: Forged items above the best cut of `f1`.
        false_alarms: Authentic items above it.
    """

    f1: float
    inverted: float
    hits: int
    false_alarms: int


def rank_pixels(values: NDArray[np.float32], forged: NDArray[np.bool_]) -> Ranking:
    """Rank the pixels of one image.

    Non-negative floats are ordered as their bits are, so value and label are sorted as one integer.

    Args:
        values: `(N,)` float32 in [0, 1].
        forged: `(N,)` bool.

    Example:
        >>> rank_pixels(np.array([0.5, 0.25, 0.5], np.float32), np.array([True, False, False]))
        Ranking(values=array([0.25, 0.5 ], dtype=float32), forged=array([0, 1]), authentic=array([1, 1]))
    """
    keys = (values + np.float32(0)).view(np.uint32) << 1  # adding 0 turns -0.0 into 0.0; 1.0 leaves the top bit free
    keys |= forged
    keys.sort()
    bits = keys >> 1
    last = np.append(np.flatnonzero(bits[1:] != bits[:-1]), len(bits) - 1) if len(bits) else np.zeros(0, np.int64)
    forged_so_far = np.cumsum(keys & 1, dtype=np.int64)[last]
    per_value = np.diff(last + 1, prepend=0)
    forged_counts = np.diff(forged_so_far, prepend=0)
    return Ranking(bits[last].view(np.float32), forged_counts, per_value - forged_counts)


def rank_scores(scores: NDArray[np.float64], forged: NDArray[np.bool_]) -> Ranking:
    """Rank a list of scores of any range, such as one an image."""
    values, inverse = np.unique(scores, return_inverse=True)
    per_value = np.bincount(inverse, minlength=len(values))
    forged_counts = np.bincount(inverse[forged], minlength=len(values))
    return Ranking(values, forged_counts, per_value - forged_counts)


def area_under_roc(forged: Counts, authentic: Counts) -> float | None:
    """Probability that a forged item scores higher than an authentic one, a tie counted as one half.

    Returns:
        In [0, 1], or None if there is one class only.

    Example:
        >>> area_under_roc(np.array([0, 1, 1]), np.array([1, 1, 0]))
        0.875
    """
    n_forged, n_authentic = int(forged.sum()), int(authentic.sum())
    if not n_forged or not n_authentic:
        return None
    below = np.cumsum(authentic) - 0.5 * authentic
    return float((forged * below).sum() / n_forged / n_authentic)


def area_tie_bound(forged: Counts, authentic: Counts) -> float | None:
    """How far `area_under_roc` can be from the area of the scores that were counted into common bins.

    Within a bin every forged item may really lie above, or below, every authentic one; half of the pairs is counted.
    """
    n_forged, n_authentic = int(forged.sum()), int(authentic.sum())
    if not n_forged or not n_authentic:
        return None
    return float(0.5 * (forged.astype(np.float64) * authentic).sum() / n_forged / n_authentic)


def average_precision(forged: Counts, authentic: Counts) -> float | None:
    """Precision at each distinct score, weighted by the recall gained there (no interpolation).

    Returns:
        In [0, 1], or None if there is one class only.

    Example:
        >>> average_precision(np.array([1, 0, 1]), np.array([0, 1, 0]))
        0.8333333333333333
    """
    n_forged, n_authentic = int(forged.sum()), int(authentic.sum())
    if not n_forged or not n_authentic:
        return None
    hits = np.cumsum(forged[::-1])
    flagged = hits + np.cumsum(authentic[::-1])
    return float((forged[::-1] * (hits / np.maximum(flagged, 1))).sum() / n_forged)


def best_f1(forged: Counts, authentic: Counts) -> BestF1 | None:
    """The best F1 over every cut, from "nothing is forged" to "all is forged".

    Returns:
        None if nothing is forged.
    """
    n_forged, n_authentic = int(forged.sum()), int(authentic.sum())
    if not n_forged:
        return None
    hits = np.concatenate([[0], np.cumsum(forged[::-1])])
    false_alarms = np.concatenate([[0], np.cumsum(authentic[::-1])])
    f1 = 2 * hits / (hits + false_alarms + n_forged)
    inverted = 2 * (n_forged - hits) / (2 * n_forged - hits + n_authentic - false_alarms)
    best = int(f1.argmax())
    return BestF1(float(f1[best]), float(inverted.max()), int(hits[best]), int(false_alarms[best]))


def error_rate_gap(hits: Counts, false_alarms: Counts, n_forged: int, n_authentic: int) -> NDArray[np.object_]:
    """Miss rate minus false-alarm rate at each cut, times the number of forged and the number of authentic items.

    Exact integers of any size, because the nearest cut is looked for and equal distances must not differ by rounding.
    """
    misses = n_forged - hits.astype(object)
    gap: NDArray[np.object_] = misses * int(n_authentic) - false_alarms.astype(object) * int(n_forged)
    return gap


def equal_error_rate(forged: Counts, authentic: Counts, interpolated: bool = True) -> float | None:
    """Where the share of missed forged items equals the share of false alarms.

    Args:
        forged: Counts, ascending by score.
        authentic: Counts, ascending by score.
        interpolated: The crossing on the straight lines between the ROC's points. Otherwise the false-alarm rate at
            the point where the two rates are closest, the strictest cut among equals.

    Returns:
        In [0, 1], or None if there is one class only.

    Example:
        >>> equal_error_rate(np.array([1, 0, 2]), np.array([2, 1, 0]))
        0.333...
    """
    n_forged, n_authentic = int(forged.sum()), int(authentic.sum())
    if not n_forged or not n_authentic:
        return None
    hits, false_alarms = (np.append(0, np.cumsum(counts[::-1])).astype(np.int64) for counts in (forged, authentic))
    false_alarm_rate = false_alarms / n_authentic
    gap = error_rate_gap(hits, false_alarms, n_forged, n_authentic)  # falling, from above 0 to below
    if not interpolated:
        return float(false_alarm_rate[np.abs(gap).argmin()])
    after = int((gap <= 0).argmax())
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(false_alarm_rate[after - 1] + share * (false_alarm_rate[after] - false_alarm_rate[after - 1]))
