"""Pictures of an evaluation: every localizer side by side, and what the first one got most wrong, with the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..files import atomic_file, write_atomically
from ..image_processing import load_image
from ..metrics import ImageCounts, get_definition, image_counts
from ..metrics.pixel import f1
from ..reports import colour_heatmap
from ..reports.gallery import Cell, comparison_grid, mask_picture
from .explaining import explain, worst_first
from .report import Evaluation
from .robustness import CLEAN
from .store import ImageRecord, PredictionRun

EXAMPLES, WORST = 8, 12
_JPEG_QUALITY = 52


def write_gallery(target: Path, evaluation: Evaluation, files: Mapping[str, Path]) -> None:
    """Write `gallery.jpg`, `worst.jpg` and `worst.md`, all of clean pictures.

    The gallery shows the forged pictures whose sha256 come first, so that nobody chose them; the worst are those of the
    first localizer.

    Args:
        target: Folder.
        evaluation: Whose maps to show.
        files: The picture of each image by name.
    """
    stored = {str(run.facts): run for run in evaluation.folder.runs()}
    runs = {run.model: stored[str(run.facts)] for run in evaluation.scores if run.condition == CLEAN}
    forged = [record for record in evaluation.kept if record.label == "forged"]
    shown = sorted(forged, key=lambda record: record.sha256)[:EXAMPLES]
    _save(target / "gallery.jpg", evaluation, runs, files, shown)
    first = next(iter(runs))
    counted = [_count(evaluation, runs[first], record) for record in forged]
    worst = worst_first(counted)[:WORST]
    by_name = {record.name: record for record in forged}
    _save(target / "worst.jpg", evaluation, runs, files, [by_name[str(row.name)] for row in worst])
    lines = [f"# The worst pictures of {first}, from the top of worst.jpg", ""]
    lines += [
        f"{place}. `{row.name}`: {explain(by_name[str(row.name)].forgery_type, row)}"
        for place, row in enumerate(worst, 1)
    ]
    write_atomically(target / "worst.md", ("\n".join(lines) + "\n").encode())


def _save(
    path: Path,
    evaluation: Evaluation,
    runs: Mapping[str, PredictionRun],
    files: Mapping[str, Path],
    records: Sequence[ImageRecord],
) -> None:
    heads = ["image", "mask", *(Path(name).name for name in runs)]
    sheet = comparison_grid(heads, [_row(evaluation, runs, files[record.name], record) for record in records])
    with atomic_file(path) as file:
        sheet.save(file, format="JPEG", quality=_JPEG_QUALITY)


def _row(evaluation: Evaluation, runs: Mapping[str, PredictionRun], file: Path, record: ImageRecord) -> list[Cell]:
    labels = evaluation.folder.labels(record)
    cells = [Cell(load_image(file).pixels, record.forgery_type), Cell(mask_picture(labels))]
    for run in runs.values():
        score = f1(_count(evaluation, run, record).confusion())
        cells.append(Cell(np.asarray(colour_heatmap(run.heatmap(record))), f"F1 {score:.2f}"))
    return cells


def _count(evaluation: Evaluation, run: PredictionRun, record: ImageRecord) -> ImageCounts:
    labels = evaluation.folder.labels(record)
    return image_counts(run.heatmap(record), labels, get_definition(), name=record.name)
