"""Entry point of `ifl-hub`: collects the verbs and turns a user's mistake into one line."""

import sys

import typer

from . import data
from .demo import demo
from .detect import detect
from .errors import CommandError
from .evaluate import evaluate
from .export import export
from .localize import localize
from .models import models
from .push import push
from .train import train

app = typer.Typer(
    help="Image forgery localization: find what was changed in a photo, and which faces are fake.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(localize)
app.command()(detect)
app.command()(evaluate)
app.command()(train)
app.command()(demo)
app.command()(models)
app.command()(export)
app.command()(push)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; exit code 2 for a command that makes no sense, 1 if single pictures failed."""
    try:
        app(prog_name="ifl-hub")
    except CommandError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
