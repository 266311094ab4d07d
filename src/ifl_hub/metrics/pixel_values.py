"""What one image's counts are worth under a definition."""

from typing import cast

from .definitions import AUTHENTIC_KEYS, PIXEL_KEYS, Definition
from .image_counts import ImageCounts
from .pixel import Confusion, f1, iou, matthews, mean_iou, precision_of, recall_of

_AREAS = ("pixel_auc", "pixel_ap")


def pixel_values(row: ImageCounts, definition: Definition, at: int = 0) -> dict[str, float | None]:
    """The values of one image (or of all pixels together), None where undefined or left out.

    Args:
        row: Its counts.
        definition: How they are read.
        at: Which of `GRID` is the threshold, where the row has counts for all of them.

    Returns:
        `PIXEL_KEYS` and `AUTHENTIC_KEYS`.
    """
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
    empty, full = float(counts.false_alarms == 0), float(counts.false_alarms == counts.authentic)
    share_flagged = counts.false_alarms / counts.authentic
    either = max(empty, full)
    return {
        "pixel_f1": either if definition.polarity == "permuted" else empty,
        "pixel_precision": empty,
        "pixel_recall": empty,
        "pixel_iou": empty,
        "pixel_f1_oracle": 1.0,
        "pixel_f1_permuted": either,
        "pixel_miou": (empty + 1 - share_flagged) / 2,
        "pixel_miou_permuted": max(empty + 1 - share_flagged, full + share_flagged) / 2,
    }
