"""`ifl-hub evaluate`: models and baselines on an imagefolder in one table, every number with its definition."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..checkpoints import DEFAULT_CHECKPOINT
from .errors import CommandError
from .job import silence_libraries
from .models import find_model

if TYPE_CHECKING:
    from ..evaluation import Evaluation, NamedLocalizer, Protocol
    from ..metrics import Definition

_ALL_BASELINES = "baseline:all"


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Embedded model, folder, organisation/model, baseline:NAME or baseline:all; repeatable."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Imagefolder with metadata.jsonl and masks.")] = None,
    split: Annotated[str | None, typer.Option(help="Only the rows of this split.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="What the numbers mean. Default: the protocol's, or default.")
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(help="A number, oracle_image, oracle_dataset or eer. Default: the preset's.")
    ] = None,
    robustness: Annotated[
        str | None, typer.Option(metavar="GRID", help="A named grid, or conditions such as jpeg_quality_90, by commas.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="A paper's table, such as safl_net/table_4: its preset, grid and own numbers.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for maps and results. Default: out/evaluation/DATA-SPLIT.")
    ] = None,
    rescore: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Score the maps of an earlier --out again; needs no images.")
    ] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Also write per_image.parquet.")] = False,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="Also show maps side by side, and the worst pictures with the reason.")
    ] = False,
) -> None:
    """Measure how well models find forgeries, beside baselines.

    Prints one table. Heat maps, per-image numbers (CSV), groups, intervals and the definition go to the results folder;
    a call that was interrupted goes on where it stopped.
    """
    from ..evaluation import EvaluationError, evaluate_folder, find_protocol, parse_grid, rescore_folder

    silence_libraries()
    if (data is None) == (rescore is None):
        raise CommandError("give either --data DIR to judge images, or --rescore DIR to score earlier maps again")
    if rescore is not None and (model or split or robustness or out or gallery):
        raise CommandError(
            "--rescore takes what is there: leave away --model, --split, --robustness, --out and --gallery"
        )
    try:
        paper = find_protocol(protocol) if protocol else None
        definition = _definition(preset, threshold, paper)
        if data is None:
            target = Path(str(rescore))
            evaluation = rescore_folder(target, definition, paper)
        else:
            target = out or Path("out", "evaluation", "-".join(filter(None, (data.resolve().name, split))))
            grid = robustness or (paper.grid if paper else None)
            conditions = parse_grid(grid or "clean")
            localizers = _localizers(model or [DEFAULT_CHECKPOINT])
            done = evaluate_folder(target, data, localizers, definition, split, conditions, paper)
            if done is None:  # the first of several processes reports
                return
            evaluation = done
        results = target / _results_name(definition, threshold)
        evaluation.write(results, parquet)
        if gallery:
            _write_gallery(results, evaluation, Path(str(data)), split)
    except EvaluationError as error:
        raise CommandError(str(error)) from error
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is missing: pip install 'ifl-hub[data]' and call again") from error
    typer.echo(evaluation.table())
    typer.echo(f"results: {results}")


def _write_gallery(results: Path, evaluation: "Evaluation", data: Path, split: str | None) -> None:
    from ..evaluation.gallery import write_gallery
    from ..evaluation.labelled_images import read_labelled_images

    write_gallery(results, evaluation, {image.name: image.image for image in read_labelled_images(data, split)})


def _definition(preset: str | None, threshold: str | None, protocol: "Protocol | None") -> "Definition":
    from ..evaluation import EvaluationError
    from ..metrics import get_definition

    name = preset or (protocol.preset if protocol else "default")
    try:
        return get_definition(name, **({} if threshold is None else {"threshold": _threshold(threshold)}))
    except ValueError as error:
        raise EvaluationError(str(error)) from error


def _threshold(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _localizers(names: Sequence[str]) -> "list[NamedLocalizer]":
    from ..evaluation import BASELINES, PREFIX, baseline_localizer, model_localizer

    every = [f"{PREFIX}{name}" for name in BASELINES]
    wanted = dict.fromkeys(one for name in names for one in (every if name == _ALL_BASELINES else [name]))
    found = []
    for name in wanted:
        if name.startswith(PREFIX):
            found.append(baseline_localizer(name))
        else:
            folder = find_model(name)
            found.append(model_localizer(name, folder.path, folder.weights_sha256()))
    return found


def _results_name(definition: "Definition", threshold: str | None) -> str:
    return f"scores-{definition.preset}" + (f"-threshold-{definition.threshold}" if threshold is not None else "")
