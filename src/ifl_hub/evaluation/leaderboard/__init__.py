"""The leaderboard: per-image statistics that ship with the package, and every table that is computed from them.

`measure` makes the statistics from the test sets; `render_leaderboard` and `render_worst` need neither images nor
models. `training_scripts/make_leaderboard.py` does both.
"""

from .card_scores import card_scores
from .documents import render_calibration, render_leaderboard, render_worst, render_zoo_table
from .measuring import ROBUSTNESS, leaderboard_names, measure
from .statistics import STATISTICS, RunStatistics, TestSet, TestSetStatistics, load_statistics
from .values import Measured, summarize

__all__ = [
    "ROBUSTNESS",
    "STATISTICS",
    "Measured",
    "RunStatistics",
    "TestSet",
    "TestSetStatistics",
    "card_scores",
    "leaderboard_names",
    "load_statistics",
    "measure",
    "render_calibration",
    "render_leaderboard",
    "render_worst",
    "render_zoo_table",
    "summarize",
]
