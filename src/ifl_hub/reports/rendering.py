"""The templates of the reports, filled in: everything escaped, nothing undefined."""

from pathlib import Path
from typing import Any

from .overlay import COLOUR_MAP

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **context: Any) -> str:
    """Fill in one of `templates/`.

    Raises:
        ImportError: If Jinja is not installed; the message says how to.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('reports need jinja2: pip install "ifl-hub[report]"') from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(colour_bar=_colour_bar(), **context)


def _colour_bar() -> str:
    """The colour map as a CSS gradient, from probability 0 to 1."""
    stops = (", ".join(str(round(float(value))) for value in COLOUR_MAP[index]) for index in range(0, 256, 51))
    return f"linear-gradient(to right, {', '.join(f'rgb({stop})' for stop in stops)})"
