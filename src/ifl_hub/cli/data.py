"""`ifl-hub data`: other people's data sets into one form on disk, split, checked, synthesized."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import CommandError

if TYPE_CHECKING:
    from ..data.doctor import Repairs

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


@app.command()
def check(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A metadata.jsonl with its files, or images/ and masks/.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all of it as JSON.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Rewrite masks that can be repaired without loss.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put back the masks that --fix rewrote.")] = False,
) -> None:
    """Find what silently spoils a data set: pairing, masks, unreadable files, leakage between splits, class shortcuts.

    Exit code 1 if there is an error; warnings and notes leave it at 0. `--fix` touches no image, keeps the original
    masks and a log in DIR/.ifl-hub-originals, and checks again.
    """
    from ..data.doctor import ORIGINALS, check_dataset, repair_dataset, undo_repairs
    from ..data.schema import DataFormatError
    from ..files import write_atomically

    if fix and undo:
        raise CommandError("--fix and --undo contradict each other; give one of them")
    try:
        if undo:
            _echo_repairs(undo_repairs(folder), "put back")
        report = check_dataset(folder, progress=True)
        if fix and any(found.repair for found in report.findings):
            _echo_repairs(repair_dataset(report), f"rewritten, the originals are in {folder / ORIGINALS}")
            report = check_dataset(folder, progress=True)
        if json_file is not None:
            write_atomically(json_file, report.to_json().encode())
    except (DataFormatError, OSError) as error:
        raise CommandError(str(error)) from error
    typer.echo(report.to_text())
    if report.has_errors:
        raise typer.Exit(1)


def _echo_repairs(repairs: "Repairs", what: str) -> None:
    for mask, reason in list(repairs.left.items())[:_SHOWN]:
        typer.echo(f"left as it is: {mask}: {reason}")
    typer.echo(f"{len(repairs.rewritten)} masks {what}; {len(repairs.left)} left as they are")


@app.command()
def synthesize(
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="Folder of authentic photos and cut-outs.")],
    out: Annotated[Path, typer.Option(help="Folder for the data set; a later run into it goes on.")],
    count: Annotated[int, typer.Option(min=1, help="How many samples the data set has in the end.")] = 1000,
    size: Annotated[int, typer.Option(min=32, help="Side of the samples in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other samples.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 0,
) -> None:
    """Forge photos: splicing, copy-move, removal, retouching, and authentic pictures of the same making.

    PNGs with transparent pixels are objects to paste, all other pictures photos to forge. Same seed, same bytes.
    """
    from ..data import ForgerySynthesizer, PhotoPool
    from ..data.synthesized import write_synthesized
    from ..training.pictures import picture_files

    if out.resolve().is_relative_to(pictures.resolve()):
        raise CommandError(f"{out} lies in {pictures}, where photos are looked for; choose a folder outside of it")
    try:
        pool = PhotoPool.from_files(picture_files(pictures), pictures)
        made = write_synthesized(ForgerySynthesizer(pool, size, seed), out, count, workers)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    except RuntimeError as error:  # of a worker it comes with a traceback before its last line
        raise CommandError(str(error).strip().splitlines()[-1]) from error
    typer.echo(f"{count} samples in {out}, {made} of them made now")
