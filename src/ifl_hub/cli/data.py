"""`ifl-hub data`: other people's data sets into one form on disk, split, checked, synthesized."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from .errors import CommandError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
_SHOWN = 10


@app.callback()
def data() -> None:
    """Data sets of forgeries: import, split, check, synthesize."""


@app.command("import")
def import_(
    kind: Annotated[str | None, typer.Argument(help="What it is; `--kinds` lists what can be imported.")] = None,
    source: Annotated[Path | None, typer.Argument(metavar="SRC", help="The data set's folder, or its list.")] = None,
    folder: Annotated[Path | None, typer.Argument(metavar="DST", help="Where to; a folder of its own.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard-link pictures instead of copying them.")] = False,
    kinds: Annotated[bool, typer.Option("--kinds", help="List what can be imported, and how it must lie.")] = False,
) -> None:
    """Bring a data set into the form that everything here, and `datasets`, reads.

    Pictures keep their bytes; masks become black and white PNGs. What was left out, and why, is in import_report.json.
    A second run goes on where the first stopped.
    """
    from ..data.importers import LAYOUTS, import_dataset
    from ..data.schema import DataFormatError

    if kinds:
        for layout in LAYOUTS.values():
            typer.echo(f"{layout.kind:<18} {layout.title}: {layout.expects}")
        return
    if kind is None or source is None or folder is None:
        raise CommandError("give KIND SRC DST; `ifl-hub data import --kinds` lists the kinds")
    try:
        report = import_dataset(kind, source, folder, link)
    except (DataFormatError, OSError) as error:
        raise CommandError(str(error)) from error
    for what, count in report.counts.items():
        typer.echo(f"{count:>8}  {what}")
    for note, count in report.notes.items():
        typer.echo(f"{count:>8}  note: {note}")
    for reason, count in Counter(entry.reason for entry in report.skipped).most_common(_SHOWN):
        typer.echo(f"{count:>8}  left out: {reason}")
    typer.echo(f"{report.imported} pictures in {folder}, {report.copied} of them copied now")


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set with a metadata.jsonl.")],
    train: Annotated[float, typer.Option(min=0, help="Share of the groups to train on.")] = 0.8,
    validation: Annotated[float, typer.Option(min=0, help="Share of the groups to validate with.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, help="Share of the groups to test with.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
) -> None:
    """Give every group of pictures its split, by a hash of its name: nothing that belongs together is parted.

    Written into metadata.jsonl; files stay where they are. Pictures that come later change nothing for those there.
    """
    from ..data.schema import DataFormatError, count_by, read_metadata, write_metadata
    from ..data.splits import assign_splits

    try:
        rows = assign_splits(read_metadata(folder), {"train": train, "validation": validation, "test": test}, seed)
        write_metadata(folder, rows)
    except (DataFormatError, OSError) as error:
        raise CommandError(str(error)) from error
    for what, count in count_by(rows, "split", "label").items():
        typer.echo(f"{count:>8}  {what}")
