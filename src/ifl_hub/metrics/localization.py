"""Maps against masks, image after image: the accumulator that turns counts into numbers.

What is kept of an image is one row of numbers, whatever its size; pixels are only added to a histogram of fixed size.
"""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bins import GRID, add_pixels, empty_counts
from .curves import area_tie_bound, area_under_roc, average_precision, best_f1, error_rate_gap
from .definitions import AUTHENTIC_KEYS, PIXEL_KEYS, Authentic, Average, Definition, Polarity, check_same_definition
from .detection import image_values
from .image_counts import ImageCounts, count_image
from .pixel import Confusion
from .pixel_values import pixel_values
from .presets import get_definition
from .results import add_counts, mean_of, with_reasons

_BOTH_CLASSES = ("pixel_auc", "pixel_ap", "pixel_mcc")


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
        row, pixels = count_image(prediction, reference, self.definition, score, name)
        if pixels is not None:
            add_pixels(self.pooled, pixels.values, pixels.forged, self.definition.pooled_bins)
        self.rows.append(row)
        return row

    def merge(self, other: "LocalizationAccumulator") -> "LocalizationAccumulator":
        """Take over what another one has counted; returns itself.

        Raises:
            ValueError: If the other has another definition.
        """
        check_same_definition(self.definition.as_dict(), other.definition.as_dict())
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
        per_image = [pixel_values(row, definition, at) for row in self.rows]
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
                **pixel_values(row, definition, at),
            }
            for row in self.rows
        ]

    def state(self) -> dict[str, Any]:
        """All that was counted, JSON-able: rows, and the bins that are not empty."""
        occupied = [np.flatnonzero(counts) for counts in self.pooled]
        return {
            "definition": self.definition.as_dict(),
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "pooled": [
                {"bins": bins.tolist(), "counts": counts[bins].tolist()}
                for bins, counts in zip(occupied, self.pooled, strict=True)
            ],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Replace what was counted by a `state()`.

        Raises:
            ValueError: If it is of another definition.
        """
        check_same_definition(self.definition.as_dict(), state["definition"])
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
            gap = error_rate_gap(hits[0], false_alarms[0], forged.item(), max(authentic.item(), 1))
            return len(gap) - 1 - int(np.abs(gap)[::-1].argmin())
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
        # Each image had a threshold of its own: the best one of all pixels together is another question.
        fixed = definition if definition.threshold != "oracle_image" else dataclasses.replace(definition, threshold=0.5)
        return pixel_values(whole, fixed, 0)

    def _reasons(self, definition: Definition) -> dict[str, str]:
        rows = self._counted(definition)
        if self.rows and all(row.skipped for row in self.rows):
            nothing = f"every image was skipped: {', '.join(sorted({str(row.skipped) for row in self.rows}))}"
        else:
            nothing = "no scored image has a forged pixel" if self.rows else "no image was given"
        keys = [*PIXEL_KEYS, *(f"{key}_pooled" for key in PIXEL_KEYS)]
        reasons = dict.fromkeys(keys, nothing)
        if any(row.is_forged for row in rows):
            for key in _BOTH_CLASSES:
                reasons[key] = reasons[f"{key}_pooled"] = "no image has both classes of pixels"
        return {**reasons, **dict.fromkeys(AUTHENTIC_KEYS, "no authentic image")}


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
