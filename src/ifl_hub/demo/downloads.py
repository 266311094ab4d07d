"""Files that are made when somebody asks for them, in one click."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

_FOLLOW = """file => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name || file.path.split("/").pop();
  document.body.append(link);
  link.click();
  link.remove();
}"""


def add_download(label: str, make: Callable[..., str], inputs: Sequence[Any], name: str) -> gr.Button:
    """A button that makes a file and then downloads it.

    Args:
        label: What it says.
        make: From the inputs' values to the file's path.
        inputs: Components.
        name: Its element's id.
    """
    button = gr.Button(label, elem_id=name)
    file = gr.File(elem_classes="ifl-hidden")
    made = button.click(
        make, list(inputs), file, concurrency_id="downloads", concurrency_limit=2, api_visibility="private"
    )
    made.success(None, file, js=_FOLLOW)
    return button
