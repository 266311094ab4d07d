"""From stored maps to numbers with intervals: of a whole run, of its groups, of each image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics import AUTHENTIC_KEYS, IMAGE_KEYS, PIXEL_KEYS, Definition, ImageCounts, LocalizationAccumulator
from ..metrics.detection import image_values
from ..metrics.pixel import Confusion, f1, iou, precision_of, recall_of
from .store import EvaluationFolder, ImageRecord, PredictionRun

#: What an image can be grouped by: fields of `ImageRecord`.
GROUPINGS = ("forgery_type", "mask_size", "jpeg_quality", "source")
DRAWS = 1000
_CONFIDENCE = 0.95
_MEAN_KEYS = (*PIXEL_KEYS, *AUTHENTIC_KEYS)

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Group:
    """Images that share a property, and how well they were judged.

    Args:
        grouping: One of `GROUPINGS`.
        group: The common value, such as `"copy-move"`.
        n_forged: Forged images in it.
        n_authentic: Authentic images in it.
        values: Means over its images by key; None where no image defines it.
    """

    grouping: str
    group: str
    n_forged: int
    n_authentic: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class RunScores:
    """Everything that was measured of one localizer under one condition.

    Args:
        model: Its name.
        condition: What was done to the pictures.
        facts: What its maps depend on.
        result: Of `LocalizationAccumulator.compute`.
        intervals: Bootstrap intervals over images by key: of per-image means, of pooled F1, precision, recall and IoU,
            and of the image-level numbers; None where the value is.
        per_image: Of `LocalizationAccumulator.per_image`, in the order of the records.
        groups: The worst first.
    """

    model: str
    condition: str
    facts: Mapping[str, Any]
    result: Mapping[str, Any]
    intervals: Mapping[str, Interval]
    per_image: Sequence[Mapping[str, Any]]
    groups: Sequence[Group]

    def value(self, key: str) -> float | None:
        """A number of the whole run."""
        return self.result[key]


def main_key(definition: Definition) -> str | None:
    """The pixel number that stands for a definition, such as in the order of groups: the first that it reports."""
    return next((key for key in PIXEL_KEYS if key in definition.reports), None)


def score_run(
    folder: EvaluationFolder,
    run: PredictionRun,
    name: str,
    records: Sequence[ImageRecord],
    definition: Definition,
    tick: Callable[[], Any],
) -> RunScores:
    """Score the stored maps of a run by a definition.

    Args:
        folder: Has the ground truth.
        run: Has a map of every record.
        name: What to call the model.
        records: The images to count.
        definition: What the numbers mean.
        tick: Called after each image.
    """
    accumulator = LocalizationAccumulator(definition)
    for record in records:
        finished = run.find(record)
        score = finished.score if finished else None
        accumulator.update(run.heatmap(record), folder.labels(record), score=score, name=record.name)
        tick()
    result = accumulator.compute()
    per_image = accumulator.per_image()
    return RunScores(
        model=name,
        condition=run.facts["condition"],
        facts=run.facts,
        result=result,
        intervals=_intervals(accumulator, result, per_image),
        per_image=per_image,
        groups=_groups(records, per_image, definition),
    )


def _intervals(
    accumulator: LocalizationAccumulator, result: Mapping[str, Any], per_image: Sequence[Mapping[str, Any]]
) -> dict[str, Interval]:
    """Percentile bootstrap: images drawn with replacement, thresholds chosen on the data set held fixed."""
    n = len(per_image)
    if not n:
        return {}
    definition = accumulator.definition
    picks = _picks(n, DRAWS)
    drawn: dict[str, list[float | None]] = {key: [] for key in IMAGE_KEYS}
    scored = [(row.score, row.is_forged) for row in accumulator.rows]
    for draw in picks:
        values, _ = image_values([scored[i] for i in draw if scored[i][0] is not None], definition)
        for key in IMAGE_KEYS:
            drawn[key].append(values[key])
    intervals = {key: percentiles(values) for key, values in drawn.items()}
    times = drawn_images(n, DRAWS)
    for key in _MEAN_KEYS:
        intervals[key] = interval_of_means(times, [row[key] for row in per_image])
    pooled = _pooled_intervals(times, accumulator.rows, result["pixel_threshold"], definition)
    intervals |= {f"{key}_pooled": interval for key, interval in pooled.items()}
    if definition.average == "pooled":
        intervals |= {key: pooled.get(key) for key in PIXEL_KEYS}
    return {key: None if result[key] is None else interval for key, interval in intervals.items()}


def drawn_images(n: int, draws: int) -> NDArray[np.float64]:
    """How often each of `n` images is in each bootstrap sample, `(draws, n)`; always the same samples."""
    return np.stack([np.bincount(draw, minlength=n) for draw in _picks(n, draws)]).astype(np.float64)


def interval_of_means(times: NDArray[np.float64], values: Sequence[float | None]) -> Interval:
    """Of the mean over the images that define a value; `times` is of `drawn_images`, None where none does."""
    defined = np.array([value is not None for value in values])
    if not defined.any():
        return None
    numbers = np.array([value for value in values if value is not None], np.float64)
    counts = times[:, defined]
    totals = counts.sum(1)
    return percentiles(((counts @ numbers)[totals > 0] / totals[totals > 0]).tolist())


def _pooled_intervals(
    times: NDArray[np.float64], rows: Sequence[ImageCounts], threshold: float | None, definition: Definition
) -> dict[str, Interval]:
    """Of the pooled numbers that rest on counts at one threshold."""
    counted = [row.skipped is None and (row.is_forged or definition.authentic != "exclude") for row in rows]
    if threshold is None or not any(counted):
        return {}
    kept = [row for row, counts in zip(rows, counted, strict=True) if counts]
    if len(kept[0].hits) != 1:  # counts at every threshold of a grid: which one was chosen is the accumulator's to know
        return {}
    table = np.array([tuple(row.confusion()) for row in kept], np.float64)
    sums = [Confusion(*(int(value) for value in draw)) for draw in times[:, counted] @ table]
    epsilon = definition.f1_epsilon
    sums = [total for total in sums if total.forged]
    return {
        "pixel_f1": percentiles([f1(total, epsilon) for total in sums]),
        "pixel_precision": percentiles([precision_of(total, epsilon) for total in sums]),
        "pixel_recall": percentiles([recall_of(total, epsilon) for total in sums]),
        "pixel_iou": percentiles([iou(total) for total in sums]),
    }


def _picks(n: int, draws: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(n, size=(draws, n))


def percentiles(values: Sequence[float | None]) -> Interval:
    """Bounds of the middle 95 % of the draws that define a value."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return None
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(numbers, [tail, 1 - tail])
    return float(low), float(high)


def _groups(
    records: Sequence[ImageRecord], per_image: Sequence[Mapping[str, Any]], definition: Definition
) -> list[Group]:
    key = main_key(definition)
    keys = [name for name in ("pixel_f1", "pixel_auc", key, *AUTHENTIC_KEYS) if name in definition.reports]
    groups = []
    for grouping in GROUPINGS:
        values_of = [getattr(record, grouping) for record in records]
        for group in sorted(set(values_of)):
            rows = [row for row, value in zip(per_image, values_of, strict=True) if value == group]
            forged = sum(row["is_forged"] for row in rows)
            means = {name: _mean([row[name] for row in rows]) for name in dict.fromkeys(keys)}
            groups.append(Group(grouping, group, forged, len(rows) - forged, means))
    return sorted(groups, key=lambda group: _badness(group, key), reverse=True)


def _badness(group: Group, key: str | None) -> tuple[bool, float]:
    """Groups with forgeries by how little was found in them, then those without by how much was flagged."""
    value = group.values.get(key) if key else None
    alarm = group.values.get("authentic_fpr")
    return (True, -value) if value is not None and group.n_forged else (False, alarm or 0.0)


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
