"""Judging a localizer: baselines to compare with, and comparisons with intervals."""

from .baselines import error_level_analysis
from .comparison import paired_bootstrap

__all__ = ["error_level_analysis", "paired_bootstrap"]
