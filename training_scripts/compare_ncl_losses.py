"""What NCL's two losses change on a small network, with the arms of the paper's Table 5.

    python training_scripts/compare_ncl_losses.py --pictures DIR --out runs/ncl-losses

Every arm and seed is a run of the recipe `ncl_small`, cut to a few minutes. Runs of one seed see the same samples from
the same initial weights, and all are judged on the same forgeries of photos that none was trained on. Run it again to
continue after an interruption. `table.md` and `results.json` in the output folder hold the scores.
"""

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub.data import ForgerySynthesizer
from ifl_hub.files import write_atomically
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.engine import Trainer
from ifl_hub.training.sources import photo_pools
from ifl_hub.training.task import build_task

PLAIN_CROSS_ENTROPY = {"contour_weight": 0.0, "auxiliary_weights": [0.0, 0.0]}
ARMS: dict[str, dict[str, Any]] = {
    "base": {"ncl_weight": 0.0, **PLAIN_CROSS_ENTROPY},
    "base + L_NCL": PLAIN_CROSS_ENTROPY,
    "base + L_NCL + L_PC": {},
}
BUDGET = (
    *("steps=400", "batch_size=8", "crop_size=128", "warmup_steps=40", "ema_decay=0.98"),
    *("validation_samples=200", "validation_every=400"),
)
VALIDATION_SEED, VALIDATION_SIZE = 1_000_003, 160
MANY = 1 << 40  # the series of samples is endless
SCORES = ("pixel_auc", "pixel_f1", "authentic_fpr")


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of photos and RGBA cut-outs")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe value")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        results = {arm: {seed: run(arm, seed, arguments) for seed in arguments.seeds} for arm in ARMS}
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    write_atomically(arguments.out / "results.json", json.dumps(results, indent=2).encode())
    table = markdown(results)
    write_atomically(arguments.out / "table.md", table.encode())
    logging.info("%s", table)


def run(arm: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Train one arm with one seed, or continue it; the scores of its last validation."""
    recipe = arm_recipe(arm, seed, arguments.set)
    folder = arguments.out / f"{arm.replace(' ', '')}-seed{seed}"
    train_photos, validation_photos = photo_pools(arguments.pictures, recipe.pictures)
    train_data = ForgerySynthesizer(train_photos, recipe.crop_size, seed, recipe.mixture, length=MANY)
    validation_data = ForgerySynthesizer(validation_photos, VALIDATION_SIZE, VALIDATION_SEED, recipe.mixture)
    Trainer(build_task(recipe), train_data, validation_data, folder, arguments.workers).run()
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = next(row for row in reversed(rows) if "pixel_auc" in row)
    return {name: last[name] for name in SCORES}


def arm_recipe(arm: str, seed: int, overrides: Sequence[str]) -> Recipe:
    """The recipe of one run."""
    switches = [f"config.{name}={json.dumps(value)}" for name, value in ARMS[arm].items()]
    return load_recipe("ncl_small", [*BUDGET, *overrides, *switches, f"seed={seed}"])


def markdown(results: Mapping[str, Mapping[int, Mapping[str, float]]]) -> str:
    """Mean over seeds, each seed's AUC, and the difference to the base paired by seed."""
    base = results["base"]
    lines = [
        "| losses | AUC of each seed | mean AUC | difference to base, per seed | mean F1 | authentic area marked |",
        "|---|---|---|---|---|---|",
    ]
    for arm, runs in results.items():
        aucs = [scores["pixel_auc"] for scores in runs.values()]
        gains = [scores["pixel_auc"] - base[seed]["pixel_auc"] for seed, scores in runs.items()]
        difference = "" if arm == "base" else ", ".join(f"{gain:+.3f}" for gain in gains)
        f1, area = (statistics.mean(scores[name] for scores in runs.values()) for name in SCORES[1:])
        listed = ", ".join(f"{auc:.3f}" for auc in aucs)
        lines.append(f"| {arm} | {listed} | {statistics.mean(aucs):.3f} | {difference} | {f1:.3f} | {area:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
