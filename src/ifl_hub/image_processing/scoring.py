"""From a probability map to one number: the image score of methods that have no detection head."""

import math
from typing import Literal, get_args

import numpy as np

ScoreReduction = Literal["top_1_percent_mean", "mean", "max"]


def check_score_reduction(reduction: str) -> None:
    """Reject an unknown reduction early, with the allowed list.

    Raises:
        ValueError: If `reduction` is none of `ScoreReduction`.
    """
    if reduction not in get_args(ScoreReduction):
        raise ValueError(f"score_reduction={reduction!r} is unknown; choose from {', '.join(get_args(ScoreReduction))}")


def reduce_to_score(probabilities: np.ndarray, reduction: str = "top_1_percent_mean") -> float:
    """P(image is forged) read off a forgery map.

    The mean over the top 1 % (at least one pixel) answers "is some part surely forged?" and, unlike the maximum, does
    not rest on a single pixel.

    Args:
        probabilities: `(H, W)` float in [0, 1].
        reduction: One of `ScoreReduction`.

    Returns:
        A float in [0, 1].

    Example:
        >>> reduce_to_score(np.array([[0.1, 0.9], [0.2, 0.3]], dtype=np.float32), "max")
        0.8999...
    """
    check_score_reduction(reduction)
    if reduction == "mean":
        return float(probabilities.mean(dtype=np.float64))
    if reduction == "max":
        return float(probabilities.max())
    count = max(1, math.ceil(probabilities.size / 100))
    return float(np.partition(probabilities, -count, axis=None)[-count:].mean(dtype=np.float64))
