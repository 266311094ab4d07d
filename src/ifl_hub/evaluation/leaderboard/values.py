"""From the counts of images to numbers with intervals, exactly as `ifl-hub evaluate` computes them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...metrics import ImageCounts, get_definition
from ...metrics.curves import area_under_roc, rank_scores
from ...metrics.pixel_values import pixel_values
from ..robustness import FAMILIES, parse_condition
from ..scores import DRAWS, drawn_images, interval_of_means, percentiles
from .statistics import RunStatistics

_PIXEL_KEYS = ("pixel_auc", "pixel_f1", "pixel_f1_oracle", "pixel_iou", "authentic_fpr", "authentic_alarm_rate")


class Measured(NamedTuple):
    """A number and the bounds of its 95 % bootstrap interval over images."""

    value: float
    low: float
    high: float


def summarize(counts: Sequence[ImageCounts], score_threshold: float | None = None) -> dict[str, Measured | None]:
    """The numbers of one localizer on a set of images, None where no image defines one.

    Args:
        counts: Of each image.
        score_threshold: The operating point of the label, for `called_forged` (of forged images) and `false_alarms`
            (of authentic ones), the shares that the label calls forged.

    Returns:
        `pixel_auc`, `pixel_f1`, `pixel_f1_oracle`, `pixel_iou`, `authentic_fpr`, `authentic_alarm_rate`, `image_auc`,
        `called_forged` and `false_alarms`.

    Example:
        >>> found = ImageCounts(True, 0.9, 4, 12, (3,), (1,), pixel_auc=0.9, f1_oracle=0.8, f1_oracle_inverted=0.1)
        >>> summarize([found])["pixel_f1"]
        Measured(value=0.75, low=0.75, high=0.75)
    """
    definition = get_definition()
    values = [pixel_values(row, definition) for row in counts]
    times = drawn_images(len(counts), DRAWS)
    result = {key: _mean(times, [row[key] for row in values]) for key in _PIXEL_KEYS}
    result["image_auc"] = _image_auc(counts, times)
    for key, forged in (("called_forged", True), ("false_alarms", False)):
        labels = [_label(row, score_threshold) if row.is_forged == forged else None for row in counts]
        result[key] = _mean(times, labels)
    return result


def of_type(counts: Sequence[ImageCounts], names: set[str]) -> list[ImageCounts]:
    """The counts of some images only."""
    return [row for row in counts if row.name in names]


def pixel_column(counts: Sequence[ImageCounts], key: str) -> list[float | None]:
    """One number of each image, None where it has none."""
    definition = get_definition()
    return [pixel_values(row, definition)[key] for row in counts]


def robustness_area(run: RunStatistics, family: str, key: str) -> float | None:
    """Mean height of a number's curve over the strengths of one change; on the images that were judged under it.

    Args:
        run: With conditions of the family.
        family: Of `ifl_hub.evaluation.robustness.FAMILIES`.
        key: Of `summarize`.

    Returns:
        The area under the curve (trapezoids) over the width of its axis, or None where it has no two points. The clean
        pictures are the point of the family's neutral value, where it has one.
    """
    points = {}
    for condition, counts in run.counts.items():
        steps = parse_condition(condition).steps
        if len(steps) == 1 and steps[0].family == family:
            points[steps[0].value] = counts
    neutral = FAMILIES[family].identity
    if points and neutral is not None:
        judged = {str(row.name) for row in next(iter(points.values()))}
        points[neutral] = of_type(run.counts["clean"], judged)
    if len(points) < 2:
        return None
    x = np.array(sorted(points))
    y = np.array([np.array(pixel_column(points[value], key), np.float64).mean() for value in x])
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(x)) / (x[-1] - x[0]))


def _mean(times: np.ndarray, values: Sequence[float | None]) -> Measured | None:
    defined = [value for value in values if value is not None]
    interval = interval_of_means(times, values)
    return Measured(float(np.mean(defined)), *interval) if interval else None


def _label(row: ImageCounts, threshold: float | None) -> float | None:
    return None if threshold is None or row.score is None else float(row.score > threshold)


def _image_auc(counts: Sequence[ImageCounts], times: np.ndarray) -> Measured | None:
    scores = np.array([row.score for row in counts], np.float64)
    forged = np.array([row.is_forged for row in counts])
    ranking = rank_scores(scores, forged)
    area = area_under_roc(ranking.forged, ranking.authentic)
    if area is None:
        return None
    ours, theirs = scores[forged][:, None], scores[~forged][None]
    wins = (ours > theirs) + (ours == theirs) / 2
    weights = times[:, forged], times[:, ~forged]
    pairs = weights[0].sum(1) * weights[1].sum(1)
    drawn = ((weights[0] @ wins) * weights[1]).sum(1)
    interval = percentiles((drawn[pairs > 0] / pairs[pairs > 0]).tolist())
    return Measured(area, *interval) if interval else None
