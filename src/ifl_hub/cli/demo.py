"""`ifl-hub demo`: the web page, on this machine."""

from typing import Annotated

import typer

from ..checkpoints import DEFAULT_CHECKPOINT
from .errors import CommandError


def demo(
    model: Annotated[
        list[str] | None,
        typer.Option(help="An embedded model, a folder, or organisation/model on the Hub; may be given again."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: the first free one from 7860.")] = None,
) -> None:
    """Open the demo in a browser: upload a picture, see what a model sees in it.

    Everything stays on this machine: no account, no share link, no analytics.
    """
    try:
        from ..demo import launch_demo
    except ModuleNotFoundError as error:
        raise CommandError(f"the demo needs {error.name}: pip install 'ifl-hub[demo]'") from error
    try:
        launch_demo(*(model or [DEFAULT_CHECKPOINT]), host=host, port=port)
    except OSError as error:  # the port
        raise CommandError(f"{error}") from error
