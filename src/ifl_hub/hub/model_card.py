"""Model cards, rendered from a checkpoint's `metadata.json`: no number in a card is ever typed by hand."""

import json
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"
#: By the metadata's `task`, which is the recipe's.
CARDS = {"localization": "model_card.md.jinja", "face_classification": "face_card.md.jinja"}


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
    import jinja2

    metadata = json.loads((Path(checkpoint) / "metadata.json").read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = _number
    try:
        return environment.get_template(CARDS[metadata.get("task", "localization")]).render(**metadata)
    except jinja2.UndefinedError as error:
        raise ValueError(f"{checkpoint}/metadata.json: {error.message}; a card must say it") from error


def _number(value: Any) -> str:
    """Three decimals, a dash for unknown."""
    return "-" if value is None else f"{value:.3f}"
