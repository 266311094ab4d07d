"""From a probability map to one number: the score of a picture where no detection head gives it."""

import math
from typing import Any, Literal, get_args

import numpy as np

ScoreReduction = Literal["top_1_percent_mean", "mean", "max"]
ScoreSource = Literal["detection_head", "map"]
_NEAREST = 1e-7  # float32 maps end there


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Reject an unknown word early, with the allowed list.

    Raises:
        ValueError: If `value` is none of `allowed`.
    """
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; choose from {', '.join(allowed)}")


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
    check_choice("score_reduction", reduction, get_args(ScoreReduction))
    if reduction == "mean":
        return float(probabilities.mean(dtype=np.float64))
    if reduction == "max":
        return float(probabilities.max())
    count = max(1, math.ceil(probabilities.size / 100))
    return float(np.partition(probabilities, -count, axis=None)[-count:].mean(dtype=np.float64))


def calibrate(probability: float, temperature: float = 1.0, bias: float = 0.0) -> float:
    """A probability whose log-odds lose a bias and are divided by a temperature: monotone, so no order changes.

    Args:
        probability: In [0, 1]; nearer than 1e-7 to an end it counts as that near.
        temperature: Above 0; above 1 it makes a sure network less sure.
        bias: The log-odds that become 0.

    Returns:
        In [0, 1]; the probability itself where nothing is to be changed.

    Example:
        >>> round(calibrate(0.9, temperature=2.0), 3), calibrate(0.9)
        (0.75, 0.9)
    """
    if temperature == 1 and bias == 0:
        return probability
    inside = min(max(probability, _NEAREST), 1 - _NEAREST)
    odds = (math.log(inside) - math.log1p(-inside) - bias) / temperature
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0
