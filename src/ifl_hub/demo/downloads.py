"""Files that are made when somebody asks for them, in one click."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

#: Waits until the link has its new address, then follows it.
_FOLLOW = """async () => {{
  const box = document.getElementById("{name}-file");
  for (let tries = 0; tries < 100; tries++) {{
    const link = box && (box.matches("a") ? box : box.querySelector("a"));
    if (link && link.href && link.href !== box.dataset.done) {{ box.dataset.done = link.href; link.click(); return; }}
    await new Promise(resolve => setTimeout(resolve, 50));
  }}
}}"""


def add_download(label: str, make: Callable[..., str], inputs: Sequence[Any], name: str) -> gr.Button:
    """A button that makes a file and then downloads it.

    Args:
        label: What it says.
        make: From the inputs' values to the file's path.
        inputs: Components.
        name: Its element's id.
    """
    button = gr.Button(label, elem_id=name)
    link = gr.DownloadButton(elem_id=f"{name}-file", elem_classes="ifl-hidden")
    made = button.click(
        make, list(inputs), link, concurrency_id="downloads", concurrency_limit=2, api_visibility="private"
    )
    made.success(None, js=_FOLLOW.format(name=name))
    return button
