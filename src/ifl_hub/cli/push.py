"""`ifl-hub push`: a checkpoint becomes a repository on the Hub, complete and checked, or nothing is sent."""

import re
from pathlib import Path
from typing import Annotated

import typer

from ..checkpoints import checkpoint_path, list_checkpoints
from .errors import CommandError
from .job import silence_libraries

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")


def push(
    checkpoint: Annotated[str, typer.Argument(help="An embedded model, or a folder such as RUN/final.")],
    repo: Annotated[str, typer.Argument(help="organisation/name on the Hub; made if it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Nobody else may see it.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to upload to. Default: the main one.")] = None,
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Also the method's code, for machines without ifl-hub.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, show the card, send nothing.")] = False,
    licence: Annotated[str | None, typer.Option(help="Of weights that do not state it, such as apache-2.0.")] = None,
    trained_on: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE=LICENCE", help="Training data of weights that do not state it; repeatable."),
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="A results.json of `ifl-hub evaluate` for the card; repeatable.")
    ] = None,
) -> None:
    """Publish a checkpoint on the Hub: model, processor, card, structured results, licence, citation.

    Everything is checked first: safetensors only, weights finite and loadable, card complete, licence known, no
    absolute paths. If a check fails, nothing is sent.
    """
    try:
        from ..hub.push import PublishingError, prepare, upload
    except ImportError as error:
        raise CommandError(f"publishing needs more packages ({error}): pip install 'ifl-hub[report]'") from error

    silence_libraries()
    if not _REPO_ID.fullmatch(repo):
        raise CommandError(f"{repo!r} is no repository: give organisation/name")
    pairs = [_pair(text) for text in trained_on or ()]
    try:
        with prepare(_folder(checkpoint), repo, with_code, licence, pairs, results or ()) as repository:
            sizes = repository.sizes
            typer.echo(f"{repo}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB")
            for name, size in sizes.items():
                typer.echo(f"  {size:>12,}  {name}")
            if repository.left_out:
                typer.echo(f"left out: {', '.join(repository.left_out)}")
            if dry_run:
                typer.echo(f"\n{(repository.folder / 'README.md').read_text(encoding='utf-8')}")
                typer.echo("all checks passed; nothing was sent (dry run)")
                return
            typer.echo(f"uploaded: {upload(repository, private, revision)}")
    except ImportError as error:
        raise CommandError(f"{error.name} is missing: pip install 'ifl-hub[report]' and call again") from error
    except PublishingError as error:
        raise CommandError("nothing was sent: " + "; ".join(str(error).splitlines())) from error
    except (ValueError, OSError) as error:
        raise CommandError(f"nothing was sent: {error}") from error


def _folder(checkpoint: str) -> Path:
    if checkpoint in list_checkpoints():
        return Path(checkpoint_path(checkpoint))
    if not Path(checkpoint).is_dir():
        embedded = ", ".join(list_checkpoints())
        raise CommandError(f"no checkpoint {checkpoint!r}: give a folder, or one of {embedded}")
    return Path(checkpoint)


def _pair(text: str) -> tuple[str, str]:
    source, _, licence = text.rpartition("=")
    if not source.strip() or not licence.strip():
        raise CommandError(f"--trained-on {text!r}: give SOURCE=LICENCE, such as 'my photos=cc0-1.0'")
    return source.strip(), licence.strip()
