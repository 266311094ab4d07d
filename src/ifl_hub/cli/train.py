"""`ifl-hub train`: any recipe, on your own forgeries or photos; also under `accelerate launch`."""

from pathlib import Path
from typing import Annotated

import typer

from .errors import CommandError
from .job import silence_libraries


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on where a run stopped.")],
    data: Annotated[
        list[str] | None, typer.Option(metavar="DIR[:SPLIT][=WEIGHT]", help="Forgeries with their masks; repeatable.")
    ] = None,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of authentic photos and cut-outs, to make forgeries from; repeatable."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune this: an embedded model, a folder, a Hub id."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Name of a shipped recipe, or a YAML file. Default: fine_tune.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe; repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the data, time two steps, say what a run would cost, and stop.")
    ] = False,
) -> None:
    """Train a model, or fine-tune one on your own forgeries.

    Pictures that training and validation share are refused. Several processes:
    `accelerate launch training_scripts/train.py` with the same options.
    """
    if from_ is None and recipe is None:
        raise CommandError("name what to start from, --from MODEL, or what to do, --recipe NAME")
    try:
        from ..training import load_recipe
        from ..training.dry_run import estimate, refuse_leakage
        from ..training.engine import run_recipe
        from ..training.labelled import LabelledData
        from ..training.sources import Sources
    except ImportError as error:
        raise CommandError(f"training needs more packages ({error}): pip install 'ifl-hub[train]'") from error

    silence_libraries()
    overrides = [] if from_ is None else [f"weights={from_}"]
    try:
        settings = load_recipe(recipe or "fine_tune", [*overrides, *(set_ or [])])
        sources = Sources(tuple(pictures or ()), tuple(LabelledData.parse(text) for text in data or ()))
        if settings.task == "localization" and not any(out.glob("checkpoint-*")):
            refuse_leakage(sources)
        if dry_run:
            typer.echo(estimate(settings, sources))
            return
        final = run_recipe(settings, sources, out, workers)
    except (ValueError, OSError, ImportError) as error:
        raise CommandError(str(error)) from error
    typer.echo(f"weights: {final}\nreport: {out / 'training_report.md'}")
