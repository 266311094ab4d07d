"""`ifl-hub data`: other people's data sets into one form on disk, split, checked, synthesized."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def data() -> None:
    """Data sets of forgeries: import, split, check, synthesize."""
