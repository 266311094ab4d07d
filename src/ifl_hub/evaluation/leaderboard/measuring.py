"""From test sets to statistics: whatever is not measured yet, through the store that `ifl-hub evaluate` uses."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ...checkpoints import DEFAULT_CHECKPOINT, checkpoint_path, list_checkpoints
from ...files import file_sha256
from ...image_processing import IflImageProcessor
from ...image_processing.scoring import calibrate, reduce_to_score
from ...metrics import ImageCounts, get_definition, image_counts
from ..baselines import BASELINES, PREFIX
from ..labelled_images import read_labelled_images
from ..localizers import NamedLocalizer, baseline_localizer, model_localizer
from ..predicting import predict_missing
from ..robustness import Condition, parse_grid
from ..store import EvaluationFolder, ImageRecord
from .statistics import (
    STATISTICS,
    TEST_SETS,
    RunStatistics,
    TestImage,
    TestSet,
    load_speed,
    load_statistics,
    save_images,
    save_run,
    save_speed,
)

#: The conditions of the robustness areas, on the first of `TEST_SETS` only.
ROBUSTNESS = (
    *("jpeg_quality_90", "jpeg_quality_70", "jpeg_quality_50", "gaussian_blur_sigma_1.0_px"),
    *("gaussian_blur_sigma_2.0_px", "gaussian_noise_std_3.0_levels", "gaussian_noise_std_10.0_levels"),
    *("resize_factor_0.75", "resize_factor_0.5"),
)
#: How many forged pictures the areas rest on: those whose sha256 come first.
ROBUSTNESS_IMAGES = 20
#: What says nothing about robustness, because it looks at nothing.
_CONSTANT = ("all-forged", "all-authentic", "random")
_SPEED_SIDE, _SPEED_RUNS = 512, 5


def leaderboard_names() -> list[str]:
    """The default checkpoint, the other localization checkpoints, the baselines.

    Example:
        >>> leaderboard_names()[0], leaderboard_names()[-1]
        ('safl-net-lite0', 'baseline:copy-move')
    """
    trained = [
        name for name, facts in list_checkpoints().items() if facts.get("task", "localization") == "localization"
    ]
    trained.sort(key=lambda name: name != DEFAULT_CHECKPOINT)
    return [*trained, *(f"{PREFIX}{name}" for name in BASELINES)]


def measure(
    data: Path, work: Path, names: Sequence[str] | None = None, target: Path = STATISTICS, again: bool = False
) -> list[str]:
    """Bring statistics up to date. Interrupted and called again, it goes on.

    Args:
        data: Holds an imagefolder for each of `TEST_SETS` (`TestSet.folder`).
        work: Takes heat maps, hundreds of megabytes; the same folder makes a later call short.
        names: Of `leaderboard_names`; by default all.
        target: Folder of the statistics.
        again: Measure localizers too whose statistics are of these weights, preprocessing and data already.

    Returns:
        What was measured, such as `"comofod/safl-net-lite0"`.

    Raises:
        EvaluationError: If a test set is missing or cannot be judged.
    """
    localizers = [_localizer(name) for name in names or leaderboard_names()]
    known = {one.test_set.name: one for one in load_statistics(target)}
    done = []
    for test_set in TEST_SETS:
        folder, files = _prepare(data, work, test_set)
        images = [_test_image(folder, record) for record in folder.usable()]
        save_images(target / test_set.name, images)
        for localizer in localizers:
            before = known[test_set.name].runs.get(localizer.name) if test_set.name in known else None
            facts = {**localizer.settings, "fingerprint": folder.fingerprint, "score_threshold": _threshold(localizer)}
            if not again and before and all(before.facts.get(key) == value for key, value in facts.items()):
                continue
            counts = _count_conditions(folder, files, localizer, _conditions(test_set, localizer))
            save_run(target / test_set.name, localizer.name, RunStatistics(facts, counts), images)
            done.append(f"{test_set.name}/{localizer.name}")
    return [*done, *_measure_speed(localizers, target, again)]


def checkpoint_localizer(name: str) -> NamedLocalizer:
    """An embedded checkpoint as `ifl-hub evaluate` knows it."""
    folder = Path(checkpoint_path(name))
    return model_localizer(name, folder, file_sha256(folder / "model.safetensors"))


def _localizer(name: str) -> NamedLocalizer:
    return baseline_localizer(name) if name.startswith(PREFIX) else checkpoint_localizer(name)


def _prepare(data: Path, work: Path, test_set: TestSet) -> tuple[EvaluationFolder, dict[str, Path]]:
    images = read_labelled_images(data / test_set.folder, test_set.split)
    with tqdm(total=len(images), desc=test_set.name, disable=None, leave=False) as bar:
        folder = EvaluationFolder.prepare(work / test_set.name, images, test_set.folder, test_set.split, bar.update)
    return folder, {image.name: image.image for image in images}


def _test_image(folder: EvaluationFolder, record: ImageRecord) -> TestImage:
    labels = folder.labels(record)
    return TestImage(
        name=record.name,
        forgery_type=record.forgery_type,
        mask_size=record.mask_size,
        jpeg_quality=record.jpeg_quality,
        height=record.height,
        width=record.width,
        n_forged=int((labels == 1).sum()),
        n_authentic=int((labels == 0).sum()),
    )


def _conditions(test_set: TestSet, localizer: NamedLocalizer) -> list[Condition]:
    if test_set is not TEST_SETS[0] or localizer.name.removeprefix(PREFIX) in _CONSTANT:
        return [Condition()]
    return parse_grid(",".join(ROBUSTNESS))


def _count_conditions(
    folder: EvaluationFolder, files: Mapping[str, Path], localizer: NamedLocalizer, conditions: Sequence[Condition]
) -> dict[str, list[ImageCounts]]:
    few = sorted((r for r in folder.usable() if r.label == "forged"), key=lambda r: r.sha256)[:ROBUSTNESS_IMAGES]
    counts = {}
    for condition in conditions:
        records = few if condition.steps else folder.usable()
        with tqdm(total=len(records), desc=f"{localizer.name} {condition.name}", disable=None, leave=False) as bar:
            predict_missing(folder, records, files, [localizer], [condition], bar.update)
        counts[condition.name] = _count(folder, localizer, condition, records)
    return counts


def _count(
    folder: EvaluationFolder, localizer: NamedLocalizer, condition: Condition, records: Sequence[ImageRecord]
) -> list[ImageCounts]:
    definition, run, score_of = get_definition(), folder.run(localizer, condition), _own_score(localizer)
    counts = []
    for record in records:
        finished, heatmap = run.find(record), run.heatmap(record)
        score = finished.score if finished and finished.score is not None else score_of(heatmap)
        counts.append(image_counts(heatmap, folder.labels(record), definition, score, record.name))
    return counts


def _own_score(localizer: NamedLocalizer) -> Callable[[np.ndarray], float]:
    """How a localizer without a detection head reads a score off its map: as its pipeline does."""
    settings: dict[str, Any] = localizer.settings["preprocessing"] or {}
    how = (settings.get("score_temperature", 1.0), settings.get("score_bias", 0.0))
    reduction = settings.get("score_reduction", get_definition().score_reduction)
    return lambda heatmap: calibrate(reduce_to_score(heatmap, reduction), *how)


def _threshold(localizer: NamedLocalizer) -> float | None:
    """The operating point of a checkpoint's label."""
    if localizer.settings["preprocessing"] is None:
        return None
    return float(IflImageProcessor.from_pretrained(checkpoint_path(localizer.name)).score_threshold)


def _measure_speed(localizers: Sequence[NamedLocalizer], target: Path, again: bool) -> list[str]:
    speeds, done = load_speed(target), []
    for localizer in localizers:
        weights = localizer.settings["weights_sha256"]
        before = speeds.get(localizer.name)
        if again or before is None or before["weights_sha256"] != weights:
            speeds[localizer.name] = {
                "weights_sha256": weights,
                "milliseconds": _milliseconds(localizer),
                "processor": _processor_name(),
            }
            done.append(f"speed/{localizer.name}")
    save_speed(target, speeds)
    return done


def _milliseconds(localizer: NamedLocalizer) -> float:
    """CPU time of one 512x512 picture, median of several; other programs on the machine do not count."""
    noise = np.random.default_rng(0).integers(0, 256, (_SPEED_SIDE, _SPEED_SIDE, 3), dtype=np.uint8)
    picture, predict, times = Image.fromarray(noise), localizer.load(), []
    predict(picture)
    for _ in range(_SPEED_RUNS):
        start = time.process_time()
        predict(picture)
        times.append((time.process_time() - start) * 1000)
    return round(statistics.median(times))


def _processor_name() -> str:
    for line in (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else ()
    ):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
