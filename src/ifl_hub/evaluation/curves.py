"""Robustness curves: a metric over the strength of one kind of change, and the area under it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import write_atomically
from .robustness import CLEAN, FAMILIES, parse_condition
from .scores import RunScores

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
_STYLES = ("-", "--", ":")


@dataclass(frozen=True)
class Curve:
    """One model's metric over the values of one family.

    Args:
        model: Its name.
        family: Axis, with its unit: such as `"gaussian_blur_sigma (px)"`.
        metric: Key of the metric.
        points: `(value, metric)` in ascending order of the value; a family's neutral value is the clean picture.
        area: Mean height of the curve by the trapezoidal rule: the area under it over the width of its axis.
        clean: The metric on clean pictures, or None.
    """

    model: str
    family: str
    metric: str
    points: tuple[tuple[float, float], ...]
    area: float
    clean: float | None


def robustness_curves(scores: Sequence[RunScores], metric: str) -> list[Curve]:
    """The curves of all models and families that have at least two points.

    Conditions of several steps form a curve over their last step if all other steps are the same.
    """
    clean = {run.model: run.value(metric) for run in scores if run.condition == CLEAN}
    points: dict[tuple[str, str], dict[float, float]] = {}
    for run in scores:
        steps, value = parse_condition(run.condition).steps, run.value(metric)
        if not steps or value is None:
            continue
        family = FAMILIES[steps[-1].family]
        before = "".join(f"{step.name}+" for step in steps[:-1])
        axis = f"{before}{steps[-1].family}" + (f" ({family.unit})" if family.unit else "")
        known = points.setdefault((run.model, axis), {})
        if family.identity is not None and not before and (at_rest := clean.get(run.model)) is not None:
            known[family.identity] = at_rest
        known[steps[-1].value] = value
    return [
        Curve(model, axis, metric, tuple(sorted(known.items())), _area(known), clean.get(model))
        for (model, axis), known in points.items()
        if len(known) > 1
    ]


def plot_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Draw curves as a PNG: a column a family, a row a metric, a line a model, its area in the legend.

    Args:
        path: Where to write.
        curves: At least one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families, metrics = (list(dict.fromkeys(getattr(curve, name) for curve in curves)) for name in ("family", "metric"))
    models = list(dict.fromkeys(curve.model for curve in curves))
    figure = Figure(figsize=(4.6 * len(families), 3.8 * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), len(families), squeeze=False)
    for row, metric in enumerate(metrics):
        for column, family in enumerate(families):
            panel = panels[row][column]
            here = [curve for curve in curves if (curve.family, curve.metric) == (family, metric)]
            for curve in here:
                index = models.index(curve.model)
                style = {"color": _COLOURS[index % len(_COLOURS)], "linestyle": _STYLES[index // len(_COLOURS) % 3]}
                panel.plot(*zip(*curve.points, strict=True), marker="o", markersize=4,
                           label=f"{curve.model} (area {curve.area:.3f})", **style)  # fmt: skip
                if curve.clean is not None:
                    panel.axhline(curve.clean, color=style["color"], linewidth=0.8, alpha=0.4)
            panel.set_xlabel(family)
            panel.set_ylabel(metric)
            panel.grid(alpha=0.25)
            panel.legend(fontsize=7)
            if family.startswith("jpeg"):
                panel.invert_xaxis()  # to the right it gets worse, as everywhere else
    figure.suptitle("Robustness; thin lines: clean pictures", fontsize=10)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def _area(points: Mapping[float, float]) -> float:
    x, y = np.array(sorted(points.items())).T
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(x)) / (x[-1] - x[0]))
