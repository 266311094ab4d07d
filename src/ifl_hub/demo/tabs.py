"""What the tabs have in common: how uploads are asked for, how events queue, how examples look."""

from typing import Any

import gradio as gr

from .examples import Example
from .pictures import MAX_FILE_MB, MAX_MEGAPIXELS

#: Uploads, as browsers ask for them; pictures of unusual formats by their suffixes.
PICTURES = ["image", ".mpo", ".heic", ".heif", ".avif", ".jp2", ".j2k"]
LIMITS = f"JPEG, PNG, TIFF, WebP, …; up to {MAX_FILE_MB} MB and {MAX_MEGAPIXELS} megapixels."
#: Events that run a model, one at a time.
AS_MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
#: Events that do not.
QUICK: dict[str, Any] = {"concurrency_id": "quick", "concurrency_limit": 4, "api_visibility": "private"}


def note(text: str) -> None:
    """A small line."""
    gr.HTML(f'<p class="ifl-small">{text}</p>', padding=False)


def add_examples(examples: tuple[Example, ...], title: str, classes: str = "") -> list[tuple[gr.Button, Example]]:
    """A button each, with a small picture."""
    note(title)
    with gr.Row(elem_classes=f"ifl-examples {classes}"):
        return [
            (gr.Button(example.title, icon=str(example.path), elem_classes="ifl-example", min_width=110), example)
            for example in examples
        ]


def show(element: str) -> str:
    """JavaScript that scrolls to an element where a phone would not show it."""
    return f"""() => {{
      const element = document.getElementById("{element}"), top = element.getBoundingClientRect().top;
      if (top < 0 || top > innerHeight * 0.6) element.scrollIntoView({{block: "start"}});
    }}"""
