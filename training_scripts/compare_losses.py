r"""What the parts of a method's objective change: the rows of its paper's ablation table, each with several seeds.

    python training_scripts/compare_losses.py --ablation ncl_losses --pictures DIR --out runs/ncl-losses
    python training_scripts/compare_losses.py --ablation safl_net_plugins --pictures DIR --out runs/safl-net-plugins \
        --rows "1: baseline" "4: BGM" --test forgery/casia1:validation
    python training_scripts/compare_losses.py --ablation exposing_deception_losses --data FACES --out runs/face-losses \
        --folds 3

An ablation is a YAML file in `ifl_hub/training/ablations`: a recipe, and overrides for each row. Runs of one seed see
the same samples, and all are judged on the same validation samples: of --data those that it holds out; of --pictures
alone the same forgeries of photos that none was trained on. --folds adds a cross-validation over all labelled faces, in
which no group is in two folds. Run it again to continue after an interruption. `table.md`
and `results.json` in the output folder hold the scores; of localizers per-image means over forged images, F1 at 0.5,
and the share of authentic images' pixels that is marked; of face classifiers also the 95 % interval of the frame AUC,
from whole videos drawn with replacement.
"""

import argparse
import functools
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm
from transformers import pipeline

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub.data import ForgerySynthesizer
from ifl_hub.data.photos import PhotoPool
from ifl_hub.data.schema import read_metadata
from ifl_hub.evaluation import mean_of, read_labelled_images, score_images
from ifl_hub.evaluation.faces import FaceScore, folds_of, score_faces
from ifl_hub.files import write_atomically
from ifl_hub.training.ablation import LOCALIZATION_SCORES, Ablation, Scores, ablation_table, load_ablation
from ifl_hub.training.engine import Trainer
from ifl_hub.training.face_classification import FaceClassificationTask
from ifl_hub.training.labelled import LabelledData
from ifl_hub.training.localization import LocalizationTask
from ifl_hub.training.sources import ENDLESS, Sources, photo_pools
from ifl_hub.training.task import SampleSource, Task, build_task

VALIDATION_SEED = 1_000_003
Results = dict[str, dict[str, dict[int, Scores]]]  # by data set, row and seed


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ablation", required=True, help="name of a shipped ablation, or a YAML file")
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], help="folders of photos and RGBA cut-outs")
    parser.add_argument("--data", nargs="+", default=[], metavar="DIR[:SPLIT]", help="labelled forgeries, or faces")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="these rows only; the first is compared with")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=0, help="of a cross-validation over faces; 0 for none")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe value")
    parser.add_argument("--test", nargs="+", default=[], metavar="DIR[:SPLIT]", help="imagefolders to score as well")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        ablation = load_ablation(arguments.ablation)
        ablation = ablation.only(arguments.rows) if arguments.rows else ablation
        if arguments.test and ablation.scores != LOCALIZATION_SCORES:
            raise ValueError("--test scores localizers; this ablation's rows are judged on their validation samples")
        results = run_all(ablation, arguments)
        if arguments.folds:
            results |= cross_validate(ablation, arguments)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    write_atomically(arguments.out / "results.json", json.dumps(results, indent=2).encode())
    tables = "\n".join(f"{data}\n\n{ablation_table(rows, ablation)}" for data, rows in results.items())
    write_atomically(arguments.out / "table.md", tables.encode())
    logging.info("%s", tables)


def run_all(ablation: Ablation, arguments: argparse.Namespace) -> Results:
    """Train and score every row with every seed."""
    results: Results = {}
    for row in ablation.rows:
        for seed in arguments.seeds:
            folder = run_folder(arguments.out, row, f"seed{seed}")
            scores = {"validation": train(ablation, row, seed, folder, arguments)}
            scores |= {data: score(folder / "final", data) for data in arguments.test}
            for data, values in scores.items():
                results.setdefault(data, {}).setdefault(row, {})[seed] = values
    return results


def train(ablation: Ablation, row: str, seed: int, folder: Path, arguments: argparse.Namespace) -> Scores:
    """Train one row with one seed, or continue it; the scores of its last validation."""
    recipe = ablation.row_recipe(row, seed, arguments.set)
    task = build_task(recipe)
    train_data, validation_data = samples(task, ablation, arguments)
    return trained(task, train_data, validation_data, folder, ablation, arguments.workers)


def cross_validate(ablation: Ablation, arguments: argparse.Namespace) -> Results:
    """Train every row on all folds but one, for each in turn; the fold's number is the seed.

    Returns:
        The scores of each fold, and those of all faces together, each judged by the network that saw nothing of its
        group.
    """
    if len(arguments.data) != 1 or arguments.folds < 2:
        raise ValueError("--folds needs 2 or more, and --data one folder of faces")
    folder = Path(LabelledData.parse(arguments.data[0]).path)
    faces = read_metadata(folder)
    folds = folds_of(faces, arguments.folds)
    names = f"each of {arguments.folds} folds", "all folds together"
    results: Results = {name: {row: {} for row in ablation.rows} for name in names}
    for row in ablation.rows:
        held_out: list[FaceScore] = []
        for fold in range(arguments.folds):
            task = build_task(ablation.row_recipe(row, fold, arguments.set))
            if not isinstance(task, FaceClassificationTask):
                raise ValueError("--folds is for ablations of face classifiers")
            train_data = task.labelled(folder, [face for face, own in zip(faces, folds, strict=True) if own != fold])
            shown = task.shown(folder, [face for face, own in zip(faces, folds, strict=True) if own == fold])
            run = run_folder(arguments.out, row, f"fold{fold}of{arguments.folds}")
            results[names[0]][row][fold] = trained(task, train_data, shown, run, ablation, arguments.workers)
            held_out += read_scores(run)
        together = with_bounds(score_faces(held_out))
        results[names[1]][row][0] = {name: together[name] for name in ablation.scores}
    return results


def run_folder(out: Path, row: str, name: str) -> Path:
    """Where one run of a row lies."""
    return out / f"{''.join(c for c in row if c.isalnum() or c in '+_')}-{name}"


def trained(
    task: Task, train_data: SampleSource, validation_data: SampleSource, folder: Path, ablation: Ablation, workers: int
) -> Scores:
    """Train, or continue; the scores of the last validation."""
    if not (folder / "final").is_dir():
        Trainer(task, train_data, validation_data, folder, workers).run()
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = next(row for row in reversed(rows) if "loss" not in row)
    if isinstance(task, FaceClassificationTask):
        last |= with_bounds(score_faces(read_scores(folder)))
    return {name: last.get(name) for name in ablation.scores}


def read_scores(folder: Path) -> list[FaceScore]:
    """The last validation of a face classifier."""
    rows = [json.loads(line) for line in (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()]
    return [FaceScore(row["score"], bool(row["label"]), tuple(row["video"])) for row in rows]


def with_bounds(scores: dict[str, Any]) -> dict[str, Any]:
    """What `score_faces` gives, with the 95 % interval of the frame AUC: `image_auc_low` and `image_auc_high`."""
    low, high = scores["intervals"]["image_auc"] or (None, None)
    return {**scores, "image_auc_low": low, "image_auc_high": high}


def samples(task: Task, ablation: Ablation, arguments: argparse.Namespace) -> tuple[SampleSource, SampleSource]:
    """What a run learns from and is judged on; forgeries that all runs are judged on alike where they are made."""
    recipe = task.recipe
    if arguments.data or not isinstance(task, LocalizationTask):
        data = tuple(LabelledData.parse(text) for text in arguments.data)
        return task.build_data(Sources(tuple(arguments.pictures), data))
    if not arguments.pictures:
        raise ValueError("name what to learn from: --pictures for photos, --data for what is labelled")
    photos, others = decoded_pools(tuple(arguments.pictures), recipe.pictures)
    return (
        ForgerySynthesizer(photos, recipe.crop_size, recipe.seed, recipe.mixture, length=ENDLESS),
        ForgerySynthesizer(others, ablation.validation_size, VALIDATION_SEED, recipe.mixture),
    )


@functools.cache
def decoded_pools(folders: tuple[Path, ...], manifest: str | None) -> tuple[PhotoPool, PhotoPool]:
    """The photo pools, which keep what they have decoded from one run to the next."""
    return photo_pools(folders, manifest)


def score(model: Path, data: str) -> Scores:
    """The scores of trained weights on an imagefolder, `DIR` or `DIR:SPLIT`."""
    folder, _, split = data.partition(":")
    images = read_labelled_images(folder, split or None)
    localizer = pipeline("image-forgery-localization", model=str(model))

    def localize(image: Image.Image) -> np.ndarray:
        return localizer(image)["heatmap"]

    scores = score_images(tqdm(images, desc=f"{model.parent.name} on {data}"), localize)
    forged = [row for row in scores if row.pixel_f1 is not None]
    authentic = [row for row in scores if row.pixel_f1 is None]
    return {
        "pixel_auc": mean_of(forged, "pixel_auc"),
        "pixel_f1": mean_of(forged, "pixel_f1"),
        "authentic_fpr": mean_of(authentic, "flagged_area"),
    }


if __name__ == "__main__":
    main()
