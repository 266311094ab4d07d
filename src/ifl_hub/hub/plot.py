"""The card's plot: each score on the pictures as they are, and after each change."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import write_atomically
from .results import METRICS, robustness_title

_SHOWN = ("pixel_auc", "pixel_f1", "authentic_fpr")
_COLOURS = ("#4477aa", "#228833", "#ee6677")


def plot_robustness(path: Path, score: Mapping[str, Any]) -> None:
    """Draw the robustness of a score as a PNG: a group of bars a condition, the clean one first.

    Args:
        path: Where to write.
        score: With `robustness`, from condition to numbers by metric.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    conditions = score["robustness"]
    metrics = [metric for metric in _SHOWN if any(metric in values for values in conditions.values())]
    figure = Figure(figsize=(8, 0.5 * len(conditions) + 1.2), layout="constrained")
    panel = figure.subplots()
    height = 0.8 / len(metrics)
    for index, metric in enumerate(metrics):
        places = [row + (index - (len(metrics) - 1) / 2) * height for row in range(len(conditions))]
        values = [numbers.get(metric, 0.0) for numbers in conditions.values()]
        bars = panel.barh(places, values, height, color=_COLOURS[index], label=METRICS[metric][0])
        panel.bar_label(bars, [f"{value:.2f}" for value in values], padding=2, fontsize=7)
    panel.set_yticks(range(len(conditions)), [name.replace("_", " ") for name in conditions])
    panel.invert_yaxis()
    panel.set_xlim(0, 1.05)
    panel.grid(axis="x", alpha=0.25)
    panel.legend(fontsize=8, loc="lower right")
    panel.set_title(robustness_title(score), fontsize=10)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
