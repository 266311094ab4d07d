r"""Turn a finished run into an embedded checkpoint: weights, processor with its operating point, metadata and card.

    python training_scripts/embed_checkpoint.py runs/sumi-ifl-small --name sumi-ifl-small --recipe sumi_ifl_small \
        --pictures DIR --about training_scripts/about_sumi_ifl.json --revision $(git rev-parse --short HEAD)

Its scores come afterwards: make_leaderboard.py --data measures them, write_cards.py states them.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from calibrate_checkpoint import calibrate_folder
from tqdm.auto import tqdm

import ifl_hub
from ifl_hub.data import ForgerySynthesizer
from ifl_hub.files import file_sha256, write_atomically
from ifl_hub.hub.description import method_facts
from ifl_hub.hub.model_card import render_model_card
from ifl_hub.metrics import pixel_f1
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.pictures import load_manifest, manifest_table
from ifl_hub.training.sources import photo_pools

ROOT = Path(__file__).parent.parent
CHECKPOINTS = ROOT / "src" / "ifl_hub" / "checkpoints"
SAMPLES = 400
FORGED = {"splicing": 1.0, "copy_move": 1.0, "removal": 0.5}
TOLERANCE = 0.01  # of the mean F1, which 400 forgeries know to about 0.015


def main() -> None:
    """Copy, calibrate, describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--name", required=True, help="name of the checkpoint")
    parser.add_argument("--recipe", required=True, help="the shipped recipe that the run followed")
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="the gathered pictures")
    parser.add_argument("--about", type=Path, required=True, help="JSON with licence and limits")
    parser.add_argument("--revision", required=True, help="git revision of the code that the run used")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    recorded = json.loads((arguments.run / "recipe.json").read_text(encoding="utf-8"))
    if recorded["fingerprint"] != recipe.fingerprint():
        sys.exit(f"error: {arguments.run} did not follow the recipe {arguments.recipe} as it stands")
    target = CHECKPOINTS / arguments.name
    target.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        shutil.copyfile(arguments.run / "final" / name, target / name)
    operating_point, calibration = calibrate(target, arguments.pictures, recipe)
    metadata = describe(target, arguments, recipe, operating_point) | {"calibration": calibration}
    write_atomically(target / "metadata.json", json.dumps(metadata, indent=1, ensure_ascii=False).encode() + b"\n")
    card = render_model_card(target).encode()
    write_atomically(target / "README.md", card)
    write_atomically(ROOT / "model_cards" / f"{arguments.name}.md", card)


def calibrate(target: Path, pictures: list[Path], recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Move the cut of the mask to logit 0, then calibrate: the metadata's `operating_point` and `calibration`."""
    _, validation = photo_pools(pictures, recipe.pictures)
    shift = centre_mask_threshold(target, ForgerySynthesizer(validation, 256, recipe.seed + 2, FORGED))
    operating_point, calibration = calibrate_folder(target, validation, recipe.seed)
    moved = (
        f"The bias of the last layer was moved by {shift:+.2f}: a threshold of 0.5 marks least of all that give a mean "
        f"F1 within {TOLERANCE} of the best on {SAMPLES} synthetic validation forgeries. "
    )
    return {**operating_point, "description": moved + operating_point["description"]}, calibration


@torch.no_grad()
def centre_mask_threshold(target: Path, samples: ForgerySynthesizer) -> float:
    """Shift the map's bias so that logit 0 is the highest cut with nearly the best mean F1; print F1 by cut.

    The optimum is flat, and a higher cut raises fewer false alarms on authentic pictures. Returns the shift.
    """
    model = ifl_hub.AutoModelForImageForgeryLocalization.from_pretrained(target).eval()
    processor = ifl_hub.IflImageProcessor.from_pretrained(target)
    cuts = np.linspace(-4, 4, 81)
    table = []
    for index in tqdm(range(SAMPLES), desc="mask threshold"):
        sample = samples[index]
        logits = model(**processor(sample["image"])).logits[0, 0].numpy()
        mask = sample["mask"].astype(bool)
        table.append([pixel_f1(logits, mask, threshold=cut) for cut in cuts])
    f1 = np.mean(table, axis=0)
    print({f"{cut:+.1f}": round(float(value), 4) for cut, value in zip(cuts, f1, strict=True)})
    shift = 0.0 - float(cuts[np.flatnonzero(f1 >= f1.max() - TOLERANCE)[-1]])
    model.mask_classifier.bias += shift
    model.save_pretrained(target)
    return shift


def describe(
    target: Path, arguments: argparse.Namespace, recipe: Recipe, operating_point: dict[str, Any]
) -> dict[str, Any]:
    """Everything the card says, from what the run and the measurements wrote."""
    summary = json.loads((arguments.run / "final" / "training_summary.json").read_text(encoding="utf-8"))
    model = ifl_hub.AutoModelForImageForgeryLocalization.from_pretrained(target)
    return {
        "name": arguments.name,
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
            "weights_sha256": summary["weights_sha256"],
            "hardware": summary["hardware"],
            "seconds": summary["seconds_this_run"],
            "torch": summary["torch"],
        },
        "training_data": manifest_table(load_manifest(recipe.pictures)),
        "scores": [],
    }


if __name__ == "__main__":
    main()
