"""Pixel metrics of one image, exact and with their undefined cases named (the mean over images is the caller's)."""

import numpy as np
from numpy.typing import NDArray


def pixel_f1(probabilities: NDArray[np.floating], mask: NDArray[np.bool_], threshold: float = 0.5) -> float | None:
    """F1 of the forged class, a pixel counted as forged where its probability is strictly above `threshold`.

    Args:
        probabilities: `(H, W)`.
        mask: `(H, W)` bool, True where forged.
        threshold: In [0, 1].

    Returns:
        F1 in [0, 1], or None for an authentic image (no forged pixel to find).

    Example:
        >>> import numpy as np
        >>> pixel_f1(np.array([[0.9, 0.2]]), np.array([[True, True]]))
        0.6666666666666666
    """
    _check(probabilities, mask)
    if not mask.any():
        return None
    predicted = probabilities > threshold
    return float(2 * (predicted & mask).sum() / (predicted.sum() + mask.sum()))


def pixel_auc(probabilities: NDArray[np.floating], mask: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve over the pixels of one image, exact, ties counted as one half.

    Args:
        probabilities: `(H, W)`, any monotone score.
        mask: `(H, W)` bool, True where forged.

    Returns:
        AUC in [0, 1], or None where the mask is empty or full.

    Example:
        >>> import numpy as np
        >>> pixel_auc(np.array([[0.9, 0.2, 0.2]]), np.array([[True, True, False]]))
        0.75
    """
    _check(probabilities, mask)
    positives = int(mask.sum())
    negatives = mask.size - positives
    if positives == 0 or negatives == 0:
        return None
    values, inverse = np.unique(probabilities, return_inverse=True)
    per_value = np.bincount(inverse.ravel(), minlength=len(values))
    forged = np.bincount(inverse.ravel()[mask.ravel()], minlength=len(values))
    authentic = per_value - forged
    authentic_below = np.cumsum(authentic) - authentic
    return float((forged * (authentic_below + authentic / 2)).sum() / (positives * negatives))


def _check(probabilities: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
    if probabilities.shape != mask.shape:
        raise ValueError(
            f"the prediction is {probabilities.shape} but its mask is {mask.shape}: "
            "predict on the original pixel grid, never resize the mask"
        )
    if mask.dtype != np.bool_:
        raise ValueError(f"the mask must be bool (True where forged), got {mask.dtype}")
