"""What a number means here: per-image pixel metrics, each with its definition."""

from .pixel import pixel_auc, pixel_f1

__all__ = ["pixel_auc", "pixel_f1"]
