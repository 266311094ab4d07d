"""One image's map against its mask: what is kept of it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..image_processing.scoring import reduce_to_score
from .bins import GRID
from .curves import Ranking, area_under_roc, average_precision, best_f1, rank_pixels
from .definitions import Definition
from .pixel import Confusion, ScoredPixels, as_labels, as_probabilities, check_shapes, count_flagged, outside_band
from .presets import get_definition

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
    return count_image(prediction, reference, definition or get_definition(), score, name)[0]


def count_image(
    prediction: Any, reference: Any, definition: Definition, score: float | None, name: str | None
) -> tuple[ImageCounts, ScoredPixels | None]:
    """`image_counts`, and the pixels that were counted (None if the image was skipped)."""
    probabilities = as_probabilities(prediction)
    forged, counts = as_labels(reference, definition.ignore_value)
    check_shapes(probabilities.shape, forged.shape)
    is_forged = bool(forged.any())
    if np.isnan(probabilities).any() or (score is not None and np.isnan(score)):
        return ImageCounts(is_forged, skipped=HOLDS_NAN, name=name), None
    if not counts.any():
        return ImageCounts(is_forged, skipped=ALL_IGNORED, name=name), None
    if definition.eight_bit:  # in float32, u / 255 stays what it is for each of the 256 levels
        probabilities = np.floor(probabilities * np.float32(255)) / np.float32(255)
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
