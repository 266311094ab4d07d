r"""Turn a finished run on self-blended faces into an embedded checkpoint: weights, operating point, metadata and card.

    python training_scripts/embed_face_checkpoint.py runs/faces --name exposing-deception-small \
        --recipe exposing_deception_small --pictures DIR --about training_scripts/about_exposing_deception.json \
        --revision $(git rev-parse --short HEAD) --faces FFPP

The faces of `--faces` are only looked at: the card shows what the weights are worth on them.
"""

import argparse
import datetime
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModelForImageClassification

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub.data import SelfBlendedFaces
from ifl_hub.data.face_samples import LabelledFaces, video_key
from ifl_hub.data.schema import read_metadata
from ifl_hub.evaluation.faces import FaceScore, score_faces
from ifl_hub.files import file_sha256, write_atomically
from ifl_hub.hub.description import method_facts
from ifl_hub.hub.model_card import render_model_card
from ifl_hub.image_processing import FaceImageProcessor
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.face_classification import listed_faces, pictures_with_faces
from ifl_hub.training.pictures import manifest_table

ROOT = Path(__file__).parent.parent
CHECKPOINTS = ROOT / "src" / "ifl_hub" / "checkpoints"
SAMPLES = 400
FALSE_ALARM_RATE = 0.1
BATCH = 40


def main() -> None:
    """Copy, calibrate, measure, describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--name", required=True, help="name of the checkpoint")
    parser.add_argument("--recipe", required=True, help="the shipped recipe that the run followed")
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="the gathered pictures")
    parser.add_argument("--about", type=Path, required=True, help="JSON with licence and limits")
    parser.add_argument("--revision", required=True, help="git revision of the code that the run used")
    parser.add_argument("--faces", type=Path, help="a folder of labelled faces to measure on, never trained on")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    recorded = json.loads((arguments.run / "recipe.json").read_text(encoding="utf-8"))
    if recorded["fingerprint"] != recipe.fingerprint():
        sys.exit(f"error: {arguments.run} did not follow the recipe {arguments.recipe} as it stands")
    target = CHECKPOINTS / arguments.name
    target.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        shutil.copyfile(arguments.run / "final" / name, target / name)
    operating_point = calibrate(target, arguments.pictures, recipe)
    scores = [measure_self_blended(target, arguments.pictures, recipe)]
    if arguments.faces:
        scores.append(measure_labelled(target, arguments.faces, recipe))
    metadata = describe(target, arguments, recipe, operating_point, scores)
    write_atomically(target / "metadata.json", json.dumps(metadata, indent=1, ensure_ascii=False).encode() + b"\n")
    card = render_model_card(target).encode()
    write_atomically(target / "README.md", card)
    write_atomically(ROOT / "model_cards" / f"{arguments.name}.md", card)


@torch.no_grad()
def scores_of(target: Path, images: Sequence[np.ndarray]) -> list[float]:
    """P(fake) of faces."""
    model = AutoModelForImageClassification.from_pretrained(target).eval()
    processor = FaceImageProcessor.from_pretrained(target)
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    logits = [model(processor(batch)["pixel_values"]).logits for batch in tqdm(batches, desc=target.name)]
    return torch.cat(logits).softmax(-1)[:, 1].tolist()


def blended(pictures: list[Path], recipe: Recipe, seed: int) -> list[dict[str, Any]]:
    """Self-blended faces, and their untouched twins, of photos that were never trained on."""
    faces = listed_faces(pictures, str(recipe.pictures), "validation")
    samples = SelfBlendedFaces(faces, recipe.crop_size, recipe.seed + seed)
    return [samples[index] for index in range(SAMPLES)]


def calibrate(target: Path, pictures: list[Path], recipe: Recipe) -> dict[str, Any]:
    """Put the label's threshold where a tenth of the untouched twins is called fake."""
    samples = blended(pictures, recipe, seed=2)
    values = np.array(scores_of(target, [sample["image"] for sample in samples]))
    fake = np.array([bool(sample["label"]) for sample in samples])
    processor = FaceImageProcessor.from_pretrained(target)
    processor.score_threshold = float(np.round(np.quantile(values[~fake], 1 - FALSE_ALARM_RATE), 3))
    processor.save_pretrained(target)
    return {
        "description": (
            f"Set on {SAMPLES} self-blended faces and untouched twins of photos that were never trained on: the score "
            f"above which {FALSE_ALARM_RATE:.0%} of the twins lie."
        ),
        "threshold": processor.threshold,
        "score_threshold": processor.score_threshold,
        "sensitivity": float((values[fake] > processor.score_threshold).mean()),
        "false_alarm_rate": float((values[~fake] > processor.score_threshold).mean()),
        "n_forged": int(fake.sum()),
        "n_authentic": int((~fake).sum()),
    }


def measure_self_blended(target: Path, pictures: list[Path], recipe: Recipe) -> dict[str, Any]:
    """Scores on other self-blended faces of the held-out photos; a face with all its samples is drawn at once."""
    samples = blended(pictures, recipe, seed=3)
    values = scores_of(target, [sample["image"] for sample in samples])
    frames = [
        FaceScore(value, bool(s["label"]), ("photos", ("none", "self-blended")[s["label"]], s["record"]["face"]))
        for value, s in zip(values, samples, strict=True)
    ]
    return _entry("Self-blended faces of held-out photos", frames, "photos", ("image_auc", "image_acc"))


def measure_labelled(target: Path, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Scores on a folder of real and fake faces."""
    rows = read_metadata(folder)
    data = LabelledFaces(folder, rows, recipe.crop_size)
    values = scores_of(target, [data[index]["image"] for index in range(len(data))])
    frames = [FaceScore(value, row.label == "forged", video_key(row)) for value, row in zip(values, rows, strict=True)]
    name = f"Faces of {', '.join(sorted({row.source for row in rows}))}"
    return _entry(name, frames, "videos", ("image_auc", "video_auc", "image_acc"))


def _entry(data: str, frames: Sequence[FaceScore], drawn: str, keys: Sequence[str]) -> dict[str, Any]:
    result = score_faces(frames)
    fake, sources = sum(frame.is_fake for frame in frames), len({frame.video[2] for frame in frames})
    return {
        "data": data,
        "n_forged": fake,
        "n_authentic": len(frames) - fake,
        "date": datetime.date.today().isoformat(),
        "definition": (
            f"{len(frames)} frames of {sources} {drawn}; image_auc is the AUC over frames, video_auc over the "
            "mean scores of videos, image_acc the share of frames on the right side of 0.5"
        ),
        "drawn": drawn,
        "values": {key: result[key] for key in keys},
        "intervals": {key: result["intervals"].get(key) for key in keys},
    }


def describe(
    target: Path,
    arguments: argparse.Namespace,
    recipe: Recipe,
    operating_point: dict[str, Any],
    scores: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything the card says, from what the run and the measurements wrote."""
    summary = json.loads((arguments.run / "final" / "training_summary.json").read_text(encoding="utf-8"))
    model = AutoModelForImageClassification.from_pretrained(target)
    counts = {
        split: len(listed_faces(arguments.pictures, str(recipe.pictures), split)) for split in ("train", "validation")
    }
    return {
        "name": arguments.name,
        "task": recipe.task,
        **method_facts(model.config.model_type),
        **json.loads(arguments.about.read_text(encoding="utf-8")),
        "model_type": model.config.model_type,
        "parameters": model.num_parameters(),
        "size_bytes": (target / "model.safetensors").stat().st_size,
        "weights_sha256": file_sha256(target / "model.safetensors"),
        "operating_point": operating_point,
        "training": {
            "recipe": arguments.recipe,
            "revision": arguments.revision,
            **{name: getattr(recipe, name) for name in ("seed", "steps", "batch_size", "crop_size")},
            "faces": counts,
            "hardware": summary["hardware"],
            "seconds": summary["seconds_this_run"],
            "torch": summary["torch"],
        },
        "training_data": manifest_table(pictures_with_faces(str(recipe.pictures))),
        "scores": scores,
    }


if __name__ == "__main__":
    main()
