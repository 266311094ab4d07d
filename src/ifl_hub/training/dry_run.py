"""Before a run: is the data fit for it, how long will it take, and how much memory?"""

import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from ..data.doctor.inventory import Item
from ..data.doctor.leakage import check_leakage
from ..data.doctor.reading import Case, read_image
from .engine import Trainer
from .recipe import Recipe
from .sources import Sources
from .task import build_task

if TYPE_CHECKING:
    from datasets import Dataset

    from ..data.schema import Split

#: Findings that make a validation score mean something else than it says.
_FATAL = ("group-leakage", "near-duplicates", "contradicting-duplicates")
_SPLITS: "tuple[Split, Split]" = ("train", "validation")
_TIMED_STEPS = 3


def refuse_leakage(sources: Sources) -> None:
    """Look at every picture once: none that trains may validate too, under whatever name.

    Raises:
        ValueError: If training and validation data share pictures.
        DataFormatError: If the data cannot be read.
    """
    cases = [
        case
        for data in sources.data
        for rows, split in zip(data.rows, _SPLITS, strict=True)
        for case in _cases(rows, split)
    ]
    for found in check_leakage(cases):
        if found.id in _FATAL:
            some = ", ".join(Path(name).name for name in found.files[:2])
            raise ValueError(f"training and validation data share pictures: {some}: {found.message}")


def estimate(recipe: Recipe, sources: Sources) -> str:
    """What a run would train on and cost, as lines to read. It does the first steps, and leaves nothing behind."""
    lines = [f"recipe: {recipe.method}, task {recipe.task}, {recipe.steps} steps of {recipe.batch_size} samples"]
    for data in sources.data:
        train, validation = data.rows
        lines.append(f"{data.path}: {_counts(train)} to train on; {_counts(validation)} to validate with")
    task = build_task(replace(recipe, trackers=()))
    train_data, validation_data = task.build_data(sources)
    lines.append(f"validation: {min(recipe.validation_samples, len(validation_data))} samples")
    with TemporaryDirectory() as scratch:
        trainer = Trainer(task, train_data, validation_data, Path(scratch), num_workers=0)
        seconds = trainer.time_steps(_TIMED_STEPS)
        device = trainer.accelerator.device
        every = sum(parameter.numel() for parameter in trainer.bare_model.parameters())
        learnt = sum(parameter.numel() for parameter in trainer.bare_model.parameters() if parameter.requires_grad)
    hours = seconds * recipe.steps / 3600
    length = f"{hours:.1f} hours" if hours > 1 else f"{60 * hours:.0f} minutes"
    lines.append(f"model: {every / 1e6:.2f} M parameters, {learnt / 1e6:.2f} M of them trained")
    lines.append(f"time: {seconds:.2f} s a step on {device}, about {length} without validation; more where steps wait")
    lines.append(f"memory: {_peak_memory(device) / 1e9:.1f} GB so far")
    return "\n".join(lines)


def _cases(rows: "Dataset", split: "Split") -> Iterator[Case]:
    import datasets

    for number, row in enumerate(rows.cast_column("image", datasets.Image(decode=False))):
        image: dict[str, Any] = row["image"]
        content = image["bytes"] or Path(image["path"]).read_bytes()
        name = image["path"] or f"{row['source']}/{split}/{number}"
        item = Item(name, None, row["label"], row["source"], f"{row['source']}/{row['group']}", split)
        yield Case(item, read_image(content), None)


def _counts(rows: "Dataset") -> str:
    counts = Counter(rows["label"])
    return f"{counts['forged']} forged and {counts['authentic']} authentic pictures"


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
