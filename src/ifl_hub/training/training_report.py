"""What a run did, to look at: `training_report.md` with its curves and its last predictions."""

import importlib.util
import io
import json
from pathlib import Path
from typing import Any

from ..files import write_atomically

Rows = list[dict[str, float]]


def write_report(run: Path) -> None:
    """Write `training_report.md` into a run's folder, and `curves.png` where matplotlib is installed."""
    rows = _last_of_each_step(run / "log.jsonl")
    losses, validations = rows
    has_curves = importlib.util.find_spec("matplotlib") is not None
    if has_curves:
        write_atomically(run / "curves.png", _curves(losses, validations))
    summary = json.loads((run / "final" / "training_summary.json").read_text(encoding="utf-8"))
    lines = [f"# {run.name}", "", *_facts(summary), ""]
    if validations:
        names = [name for name in validations[-1] if name != "step"]
        lines += [f"| step | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for row in validations:
            mark = " (kept)" if row["step"] == summary.get("best_step") else ""
            values = " | ".join(f"{row[name]:.4f}" if name in row else "" for name in names)
            lines.append(f"| {row['step']:.0f}{mark} | {values} |")
        lines.append("")
    lines += ["![Losses and scores](curves.png)", ""] if has_curves else []
    if (run / "validation.png").is_file():
        lines += ["The first validation samples, as the task shows them:", "", "![Validation](validation.png)", ""]
    recipe = {name: value for name, value in summary["recipe"].items() if value not in (None, {}, [], "")}
    if "weights" in recipe:
        del recipe["shape"]  # it is that of the weights
    lines += ["## Recipe", "", "```json", json.dumps(recipe, indent=1), "```", ""]
    write_atomically(run / "training_report.md", "\n".join(lines).encode())


def _facts(summary: dict[str, Any]) -> list[str]:
    recipe = summary["recipe"]
    kept = summary.get("best_step")
    weights = f"step {kept}, the best {recipe['metric']}" if kept is not None else "the last step"
    return [
        f"- Method {recipe['method']}, task {recipe['task']}, seed {recipe['seed']}.",
        f"- {summary['steps_this_run']} steps in {summary['seconds_this_run']} s (the last call), "
        f"{summary['processes']} process(es): {summary['hardware']}, torch {summary['torch']}.",
        f"- Weights of {weights}: SHA-256 `{summary['weights_sha256']}`.",
    ]


def _last_of_each_step(log: Path) -> tuple[Rows, Rows]:
    """Losses and validations; a run that was interrupted has logged some steps twice."""
    losses: dict[float, dict[str, float]] = {}
    validations: dict[float, dict[str, float]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        (losses if "loss" in row else validations)[row["step"]] = row
    return [losses[step] for step in sorted(losses)], [validations[step] for step in sorted(validations)]


def _curves(losses: Rows, validations: Rows) -> bytes:
    """PNG of two panels: the loss and its terms, and the validation scores."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for panel, rows, title in zip(
        figure.subplots(1, 2), (losses, validations), ("training", "validation"), strict=True
    ):
        names = [name for name in (rows[-1] if rows else {}) if name not in ("step", "seconds", "learning_rate")]
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            panel.plot(*zip(*points, strict=True), label=name, marker="." if rows is validations else "")
        panel.set_xlabel("step")
        panel.set_title(title, fontsize=10)
        if names:
            panel.legend(fontsize=8)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
