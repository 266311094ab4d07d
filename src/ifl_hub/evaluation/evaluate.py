"""The whole of an evaluation in one call: take down the images, make the maps that are missing, score, compare."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..metrics import Definition
from ..processes import own_share, process_rank, wait_for_all
from .baselines import PREFIX
from .curves import robustness_curves
from .labelled_images import EvaluationError, read_labelled_images
from .localizers import NamedLocalizer
from .predicting import predict_missing
from .protocols import Protocol, ProtocolDataset
from .report import Evaluation
from .robustness import Condition, parse_condition
from .scores import main_key, score_run
from .store import EvaluationFolder, PredictionRun, common_images


def evaluate_folder(
    out: Path,
    data: Path,
    localizers: Sequence[NamedLocalizer],
    definition: Definition,
    split: str | None = None,
    conditions: Sequence[Condition] = (Condition(),),
    protocol: Protocol | None = None,
) -> Evaluation | None:
    """Judge localizers on an imagefolder. Interrupted and called again, it goes on and ends with the same numbers.

    Processes that were launched together share the work. The first returns the result, which is that of one process,
    and the others None.

    Args:
        out: Keeps maps and ground truth; may hold those of an earlier call on the same images.
        data: Imagefolder with `metadata.jsonl`.
        localizers: In the order of the table.
        definition: What the numbers mean.
        split: Of the data; None for all rows.
        conditions: Of a robustness grid, the clean one first.
        protocol: Whose paper's numbers are to be shown beside these.

    Raises:
        EvaluationError: If the data or the folder do not fit what is asked.
        ValueError: As `read_labelled_images`.
    """
    images = read_labelled_images(data, split)
    if process_rank() == 0:
        with tqdm(total=len(images), unit="image", desc="reading", disable=None, leave=False) as bar:
            EvaluationFolder.prepare(out, images, data.resolve().name, split, bar.update)
    wait_for_all()
    folder = EvaluationFolder(out)
    if not folder.usable():
        raise EvaluationError(f"{data}: no image can be scored; the first: {folder.records[0].skipped}")
    test_set = protocol.dataset(_only_source(folder)) if protocol else None
    files = {image.name: image.image for image in images}
    total = len(localizers) * len(conditions) * len(own_share(folder.usable()))
    with tqdm(total=total, unit="map", desc="predicting", disable=None, leave=False) as bar:
        predict_missing(folder, folder.usable(), files, localizers, conditions, bar.update)
    wait_for_all()
    if process_rank() > 0:
        return None
    runs = [folder.run(localizer, condition) for condition in conditions for localizer in localizers]
    return _score(folder, runs, definition, (protocol, test_set) if protocol and test_set else None)


def rescore_folder(out: Path, definition: Definition, protocol: Protocol | None = None) -> Evaluation:
    """Score all maps of an earlier evaluation by another definition, without the images.

    Args:
        out: Of the earlier evaluation.
        definition: What the numbers mean.
        protocol: Whose paper's numbers are to be shown beside these.

    Raises:
        EvaluationError: If the folder holds no complete evaluation.
    """
    folder = EvaluationFolder(out)
    complete = [run for run in folder.runs() if all(run.find(record) for record in folder.usable())]
    if not complete:
        raise EvaluationError(f"{out} holds no finished run; finish it first: evaluate with the same --out")
    complete.sort(key=_place_in_table)
    test_set = protocol.dataset(_only_source(folder)) if protocol else None
    return _score(folder, complete, definition, (protocol, test_set) if protocol and test_set else None)


def _score(
    folder: EvaluationFolder,
    runs: Sequence[PredictionRun],
    definition: Definition,
    protocol: tuple[Protocol, ProtocolDataset] | None,
) -> Evaluation:
    kept, left_out = common_images(folder.records, runs)
    with tqdm(total=len(kept) * len(runs), unit="map", desc="scoring", disable=None, leave=False) as bar:
        names = _distinct_names(runs)
        scores = [
            score_run(folder, run, name, kept, definition, bar.update) for run, name in zip(runs, names, strict=True)
        ]
    metrics = [key for key in dict.fromkeys((main_key(definition), "pixel_auc", "image_auc")) if key]
    shown = [key for key in metrics if key in definition.reports]
    curves = [curve for metric in shown for curve in robustness_curves(scores, metric)]
    return Evaluation(folder, kept, left_out, definition, scores, shown, curves, protocol)


def _place_in_table(run: PredictionRun) -> tuple[Any, ...]:
    """Conditions by kind and strength, the clean one first; in each the models, then the baselines."""
    steps = [(step.family, step.value) for step in parse_condition(run.facts["condition"]).steps]
    return steps, run.facts["model"].startswith(PREFIX), run.facts["model"], run.identity


def _distinct_names(runs: Sequence[PredictionRun]) -> list[str]:
    """The models' names; those that stand for several weights or settings with a hash of these."""
    identities: dict[str, set[str]] = {}
    for run in runs:
        identities.setdefault(run.facts["model"], set()).add(run.identity)
    several = {model for model, found in identities.items() if len(found) > 1}
    models = [(run.facts["model"], run.identity) for run in runs]
    return [f"{model} [{identity}]" if model in several else model for model, identity in models]


def _only_source(folder: EvaluationFolder) -> str:
    sources = sorted({record.source for record in folder.records})
    if len(sources) > 1:
        raise EvaluationError(
            f"a protocol judges one data set at a time, these images come from {', '.join(sources)}; "
            "make a folder of each"
        )
    return sources[0]
