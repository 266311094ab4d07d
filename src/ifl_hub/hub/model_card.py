"""Model cards, rendered from what is known of a checkpoint: no number in a card is ever typed by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .checkpoint import read_json
from .code_export import remote_task
from .description import method_facts
from .results import METRICS, false_alarms, plotted, robustness_title, score_table, three

TEMPLATES = Path(__file__).parent / "templates"
#: What a card says although a checkpoint's metadata may leave it out.
_OPTIONAL: Mapping[str, Any] = {"task": "localization", "learnt_from": None, "starts_from": [], "scores": []}
_TASKS = {"localization": "image-forgery-localization", "face_classification": "deepfake-detection"}


def render_model_card(checkpoint: str | Path) -> str:
    """The card (Markdown with the Hub's YAML header) of a checkpoint folder.

    Args:
        checkpoint: A folder that holds `metadata.json`, such as `checkpoint_path("sumi-ifl-small")`.

    Raises:
        ValueError: If the metadata lacks something that a card must say.

    Example:
        >>> from ifl_hub import checkpoint_path
        >>> render_model_card(checkpoint_path("sumi-ifl-small")).splitlines()[0]
        '---'
    """
    description = read_json(Path(checkpoint) / "metadata.json")
    try:
        return render_card({**method_facts(description["model_type"]), **description})
    except (ValueError, KeyError) as error:
        raise ValueError(f"{checkpoint}/metadata.json: {error}; a card must say it") from error


def render_card(description: Mapping[str, Any], repo_id: str | None = None, with_code: bool = False) -> str:
    """The card of a described checkpoint.

    Args:
        description: As `describe` gives it, or the content of an embedded checkpoint's `metadata.json`.
        repo_id: Where it is published; None for an embedded checkpoint.
        with_code: Whether the repository holds the method's code too.

    Raises:
        ValueError: If the description lacks something that a card must say.
    """
    import jinja2

    context = {**_OPTIONAL, **description}
    name = context["name"]
    scores = context["scores"]
    used = [metric for metric in METRICS if any(metric in _metrics(score) for score in scores)]
    context |= {
        "reference": repo_id or name,
        "where": f'"{repo_id}"' if repo_id else f'ifl_hub.checkpoint_path("{name}")',
        "with_code": with_code,
        "words": ("fake", "real") if context["task"] == "face_classification" else ("forged", "authentic"),
        "remote_task": remote_task(_TASKS.get(context["task"], "")),
        "tables": [_markdown(score_table(score, name)) for score in scores],
        "alarms": [sentence for score in scores for sentence in false_alarms(score)],
        "names": METRICS,
        "used": used,
        "scores_are_held_out": bool(context["training"] and context["training"]["recipe"]),
        "plot": _plot(scores, name),
    }
    try:
        return _environment().get_template("model_card.md.jinja").render(**context)
    except jinja2.UndefinedError as error:
        raise ValueError(str(error.message)) from error


def render_citation(description: Mapping[str, Any]) -> str:
    """The citation file (CITATION.cff) of a described checkpoint: the weights, and the paper of the method."""
    return _environment().get_template("CITATION.cff.jinja").render(**description)


def plot_name(name: str) -> str:
    """The file of the card's plot, beside the card."""
    return f"{name}-robustness.png"


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"three": three, "duration": _duration, "quoted": json.dumps, "to_json": _to_json}
    return environment


def _metrics(score: Mapping[str, Any]) -> set[str]:
    methods = score["methods"].values() if "methods" in score else [score["values"]]
    return {metric for values in methods for metric, value in values.items() if value is not None}


def _plot(scores: Sequence[Mapping[str, Any]], name: str) -> dict[str, str] | None:
    score = plotted(scores)
    if score is None:
        return None
    conditions = score["robustness"]
    columns = [metric for metric in METRICS if any(metric in values for values in conditions.values())]
    rows = [[condition, *(three(values.get(metric)) for metric in columns)] for condition, values in conditions.items()]
    table = _markdown([["condition", *(METRICS[metric][0] for metric in columns)], *rows])
    return {"file": plot_name(name), "title": robustness_title(score), "table": table}


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the head first, as a table."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _to_json(values: Any) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False)
