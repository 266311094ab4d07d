"""Judging a localizer: baselines to compare with, and comparisons with intervals."""

from .baselines import error_level_analysis
from .comparison import Difference, paired_bootstrap
from .scoring import ImageScore, LabelledImage, mean_of, read_labelled_images, score_images

__all__ = [
    "Difference",
    "ImageScore",
    "LabelledImage",
    "error_level_analysis",
    "mean_of",
    "paired_bootstrap",
    "read_labelled_images",
    "score_images",
]
