"""Calibration: do probabilities mean what they say, and where should the label cut?

The map is divided by a temperature alone: that keeps 0.5, the cut of every mask, where training and the choice of the
operating point put it, and changes no order of pixels. The score also loses a bias, since nothing else about it is
fixed: it becomes the probability among as many forged pictures as authentic ones. The label's threshold then is where a
chosen share of authentic pictures lies above.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_STEP, _LARGEST = 0.02, 16.0
#: Centres of the bins that log-odds of pixels are counted in.
LOG_ODDS = np.arange(-_LARGEST, _LARGEST + _STEP / 2, _STEP)
_TEMPERATURES = np.exp(np.linspace(np.log(0.1), np.log(10), 401))
_NEWTON_STEPS = 50
BINS = 10


class PixelCounts(NamedTuple):
    """Pixels by their log-odds, in the bins of `LOG_ODDS`.

    Attributes:
        forged: `(bins,)` int64.
        authentic: `(bins,)` int64.
    """

    forged: NDArray[np.int64]
    authentic: NDArray[np.int64]

    @classmethod
    def empty(cls) -> "PixelCounts":
        """No pixel yet."""
        return cls(*(np.zeros(len(LOG_ODDS), np.int64) for _ in range(2)))

    def add(self, log_odds: NDArray[np.floating], forged: NDArray[np.bool_]) -> None:
        """Count a map `(H, W)` of log-odds by its mask `(H, W)`."""
        places = np.rint((np.clip(log_odds, -_LARGEST, _LARGEST) + _LARGEST) / _STEP).astype(np.int64)
        for counts, chosen in ((self.forged, forged), (self.authentic, ~forged)):
            counts += np.bincount(places[chosen], minlength=len(LOG_ODDS))


@dataclass(frozen=True)
class Reliability:
    """How often what was given a probability is true.

    Args:
        probability: Mean probability of each bin.
        observed: Share of forged ones in it.
        weight: Share of all that lies in it.
        error: Expected calibration error: the mean distance of the two, weighted.
        log_loss: Mean of -log of the probability given to the truth.
    """

    probability: tuple[float, ...]
    observed: tuple[float, ...]
    weight: tuple[float, ...]
    error: float
    log_loss: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, rounded to four decimals."""
        return {key: np.round(value, 4).tolist() for key, value in asdict(self).items()}


def fit_temperature(counts: PixelCounts) -> float:
    """The temperature with the smallest log loss of the pixels.

    Args:
        counts: Of validation maps, at temperature 1.

    Returns:
        Between 0.1 and 10, in steps of about 1 %.

    Raises:
        ValueError: If pixels of one class are missing.

    Example:
        >>> counts = PixelCounts.empty()
        >>> counts.add(np.full((10, 10), 4.0), np.arange(100).reshape(10, 10) < 73)  # sure at .982, true at .73
        >>> counts.add(np.full((10, 10), -4.0), np.arange(100).reshape(10, 10) < 27)
        >>> round(fit_temperature(counts), 1)
        4.0
    """
    if not counts.forged.any() or not counts.authentic.any():
        raise ValueError("a temperature needs pixels of both classes: give forged pictures with their masks")
    losses = [_log_loss(LOG_ODDS / temperature, counts.forged, counts.authentic) for temperature in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def fit_score(log_odds: Sequence[float], forged: Sequence[bool]) -> tuple[float, float]:
    """Temperature and bias with the smallest log loss of the scores, both classes weighing the same (Platt scaling).

    Args:
        log_odds: Of uncalibrated scores.
        forged: The truth.

    Returns:
        `(temperature, bias)`: `sigmoid((log_odds - bias) / temperature)` is calibrated for as many forged pictures as
        authentic ones. The temperature is positive whatever the scores: where they say nothing it is 10, the largest.

    Raises:
        ValueError: If one class is missing.

    Example:
        >>> temperature, bias = fit_score([3, 1, 2.5, 1.5, 0, 2, 1.8, -1], [True] * 4 + [False] * 4)
        >>> bool(0 < temperature < 10), round(bias, 1)
        (True, 1.4)
    """
    x, y = np.asarray(log_odds, np.float64), np.asarray(forged, bool)
    if y.all() or not y.any():
        raise ValueError("a score is calibrated on forged and authentic pictures; give both")
    weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    design = np.stack([x, np.ones_like(x)], 1)
    beta = np.zeros(2)
    for _ in range(_NEWTON_STEPS):  # a logistic regression; the ridge keeps separable scores finite
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weight * (p - y)) + 1e-3 * beta
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
        beta -= np.linalg.solve(hessian, gradient)
    slope = max(float(beta[0]), 1 / _TEMPERATURES[-1])
    centre = -float(beta[1]) / slope if slope == beta[0] else float(np.median(x))
    return 1 / slope, centre


def pixel_reliability(counts: PixelCounts, temperature: float = 1.0) -> Reliability:
    """Of a map's pixels after division by a temperature."""
    return _reliability(LOG_ODDS / temperature, counts.forged, counts.authentic)


def score_reliability(
    log_odds: Sequence[float], forged: Sequence[bool], temperature: float = 1.0, bias: float = 0.0
) -> Reliability:
    """Of scores after calibration, both classes weighing the same."""
    x, y = (np.asarray(log_odds, np.float64) - bias) / temperature, np.asarray(forged, bool)
    return _reliability(x, y / max(y.sum(), 1), ~y / max((~y).sum(), 1))


def operating_point(authentic_scores: Sequence[float], rate: float) -> float:
    """The score that a share `rate` of authentic pictures exceeds, at most.

    Args:
        authentic_scores: In [0, 1].
        rate: In (0, 1).

    Example:
        >>> operating_point([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95], 0.1)
        0.9
    """
    ordered = np.sort(np.asarray(authentic_scores, np.float64))
    allowed = int(np.floor(rate * len(ordered) + 1e-9))
    return float(ordered[len(ordered) - 1 - allowed])


def _reliability(log_odds: NDArray[np.floating], forged: NDArray, authentic: NDArray) -> Reliability:
    probability = 1 / (1 + np.exp(-log_odds))
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    total = forged + authentic
    sums = [np.bincount(place, weights, minlength=BINS) for weights in (total, forged, total * probability)]
    held = sums[0] > 0
    weight, observed, mean = sums[0][held], sums[1][held] / sums[0][held], sums[2][held] / sums[0][held]
    weight = weight / weight.sum()
    error = float(np.sum(weight * np.abs(observed - mean)))
    loss = _log_loss(log_odds, forged, authentic)
    return Reliability(tuple(mean.tolist()), tuple(observed.tolist()), tuple(weight.tolist()), error, loss)


def _log_loss(log_odds: NDArray[np.floating], forged: NDArray, authentic: NDArray) -> float:
    wrong = forged * np.logaddexp(0, -log_odds) + authentic * np.logaddexp(0, log_odds)
    return float(wrong.sum() / (forged.sum() + authentic.sum()))
