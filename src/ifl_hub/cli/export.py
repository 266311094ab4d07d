"""`ifl-hub export`: a checkpoint as a program for another runtime."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..messages import first_line
from .errors import CommandError
from .job import silence_libraries
from .models import find_model


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(help="An embedded localization model (see `ifl-hub models`), a folder, or organisation/model."),
    ],
    format: Annotated[
        Literal["onnx", "openvino", "torch-export"],
        typer.Option(help="For ONNX Runtime, for OpenVINO, or torch's own."),
    ],
    out: Annotated[Path, typer.Option(help="New folder; `ifl-hub localize --model` takes it like a checkpoint.")],
) -> None:
    """Export a localization model to another runtime, if it then gives the same maps.

    The program takes pictures of any size. It is compared with the checkpoint at several sizes; one whose probabilities
    differ by more than 1e-4 is not written.
    """
    silence_libraries()
    from ..export import export_checkpoint
    from ..export.exporting import CHECKED_SIZES

    folder = find_model(checkpoint)
    try:
        with _silence():
            difference = export_checkpoint(folder.path, format, out)
    except ImportError as error:
        raise CommandError(f'{first_line(error)}: pip install "ifl-hub[export]"') from error
    except (ValueError, OSError) as error:
        raise CommandError(f"{folder.name}: {first_line(error)}") from error
    sizes = ", ".join("x".join(map(str, size)) for size in CHECKED_SIZES)
    typer.echo(f"{out}: {format}, probabilities within {difference:.1e} of the checkpoint's ({sizes})")


@contextmanager
def _silence() -> Iterator[None]:
    """No steps of an ONNX export, which torch prints, and no warnings of what it has no use for."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
