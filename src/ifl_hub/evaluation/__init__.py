"""Judging a localizer: baselines to compare with, robustness grids, protocols, and comparisons with intervals.

`evaluate_folder` does the whole of it, as `ifl-hub evaluate` does; `rescore_folder` repeats the arithmetic by another
definition without the images.
"""

from .baselines import BASELINES, PREFIX, error_level_analysis, find_baseline
from .comparison import Difference, paired_bootstrap
from .evaluate import evaluate_folder, rescore_folder
from .labelled_images import EvaluationError, LabelledImage, read_labelled_images
from .localizers import NamedLocalizer, Prediction, baseline_localizer, model_localizer
from .paper_tables import PAPER_TABLES, PaperTable
from .protocols import PROTOCOLS, Protocol, find_protocol
from .report import Evaluation
from .robustness import GRIDS, Condition, parse_condition, parse_grid
from .scores import RunScores
from .scoring import ImageScore, mean_of, score_images

__all__ = [
    "BASELINES",
    "GRIDS",
    "PAPER_TABLES",
    "PREFIX",
    "PROTOCOLS",
    "Condition",
    "Difference",
    "Evaluation",
    "EvaluationError",
    "ImageScore",
    "LabelledImage",
    "NamedLocalizer",
    "PaperTable",
    "Prediction",
    "Protocol",
    "RunScores",
    "baseline_localizer",
    "error_level_analysis",
    "evaluate_folder",
    "find_baseline",
    "find_protocol",
    "mean_of",
    "model_localizer",
    "paired_bootstrap",
    "parse_condition",
    "parse_grid",
    "read_labelled_images",
    "rescore_folder",
    "score_images",
]
