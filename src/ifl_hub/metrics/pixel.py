"""Pixel metrics of one image: from a map and its labels to counts, and from counts to values.

Undefined cases are None, never 0. The mean over images is the accumulator's (`localization.py`).
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..image_processing.masks import IGNORED
from .curves import area_under_roc, rank_pixels


class ScoredPixels(NamedTuple):
    """The pixels of one image that count.

    Attributes:
        values: `(N,)` float32 probabilities.
        forged: `(N,)` bool.
    """

    values: NDArray[np.float32]
    forged: NDArray[np.bool_]


class Confusion(NamedTuple):
    """How many pixels were flagged, by label.

    Attributes:
        hits: Forged and flagged.
        false_alarms: Authentic and flagged.
        forged: Forged.
        authentic: Authentic.
    """

    hits: int
    false_alarms: int
    forged: int
    authentic: int

    def inverted(self) -> "Confusion":
        """The confusion of the inverted map."""
        return Confusion(self.forged - self.hits, self.authentic - self.false_alarms, self.forged, self.authentic)


def pixel_f1(probabilities: NDArray[np.floating], mask: NDArray[np.bool_], threshold: float = 0.5) -> float | None:
    """F1 of the forged class, a pixel counted as forged where its probability is strictly above `threshold`.

    Args:
        probabilities: `(H, W)`; any score does, with a threshold on its scale.
        mask: `(H, W)` bool, True where forged.
        threshold: Where to cut.

    Returns:
        F1 in [0, 1], or None for an authentic image (no forged pixel to find).

    Example:
        >>> import numpy as np
        >>> pixel_f1(np.array([[0.9, 0.2]]), np.array([[True, True]]))
        0.6666666666666666
    """
    _check_pair(probabilities, mask)
    return f1(count_flagged(probabilities > threshold, mask)) if mask.any() else None


def pixel_auc(probabilities: NDArray[np.floating], mask: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve over the pixels of one image, exact, ties counted as one half.

    Args:
        probabilities: `(H, W)` in [0, 1].
        mask: `(H, W)` bool, True where forged.

    Returns:
        AUC in [0, 1], or None where the mask is empty or full.

    Example:
        >>> import numpy as np
        >>> pixel_auc(np.array([[0.9, 0.2, 0.2]]), np.array([[True, True, False]]))
        0.75
    """
    _check_pair(probabilities, mask)
    ranking = rank_pixels(as_probabilities(probabilities).ravel(), mask.ravel())
    return area_under_roc(ranking.forged, ranking.authentic)


def count_flagged(flagged: NDArray[np.bool_], forged: NDArray[np.bool_]) -> Confusion:
    """Count flagged pixels by label; both arrays have one shape."""
    n_forged = int(np.count_nonzero(forged))
    hits = int(np.count_nonzero(flagged & forged))
    false_alarms = int(np.count_nonzero(flagged)) - hits
    return Confusion(hits, false_alarms, n_forged, forged.size - n_forged)


def f1(counts: Confusion, epsilon: float = 0.0) -> float:
    """F1 of the forged class, 0 where nothing was flagged or found; `epsilon` is added to each denominator."""
    if epsilon:
        precision, recall = counts.hits / (counts.hits + counts.false_alarms + epsilon), recall_of(counts, epsilon)
        return 2 * precision * recall / (precision + recall + epsilon)
    return _ratio(2 * counts.hits, counts.hits + counts.false_alarms + counts.forged)


def precision_of(counts: Confusion, epsilon: float = 0.0) -> float:
    """Share of the flagged pixels that are forged, 0 where nothing was flagged."""
    return _ratio(counts.hits, counts.hits + counts.false_alarms + epsilon)


def recall_of(counts: Confusion, epsilon: float = 0.0) -> float:
    """Share of the forged pixels that were flagged, 0 where nothing is forged."""
    return _ratio(counts.hits, counts.forged + epsilon)


def iou(counts: Confusion) -> float:
    """Intersection over union of the forged class, 0 where it is neither flagged nor there."""
    return _ratio(counts.hits, counts.forged + counts.false_alarms)


def mean_iou(counts: Confusion) -> float:
    """Mean of the IoU of the two classes; a class that is neither flagged nor there counts 0."""
    quiet = counts.authentic - counts.false_alarms
    return 0.5 * iou(counts) + 0.5 * _ratio(quiet, counts.authentic + counts.forged - counts.hits)


def matthews(counts: Confusion) -> float | None:
    """Matthews correlation coefficient, in [-1, 1] with its sign; 0 where all pixels are flagged alike.

    Returns:
        None if there is one class only.
    """
    hits, false_alarms, n_forged, n_authentic = counts
    if not n_forged or not n_authentic:
        return None
    flagged = hits + false_alarms
    quiet = n_forged + n_authentic - flagged
    if not flagged or not quiet:
        return 0.0
    determinant = hits * (n_authentic - false_alarms) - false_alarms * (n_forged - hits)
    return determinant / (math.sqrt(n_forged * n_authentic) * math.sqrt(flagged * quiet))


def as_probabilities(prediction: Any) -> NDArray[np.float32]:
    """Read a predicted map.

    Args:
        prediction: Array or tensor `(H, W)`: bool, float in [0, 1], or uint8, of which 255 is 1.

    Returns:
        `(H, W)` float32 in [0, 1]; NaN is kept.

    Raises:
        ValueError: If the type, the shape or a value is another.
    """
    values = _as_array(prediction)
    if values.ndim != 2:
        raise ValueError(f"a prediction is (H, W), got {values.shape}: give one map an image")
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    if values.dtype != np.bool_ and values.dtype.kind != "f":
        raise ValueError(f"a prediction is float in [0, 1], uint8 in 0..255 or bool, got {values.dtype}")
    probabilities = values.astype(np.float32)
    if probabilities.size and (np.fmin.reduce(probabilities, None) < 0 or np.fmax.reduce(probabilities, None) > 1):
        raise ValueError("predictions must be probabilities in [0, 1]: take the sigmoid of logits first")
    return probabilities


def as_labels(reference: Any, ignore_value: int | None = IGNORED) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Read a label map.

    Args:
        reference: Array or tensor `(H, W)`: bool, or 0 authentic, 1 forged, `ignore_value` left out.
        ignore_value: None if nothing is left out.

    Returns:
        Two `(H, W)` bool maps: what is forged, and what counts.

    Raises:
        ValueError: If the shape or a value is another.
    """
    labels = _as_array(reference)
    if labels.ndim != 2:
        raise ValueError(f"a reference is (H, W), got {labels.shape}: give one label map an image")
    forged = labels if labels.dtype == np.bool_ else labels == 1
    if labels.dtype == np.bool_:
        return forged, np.ones(forged.shape, np.bool_)
    counts = forged | (labels == 0)
    left_out = np.zeros(forged.shape, np.bool_) if ignore_value is None else labels == ignore_value
    if not (counts | left_out).all():
        raise ValueError(
            f"a reference holds 0 (authentic), 1 (forged) and {ignore_value} (left out), got {np.unique(labels)[:5]}: "
            "read mask pictures with ifl_hub.image_processing.masks.to_label_map"
        )
    if ignore_value == IGNORED and left_out.any() and not forged.any():
        warnings.warn(
            "a reference holds 255 and no 1: 255 is left out, not forged; read 0/255 mask pictures with to_label_map",
            stacklevel=2,
        )
    return forged, counts


def outside_band(forged: NDArray[np.bool_], erode: int, dilate: int) -> NDArray[np.bool_]:
    """Where a forged pixel survives an erosion, or an authentic one is out of a dilation's reach.

    Args:
        forged: `(H, W)`.
        erode: Side of the square window, odd: a forged pixel counts if the window around it is all forged.
        dilate: Side of the square window, odd: an authentic pixel counts if the window around it has none.

    Returns:
        `(H, W)` bool. Windows end at the border of the image.

    Example:
        >>> outside_band(np.array([[False, False, False, True, True, True]]), 3, 3)
        array([[ True,  True, False, False,  True,  True]])
    """
    return np.where(forged, _window_sum(~forged, erode) == 0, _window_sum(forged, dilate) == 0)


def _window_sum(flags: NDArray[np.bool_], side: int) -> NDArray[np.int64]:
    """How many flags are in the square window around each pixel."""
    sums = flags.astype(np.int64)
    for axis in (0, 1):
        length = sums.shape[axis]
        total = np.concatenate([np.zeros_like(sums.take([0], axis)), np.cumsum(sums, axis)], axis)
        centre = np.arange(length)
        after, before = np.minimum(centre + side // 2 + 1, length), np.maximum(centre - side // 2, 0)
        sums = total.take(after, axis) - total.take(before, axis)
    return sums


def check_shapes(prediction: tuple[int, ...], reference: tuple[int, ...]) -> None:
    """Refuse a prediction of another size than its mask.

    Raises:
        ValueError: If they differ.
    """
    if prediction != reference:
        raise ValueError(
            f"the prediction is {prediction} but its mask is {reference}: "
            "predict on the original pixel grid, never resize the mask"
        )


def _check_pair(probabilities: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
    check_shapes(probabilities.shape, mask.shape)
    if mask.dtype != np.bool_:
        raise ValueError(f"the mask must be bool (True where forged), got {mask.dtype}")


def _as_array(values: Any) -> NDArray[Any]:
    if hasattr(values, "detach"):  # a torch tensor, on any device and of any float type
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
