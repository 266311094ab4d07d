"""Maps against masks: one image's counts, and the accumulator that turns them into numbers.

What is kept of an image is one row of numbers, whatever its size; pixels are only added to a histogram of fixed size.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..image_processing.scoring import reduce_to_score
from .bins import GRID, add_pixels, empty_counts
from .curves import (
    Ranking,
    area_tie_bound,
    area_under_roc,
    average_precision,
    best_f1,
    rank_pixels,
)
from .definitions import AUTHENTIC_KEYS, PIXEL_KEYS, Authentic, Average, Definition, Polarity
from .detection import check_same_definition, image_values
from .pixel import (
    Confusion,
    ScoredPixels,
    as_labels,
    as_probabilities,
    check_shapes,
    count_flagged,
    f1,
    iou,
    matthews,
    mean_iou,
    outside_band,
    precision_of,
    recall_of,
)
from .presets import get_definition
from .results import add_counts, mean_of, with_reasons

_AREAS = ("pixel_auc", "pixel_ap")
HOLDS_NAN = "the map holds NaN"
ALL_IGNORED = "every pixel is left out by its label"
BAND_LEAVES_NOTHING = "the boundary band leaves no forged pixel"


@dataclass(frozen=True)
class ImageCounts:
    """What is kept of one image: everything that any way of averaging needs, JSON-able.

    Args:
        is_forged: Whether a pixel of its mask is forged.
        score: P(image is forged); None if the image was skipped.
        n_forged: Forged pixels that count.
        n_authentic: Authentic pixels that count.
        hits: Forged pixels flagged, at the threshold or at each of `GRID` (for the thresholds of a data set).
        false_alarms: Authentic pixels flagged, likewise.
        pixel_auc: None where one class is missing.
        pixel_ap: None where one class is missing.
        f1_oracle: Best F1 over all thresholds, None where nothing is forged.
        f1_oracle_inverted: The same for the inverted map.
        skipped: Why its pixels are in no number, or None.
        name: What the caller calls it.
    """

    is_forged: bool
    score: float | None = None
    n_forged: int = 0
    n_authentic: int = 0
    hits: tuple[int, ...] = ()
    false_alarms: tuple[int, ...] = ()
    pixel_auc: float | None = None
    pixel_ap: float | None = None
    f1_oracle: float | None = None
    f1_oracle_inverted: float | None = None
    skipped: str | None = None
    name: str | None = None

    def confusion(self, at: int = 0) -> Confusion:
        """The counts at the threshold, or at number `at` of `GRID`."""
        return Confusion(self.hits[at], self.false_alarms[at], self.n_forged, self.n_authentic)


def image_counts(
    prediction: Any,
    reference: Any,
    definition: Definition | None = None,
    score: float | None = None,
    name: str | None = None,
) -> ImageCounts:
    """Count one image.

    Args:
        prediction: Map `(H, W)` as `as_probabilities` reads it.
        reference: Label map `(H, W)` as `as_labels` reads it.
        definition: What is counted; by default the preset `default`.
        score: P(image is forged), for a model with a detection head; by default the map is reduced to it.
        name: Kept with the counts.

    Raises:
        ValueError: If an input is no map of probabilities or labels, or their sizes differ.

    Example:
        >>> image_counts(np.array([[0.9, 0.8], [0.2, 0.1]]), np.array([[1, 0], [0, 255]])).pixel_auc
        1.0
    """
    return _counts_and_pixels(prediction, reference, definition or get_definition(), score, name)[0]


class LocalizationAccumulator:
    """Maps against masks, one image at a time; see `ifl_hub.metrics` for the contract.

    Args:
        definition: What is counted; by default the preset `default`.

    Example:
        >>> metric = LocalizationAccumulator(get_definition("imdlbenco"))
        >>> _ = metric.update(np.array([[0.9, 0.1]]), np.array([[1, 0]]))
        >>> _ = metric.update(np.array([[0.2, 0.1]]), np.array([[0, 0]]))
        >>> result = metric.compute()
        >>> round(result["pixel_f1"], 6), result["n_authentic"]
        (0.5, 1)
    """

    def __init__(self, definition: Definition | None = None) -> None:
        self.definition = definition or get_definition()
        self.rows: list[ImageCounts] = []
        self.pooled = empty_counts(self.definition.pooled_bins)

    def update(
        self, prediction: Any, reference: Any, score: float | None = None, name: str | None = None
    ) -> ImageCounts:
        """Add one image; arguments, result and errors are those of `image_counts`."""
        row, pixels = _counts_and_pixels(prediction, reference, self.definition, score, name)
        if pixels is not None:
            add_pixels(self.pooled, pixels.values, pixels.forged, self.definition.pooled_bins)
        self.rows.append(row)
        return row

    def merge(self, other: "LocalizationAccumulator") -> "LocalizationAccumulator":
        """Take over what another one has counted; returns itself.

        Raises:
            ValueError: If the other has another definition.
        """
        check_same_definition(self.definition, other.definition)
        self.rows.extend(other.rows)
        for ours, theirs in zip(self.pooled, other.pooled, strict=True):
            ours += theirs
        return self

    def compute(
        self, average: Average | None = None, authentic: Authentic | None = None, polarity: Polarity | None = None
    ) -> dict[str, Any]:
        """Reduce what was counted; may be called again with other arguments.

        Args:
            average: What the keys without `_pooled` mean. These three are the definition's own by default.
            authentic: What an authentic image is worth.
            polarity: Whether an inverted map is as good.

        Returns:
            Every key of `PIXEL_KEYS`, their `_pooled` forms, `AUTHENTIC_KEYS` and `IMAGE_KEYS`: float or None;
            `pixel_auc_pooled_bound` (how far the bins can move the pooled AUC), `pixel_threshold` (the one of the
            data set, or None), `undefined` (why a value is None), `n_images`, `n_authentic`, `n_skipped`, `skipped`
            (by reason), `definition`.
        """
        definition = self._definition(average, authentic, polarity)
        at = self._grid_index(definition)
        per_image = [_pixel_values(row, definition, at) for row in self.rows]
        means = {
            key: mean_of(v[key] for v in per_image if v[key] is not None) for key in (*PIXEL_KEYS, *AUTHENTIC_KEYS)
        }
        pooled = self._pooled_values(definition, at)
        shown = pooled if definition.average == "pooled" else means
        values = {
            **{key: shown[key] for key in PIXEL_KEYS},
            **{f"{key}_pooled": pooled[key] for key in PIXEL_KEYS},
            **{key: means[key] for key in AUTHENTIC_KEYS},
        }
        scored = [(row.score, row.is_forged) for row in self.rows if row.score is not None]
        of_images, reasons = image_values(scored, definition)
        result = with_reasons({**values, **of_images}, {**self._reasons(definition), **reasons}, definition)
        known = result["pixel_auc_pooled"] is not None
        result["pixel_auc_pooled_bound"] = area_tie_bound(*self._ranked_bins(definition)) if known else None
        result["pixel_threshold"] = self._threshold_used(definition, at)
        skipped = Counter(row.skipped for row in self.rows if row.skipped is not None)
        add_counts(result, len(self.rows), sum(not row.is_forged for row in self.rows), skipped)
        return {**result, "definition": definition.as_dict()}

    def per_image(
        self, average: Average | None = None, authentic: Authentic | None = None, polarity: Polarity | None = None
    ) -> list[dict[str, Any]]:
        """The values behind the means, one dict an image in the order of `update`, None where undefined.

        Each has `name`, `is_forged`, `score`, `skipped`, `PIXEL_KEYS` and `AUTHENTIC_KEYS`.
        """
        definition = self._definition(average, authentic, polarity)
        at = self._grid_index(definition)
        return [
            {
                "name": row.name,
                "is_forged": row.is_forged,
                "score": row.score,
                "skipped": row.skipped,
                **_pixel_values(row, definition, at),
            }
            for row in self.rows
        ]

    def state(self) -> dict[str, Any]:
        """All that was counted, JSON-able: rows, and the bins that are not empty."""
        occupied = [np.flatnonzero(counts) for counts in self.pooled]
        return {
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "pooled": [
                {"bins": bins.tolist(), "counts": counts[bins].tolist()}
                for bins, counts in zip(occupied, self.pooled, strict=True)
            ],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Replace what was counted by a `state()` of an accumulator with the same definition."""
        as_tuples = ("hits", "false_alarms")
        self.rows = [ImageCounts(**{**row, **{k: tuple(row[k]) for k in as_tuples}}) for row in state["rows"]]
        self.pooled = empty_counts(self.definition.pooled_bins)
        for counts, saved in zip(self.pooled, state["pooled"], strict=True):
            counts[saved["bins"]] = saved["counts"]

    def _definition(
        self, average: Average | None, authentic: Authentic | None, polarity: Polarity | None
    ) -> Definition:
        own = self.definition
        return dataclasses.replace(
            own,
            average=average or own.average,
            authentic=authentic or own.authentic,
            polarity=polarity or own.polarity,
        )

    def _counted(self, definition: Definition) -> list[ImageCounts]:
        """The rows whose pixels are in the pooled numbers."""
        with_authentic = definition.authentic != "exclude"
        return [row for row in self.rows if row.skipped is None and (row.is_forged or with_authentic)]

    def _ranked_bins(self, definition: Definition) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        forged, authentic, of_authentic_images = self.pooled
        return forged, authentic if definition.authentic == "exclude" else authentic + of_authentic_images

    def _grid_index(self, definition: Definition) -> int:
        """Which of `GRID` is the threshold; 0 where there is one count an image."""
        rows = self._counted(definition)
        if definition.threshold not in ("oracle_dataset", "eer") or not any(row.is_forged for row in rows):
            return 0
        hits = np.array([row.hits for row in rows], np.int64)
        false_alarms = np.array([row.false_alarms for row in rows], np.int64)
        forged = np.array([row.n_forged for row in rows], np.int64)[:, None]
        authentic = np.array([row.n_authentic for row in rows], np.int64)[:, None]
        if definition.threshold == "eer" or definition.average == "pooled":
            hits, false_alarms, forged, authentic = (
                counts.sum(0, keepdims=True) for counts in (hits, false_alarms, forged, authentic)
            )
        if definition.threshold == "eer":
            gaps = np.abs(1 - hits[0] / forged[0] - false_alarms[0] / np.maximum(authentic[0], 1))
            return len(gaps) - 1 - int(gaps[::-1].argmin())
        return _best_of_grid(hits, false_alarms, forged, authentic, definition)

    def _threshold_used(self, definition: Definition, at: int) -> float | None:
        if isinstance(definition.threshold, float | int):
            return float(definition.threshold)
        rows = self._counted(definition)
        known = definition.threshold != "oracle_image" and any(row.is_forged for row in rows)
        return float(GRID[at]) if known else None

    def _pooled_values(self, definition: Definition, at: int) -> dict[str, float | None]:
        rows = self._counted(definition)
        if not rows:
            return dict.fromkeys(PIXEL_KEYS)
        total = Confusion(*(sum(column) for column in zip(*(row.confusion(at) for row in rows), strict=True)))
        bins = self._ranked_bins(definition)
        best = best_f1(*bins)
        whole = ImageCounts(
            is_forged=total.forged > 0,
            n_forged=total.forged,
            n_authentic=total.authentic,
            hits=(total.hits,),
            false_alarms=(total.false_alarms,),
            pixel_auc=area_under_roc(*bins),
            pixel_ap=average_precision(*bins),
            f1_oracle=best.f1 if best else None,
            f1_oracle_inverted=best.inverted if best else None,
        )
        fixed = definition if definition.threshold != "oracle_image" else dataclasses.replace(definition, threshold=0.5)
        return _pixel_values(whole, fixed, 0)

    def _reasons(self, definition: Definition) -> dict[str, str]:
        rows = self._counted(definition)
        if self.rows and all(row.skipped for row in self.rows):
            nothing = f"every image was skipped: {', '.join(sorted({str(row.skipped) for row in self.rows}))}"
        else:
            nothing = "no scored image has a forged pixel" if self.rows else "no image was given"
        keys = [*PIXEL_KEYS, *(f"{key}_pooled" for key in PIXEL_KEYS)]
        reasons = dict.fromkeys(keys, nothing)
        if any(row.is_forged for row in rows):
            for key in (*_AREAS, "pixel_mcc"):
                reasons[key] = reasons[f"{key}_pooled"] = "no image has both classes of pixels"
        return {**reasons, **dict.fromkeys(AUTHENTIC_KEYS, "no authentic image")}


def _counts_and_pixels(
    prediction: Any, reference: Any, definition: Definition, score: float | None, name: str | None
) -> tuple[ImageCounts, ScoredPixels | None]:
    probabilities = as_probabilities(prediction)
    forged, counts = as_labels(reference, definition.ignore_value)
    check_shapes(probabilities.shape, forged.shape)
    is_forged = bool(forged.any())
    if np.isnan(probabilities).any() or (score is not None and np.isnan(score)):
        return ImageCounts(is_forged, skipped=HOLDS_NAN, name=name), None
    if not counts.any():
        return ImageCounts(is_forged, skipped=ALL_IGNORED, name=name), None
    if definition.eight_bit:  # the margin keeps u / 255 at u
        probabilities = np.floor(probabilities * np.float32(255) + np.float32(1e-4)) / np.float32(255)
    if score is None:
        score = reduce_to_score(probabilities, definition.score_reduction)
    if is_forged and definition.boundary is not None:
        counts = counts & outside_band(forged, *definition.boundary)
        if not (counts & forged).any():
            return ImageCounts(is_forged, float(score), skipped=BAND_LEAVES_NOTHING, name=name), None
    pixels = ScoredPixels(probabilities[counts], forged[counts])
    return _count_pixels(pixels, definition, ImageCounts(is_forged, float(score), name=name)), pixels


def _count_pixels(pixels: ScoredPixels, definition: Definition, row: ImageCounts) -> ImageCounts:
    """Fill a row with the counts of its pixels."""
    ranking = rank_pixels(*pixels)
    above: tuple[tuple[int, ...], tuple[int, ...]]
    best = best_f1(ranking.forged, ranking.authentic)
    n_forged = int(np.count_nonzero(pixels.forged))
    if isinstance(definition.threshold, float | int):
        threshold = np.float32(definition.threshold)
        flagged = pixels.values >= threshold if definition.inclusive else pixels.values > threshold
        confusion = count_flagged(flagged, pixels.forged)
        above = (confusion.hits,), (confusion.false_alarms,)
    elif definition.threshold == "oracle_image":
        above = ((best.hits,), (best.false_alarms,)) if best else ((0,), (0,))
    else:
        above = _flagged_on_grid(ranking)
    return dataclasses.replace(
        row,
        n_forged=n_forged,
        n_authentic=len(pixels.forged) - n_forged,
        hits=above[0],
        false_alarms=above[1],
        pixel_auc=area_under_roc(ranking.forged, ranking.authentic),
        pixel_ap=average_precision(ranking.forged, ranking.authentic),
        f1_oracle=best.f1 if best else None,
        f1_oracle_inverted=best.inverted if best else None,
    )


def _flagged_on_grid(ranking: Ranking) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Forged and authentic pixels above each threshold of `GRID`."""
    first_above = np.searchsorted(ranking.values, GRID, side="right")
    counts = (ranking.forged, ranking.authentic)
    above = [np.append(np.cumsum(of_class[::-1])[::-1], 0)[first_above] for of_class in counts]
    return tuple(above[0].tolist()), tuple(above[1].tolist())


def _best_of_grid(
    hits: NDArray[np.int64],
    false_alarms: NDArray[np.int64],
    forged: NDArray[np.int64],
    authentic: NDArray[np.int64],
    definition: Definition,
) -> int:
    """The strictest of the thresholds with the best mean F1; arrays are `(images, thresholds)`."""
    value = 2 * hits / np.maximum(hits + false_alarms + forged, 1)
    empty = false_alarms == 0
    if definition.polarity == "permuted":
        missed, quiet = forged - hits, authentic - false_alarms
        value = np.maximum(value, 2 * missed / np.maximum(missed + quiet + forged, 1))
        empty |= quiet == 0
    if definition.authentic == "empty_is_one":
        value = np.where(forged > 0, value, empty)
    means = np.array([mean_of(column) for column in value.T])
    return len(means) - 1 - int(means[::-1].argmax())


def _pixel_values(row: ImageCounts, definition: Definition, at: int) -> dict[str, float | None]:
    """The values of one image (or of all pixels together), None where undefined or left out."""
    nothing: dict[str, float | None] = dict.fromkeys((*PIXEL_KEYS, *AUTHENTIC_KEYS))
    if row.skipped is not None:
        return nothing
    counts = row.confusion(at)
    if row.is_forged:
        return nothing | _forged_values(row, counts, definition)
    alarms = {
        "authentic_fpr": counts.false_alarms / counts.authentic,
        "authentic_alarm_rate": float(counts.false_alarms > 0),
    }
    return nothing | alarms | _authentic_values(counts, definition)


def _forged_values(row: ImageCounts, counts: Confusion, definition: Definition) -> dict[str, float | None]:
    epsilon, inverted = definition.f1_epsilon, counts.inverted()
    plain = f1(counts, epsilon)
    permuted = max(plain, f1(inverted, epsilon))
    oracle, oracle_inverted = cast(float, row.f1_oracle), cast(float, row.f1_oracle_inverted)
    either = definition.polarity == "permuted"
    if definition.threshold == "oracle_image":
        permuted = max(oracle, oracle_inverted)
    areas: dict[str, float | None] = {key: getattr(row, key) for key in _AREAS}
    if definition.undefined_area == "zero":
        areas = {key: value or 0.0 for key, value in areas.items()}
    return {
        "pixel_f1": permuted if either else plain,
        "pixel_precision": precision_of(counts, epsilon),
        "pixel_recall": recall_of(counts, epsilon),
        "pixel_iou": iou(counts),
        "pixel_mcc": matthews(counts),
        "pixel_f1_oracle": max(oracle, oracle_inverted) if either else oracle,
        "pixel_f1_permuted": permuted,
        "pixel_miou": mean_iou(counts),
        "pixel_miou_permuted": max(mean_iou(counts), mean_iou(inverted)),
        **areas,
    }


def _authentic_values(counts: Confusion, definition: Definition) -> dict[str, float | None]:
    """What an image without a forged pixel is worth."""
    if definition.authentic == "exclude":
        return {}
    if definition.authentic == "zero":
        inverted = counts.inverted()
        return {
            **dict.fromkeys(PIXEL_KEYS, 0.0),
            "pixel_miou": mean_iou(counts),
            "pixel_miou_permuted": max(mean_iou(counts), mean_iou(inverted)),
        }
    quiet = float(counts.false_alarms == 0)
    either = max(quiet, float(counts.false_alarms == counts.authentic))
    share = 1 - counts.false_alarms / counts.authentic
    return {
        "pixel_f1": either if definition.polarity == "permuted" else quiet,
        "pixel_precision": quiet,
        "pixel_recall": quiet,
        "pixel_iou": quiet,
        "pixel_f1_oracle": 1.0,
        "pixel_f1_permuted": either,
        "pixel_miou": (quiet + share) / 2,
        "pixel_miou_permuted": max((quiet + share) / 2, (either + 1 - share) / 2 if either else (1 - share) / 2),
    }
