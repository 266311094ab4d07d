"""What the information losses of Exposing the Deception change on a small network and a folder of labelled faces.

    python training_scripts/compare_face_losses.py --faces DIR --out runs/face-losses

DIR holds a metadata.jsonl with the splits train and validation (`ifl-hub data import`). Every arm runs with every seed
on the official split, and in a cross-validation in which no group is in two folds. Runs of one seed or fold start from
the same blocks and see the same faces. Run it again to continue after an interruption. `table.md` and `results.json` in
the output folder hold the scores.
"""

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageClassification

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub.data.face_samples import LabelledFaces
from ifl_hub.data.schema import ForgeryRow, read_metadata
from ifl_hub.evaluation.faces import FaceScore, score_faces
from ifl_hub.files import write_atomically
from ifl_hub.modeling.exposing_deception.explanation_exposing_deception import attention_overlap, local_attention
from ifl_hub.training import load_recipe
from ifl_hub.training.engine import Trainer
from ifl_hub.training.face_classification import FaceClassificationTask

ARMS = {
    "neither": {"use_lil": False, "use_gil": False},
    "L_GIL": {"use_lil": False},
    "L_LIL": {"use_gil": False},
    "both": {},
}
#: Whatever resamples or compresses a face again would cover the few traces that so small a network finds.
BUDGET = (
    *("pictures=null", "steps=150", "batch_size=24", "warmup_steps=15", "ema_decay=0.97", "validation_every=150"),
    "options={samples: labelled, mixup: 0, augmentation: "
    "{flip: 0.5, placement: 0, colour: 0.3, grey: 0, blur: 0, noise: 0, jpeg: 0}}",
)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder of face crops with a metadata.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=3, help="of the cross-validation; 0 for none")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe value")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        rows = read_metadata(arguments.faces)
        results = {
            "official split": {arm: _official(arm, rows, arguments) for arm in arguments.arms},
            "cross-validation": {arm: _crossed(arm, rows, arguments) for arm in arguments.arms if arguments.folds},
        }
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    write_atomically(arguments.out / "results.json", json.dumps(results, indent=2).encode())
    write_atomically(arguments.out / "table.md", markdown(results).encode())
    logging.info("%s", markdown(results))


def _official(arm: str, rows: Sequence[ForgeryRow], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Scores of each seed on the validation split."""
    train, validation = ([row for row in rows if row.split == split] for split in ("train", "validation"))
    return [summarised([run(arm, seed, train, validation, arguments, f"seed{seed}")], seed) for seed in arguments.seeds]


def _crossed(arm: str, rows: Sequence[ForgeryRow], arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores of all faces, each judged by the network that saw nothing of its group."""
    folds = folds_of(rows, arguments.folds)
    runs = []
    for fold in range(arguments.folds):
        train = [row for row, own in zip(rows, folds, strict=True) if own != fold]
        held_out = [row for row, own in zip(rows, folds, strict=True) if own == fold]
        runs.append(run(arm, fold, train, held_out, arguments, f"fold{fold}"))
    return summarised(runs, 0)


def folds_of(rows: Sequence[ForgeryRow], count: int) -> list[int]:
    """The fold of each row: groups of each kind of face are dealt out in a fixed random order."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        kinds.setdefault(row.forgery_type, []).append(row.group)
    fold_of_group: dict[str, int] = {}
    for kind in sorted(kinds):
        groups = sorted(set(kinds[kind]) - fold_of_group.keys())
        for place, number in enumerate(np.random.default_rng(0).permutation(len(groups))):
            fold_of_group[groups[number]] = place % count
    return [fold_of_group[row.group] for row in rows]


def run(
    arm: str,
    seed: int,
    train: Sequence[ForgeryRow],
    held_out: Sequence[ForgeryRow],
    arguments: argparse.Namespace,
    name: str,
) -> dict[str, Any]:
    """Train one arm, or continue it; its score of every held-out face, and how much its blocks' attention overlaps."""
    switches = [f"config.{key}={json.dumps(value)}" for key, value in ARMS[arm].items()]
    recipe = load_recipe("exposing_deception_small", [*BUDGET, *arguments.set, *switches, f"seed={seed}"])
    task = FaceClassificationTask(recipe)
    shown = LabelledFaces(arguments.faces, held_out, recipe.crop_size)
    folder = arguments.out / f"{arm}-{name}"
    done = folder / "scores.json"
    if not done.exists():
        final = Trainer(task, task.labelled(arguments.faces, train), shown, folder, num_workers=0).run()
        model = AutoModelForImageClassification.from_pretrained(final).eval()
        with torch.no_grad():
            rows = task.predict(model, shown)
        overlap = _overlap(task, model, shown)
        write_atomically(done, json.dumps({"rows": rows, "overlap": overlap}).encode())
    return json.loads(done.read_text(encoding="utf-8"))


def _overlap(task: FaceClassificationTask, model: Any, data: LabelledFaces) -> float:
    """Mean overlap of the blocks' Grad-CAM over the fake faces."""
    images = [data[index]["image"] for index in range(len(data)) if data[index]["label"]]
    pixels = task.processor(images)["pixel_values"]
    overlaps = attention_overlap(local_attention(model, pixels)[0])
    return float(overlaps.nanmean())


def summarised(runs: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Scores of the faces of one or more runs together."""
    frames = [
        FaceScore(row["score"], bool(row["label"]), tuple(row["video"])) for single in runs for row in single["rows"]
    ]
    scores = score_faces(frames, seed)
    kept = ("image_auc", "video_auc", "image_acc", "frames", "videos", "intervals", "by_method")
    folds = [
        score_faces([FaceScore(r["score"], bool(r["label"]), tuple(r["video"])) for r in one["rows"]]) for one in runs
    ]
    return {
        **{name: scores[name] for name in kept},
        "aucs": [fold["image_auc"] for fold in folds],
        "overlap": statistics.mean(single["overlap"] for single in runs),
    }


def markdown(results: dict[str, Any]) -> str:
    """One table for the official split, one for the cross-validation."""
    lines = [
        "| losses | frame AUC of each seed (95 % over videos) | mean frame AUC | mean video AUC | overlap |",
        "|---|---|---|---|---|",
    ]
    for arm, runs in results["official split"].items():
        if runs:
            each = ", ".join(f"{one['image_auc']:.3f} ({_span(one['intervals']['image_auc'])})" for one in runs)
            means = [statistics.mean(one[name] for one in runs) for name in ("image_auc", "video_auc", "overlap")]
            lines.append(f"| {arm} | {each} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    if results["cross-validation"]:
        lines += [
            "",
            "| losses | frame AUC of each fold | all folds together (95 % over videos) | video AUC | overlap |",
            "|---|---|---|---|---|",
        ]
    for arm, one in results["cross-validation"].items():
        folds = ", ".join(f"{value:.3f}" for value in one["aucs"])
        interval = _span(one["intervals"]["image_auc"])
        lines.append(
            f"| {arm} | {folds} | {one['image_auc']:.3f} ({interval}) | {one['video_auc']:.3f} | {one['overlap']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _span(interval: Sequence[float] | None) -> str:
    return "undefined" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


if __name__ == "__main__":
    main()
