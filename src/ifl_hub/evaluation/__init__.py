"""Judging a localizer: baselines to compare with, robustness grids, protocols, and comparisons with intervals."""

from .baselines import BASELINES, error_level_analysis, find_baseline
from .comparison import Difference, paired_bootstrap
from .paper_tables import PAPER_TABLES
from .protocols import PROTOCOLS, find_protocol
from .robustness import GRIDS, parse_grid
from .scoring import ImageScore, LabelledImage, mean_of, read_labelled_images, score_images

__all__ = [
    "BASELINES",
    "GRIDS",
    "PAPER_TABLES",
    "PROTOCOLS",
    "Difference",
    "ImageScore",
    "LabelledImage",
    "error_level_analysis",
    "find_baseline",
    "find_protocol",
    "mean_of",
    "paired_bootstrap",
    "parse_grid",
    "read_labelled_images",
    "score_images",
]
