"""Scores of images, frames and videos: how well they tell forged from authentic."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .curves import area_under_roc, average_precision, equal_error_rate, error_rate_gap, rank_scores
from .definitions import IMAGE_KEYS, Definition, check_same_definition
from .presets import get_definition
from .results import add_counts, mean_of, with_reasons

ONE_CLASS = "images of one class only"
#: Nothing is closer to 0 or 1 in a log loss: the smallest step of a float64.
_CLIP = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ScoredImage:
    """One image or frame.

    Args:
        score: P(image is forged), in [0, 1]; None where it was NaN.
        is_forged: Its label.
        group: Of a frame: (data set, method, video id).
    """

    score: float | None
    is_forged: bool
    group: tuple[str, str, str] | None = None


class DetectionAccumulator:
    """Scores of images or frames, one at a time; see `ifl_hub.metrics` for the contract.

    Args:
        definition: Its `score_threshold`, `inclusive`, `image_f1` and `image_eer` matter here.

    Example:
        >>> metric = DetectionAccumulator()
        >>> for score, label in ((0.9, 1), (0.2, 0), (0.6, 0)):
        ...     _ = metric.update(score, label)
        >>> metric.compute()["image_auc"]
        1.0
    """

    def __init__(self, definition: Definition | None = None) -> None:
        self.definition = definition or get_definition()
        self.rows: list[ScoredImage] = []

    def update(self, score: float, is_forged: bool | int, group: Sequence[str] | None = None) -> ScoredImage:
        """Add one image or frame.

        Args:
            score: P(image is forged), in [0, 1]. NaN is counted as skipped.
            is_forged: 0 or 1.
            group: Of a frame: (data set, method, video id). A video id alone is refused: in common data sets the
                same id names several videos.

        Raises:
            ValueError: If the score is out of range, the label another, or the group not of three names.
        """
        row = ScoredImage(_checked_score(score), _checked_label(is_forged), _checked_group(group))
        self.rows.append(row)
        return row

    def merge(self, other: "DetectionAccumulator") -> "DetectionAccumulator":
        """Take over what another one has counted; returns itself.

        Raises:
            ValueError: If the other has another definition.
        """
        check_same_definition(self.definition.as_dict(), other.definition.as_dict())
        self.rows.extend(other.rows)
        return self

    def compute(self) -> dict[str, Any]:
        """Every image-level key, `video_auc`, the counts and `definition`; undefined values are None, with reasons."""
        scored = [row for row in self.rows if row.score is not None]
        values, reasons = image_values([(row.score, row.is_forged) for row in scored], self.definition)  # type: ignore[misc]
        values["video_auc"], video_reason = _video_auc(scored)
        reasons["video_auc"] = video_reason
        result = with_reasons(values, reasons, self.definition)
        skipped = {"the score is NaN": len(self.rows) - len(scored)}
        add_counts(result, len(self.rows), sum(not row.is_forged for row in self.rows), skipped)
        return {**result, "definition": self.definition.of_scores()}

    def state(self) -> dict[str, Any]:
        """All that was counted, JSON-able."""
        return {"definition": self.definition.as_dict(), "rows": [asdict(row) for row in self.rows]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Replace what was counted by a `state()`.

        Raises:
            ValueError: If it is of another definition.
        """
        check_same_definition(self.definition.as_dict(), state["definition"])
        self.rows = [
            ScoredImage(row["score"], row["is_forged"], tuple(row["group"]) if row["group"] else None)
            for row in state["rows"]
        ]


def image_values(
    scored: Iterable[tuple[float, bool]], definition: Definition
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Every image-level value, and why those that are None are.

    Args:
        scored: Score and label of each image, in any order.
        definition: Threshold and conventions.
    """
    pairs = sorted(scored)  # sums below do not depend on the order of the images
    scores = np.array([score for score, _ in pairs], np.float64)
    forged = np.array([label for _, label in pairs], np.bool_)
    ranking = rank_scores(scores, forged)
    counts = ranking.forged, ranking.authentic
    flagged = _flagged(scores, ranking, definition)
    sensitivity = mean_of(flagged[forged])
    specificity = mean_of(~flagged[~forged])
    likelihood = np.clip(np.where(forged, scores, 1 - scores), _CLIP, 1 - _CLIP)
    values: dict[str, float | None] = {
        "image_auc": area_under_roc(*counts),
        "image_ap": average_precision(*counts),
        "image_acc": mean_of(flagged == forged),
        "image_balanced_acc": None if sensitivity is None or specificity is None else (sensitivity + specificity) / 2,
        "image_f1": _image_f1(flagged, forged, sensitivity, specificity, definition),
        "image_sensitivity": sensitivity,
        "image_specificity": specificity,
        "image_eer": equal_error_rate(*counts, interpolated=definition.image_eer == "interpolated"),
        "image_log_loss": mean_of(-np.log(likelihood)),
    }
    reasons = dict.fromkeys(IMAGE_KEYS, ONE_CLASS if pairs else "no image was scored")
    return values, reasons


def _flagged(scores: np.ndarray, ranking: Any, definition: Definition) -> np.ndarray:
    """Which images are called forged."""
    threshold = definition.score_threshold
    if threshold == "eer":
        if not len(scores) or not ranking.forged.any() or not ranking.authentic.any():
            return np.zeros(len(scores), np.bool_)
        hits, false_alarms = (np.cumsum(counts[::-1]) for counts in (ranking.forged, ranking.authentic))
        gap = error_rate_gap(hits, false_alarms, ranking.forged.sum(), ranking.authentic.sum())
        return scores >= ranking.values[::-1][np.abs(gap).argmin()]
    return scores >= threshold if definition.inclusive else scores > threshold


def _image_f1(
    flagged: np.ndarray,
    forged: np.ndarray,
    sensitivity: float | None,
    specificity: float | None,
    definition: Definition,
) -> float | None:
    if definition.image_f1 == "sensitivity_specificity":
        if sensitivity is None or specificity is None:
            return None
        return 2 * sensitivity * specificity / (sensitivity + specificity) if sensitivity + specificity else 0.0
    if not forged.any():
        return None
    return float(2 * (flagged & forged).sum() / (flagged.sum() + forged.sum()))


def _video_auc(scored: Sequence[ScoredImage]) -> tuple[float | None, str]:
    """AUC over videos, the score of a video being the mean of its frames'."""
    videos: dict[tuple[str, str, str], list[ScoredImage]] = defaultdict(list)
    for row in scored:
        if row.group is not None:
            videos[row.group].append(row)
    if not videos:
        return None, "no frame has a group"
    if any(row.group is None for row in scored):
        return None, "some frames have no group"
    for group, frames in videos.items():
        if len({frame.is_forged for frame in frames}) > 1:
            raise ValueError(f"the frames of video {'/'.join(group)} have both labels: give each video its own id")
    scores = np.array([math.fsum(f.score or 0.0 for f in frames) / len(frames) for frames in videos.values()])
    forged = np.array([frames[0].is_forged for frames in videos.values()], np.bool_)
    ranking = rank_scores(scores, forged)
    return area_under_roc(ranking.forged, ranking.authentic), "videos of one class only"


def _checked_score(score: float) -> float | None:
    value = float(score)
    if math.isnan(value):
        return None
    if not 0 <= value <= 1:
        raise ValueError(f"score {value} is no probability: take the sigmoid of logits first")
    return value


def _checked_label(label: bool | int) -> bool:
    if label not in (0, 1):
        raise ValueError(f"label {label!r} is neither 0 (authentic) nor 1 (forged)")
    return bool(label)


def _checked_group(group: Sequence[str] | None) -> tuple[str, str, str] | None:
    if group is None:
        return None
    if isinstance(group, str) or len(group) != 3:
        raise ValueError(f"group {group!r} must be (data set, method, video id): an id alone names several videos")
    data_set, method, video = map(str, group)
    return data_set, method, video
