r"""What denoising pre-training changes on a small network, and which noise: rows 1, 3 and 5 of the paper's Table 4.

    python training_scripts/compare_denoising_noises.py --pictures DIR --encoder runs/diff-forensics-encoder/final \
        --out runs/denoising-noises

Every arm and seed pre-trains (or not) and fine-tunes the recipes of `diff-forensics-small`, cut to minutes. Arms of one
seed start from the same encoder, see the same samples, and are judged on the same forgeries of photos that none was
trained on. Run it again to continue after an interruption. `table.md` and `results.json` hold the scores.
"""

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub.data import ForgerySynthesizer
from ifl_hub.data.photos import PhotoPool
from ifl_hub.files import write_atomically
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.engine import Trainer
from ifl_hub.training.sources import ENDLESS, photo_pools
from ifl_hub.training.task import SampleSource, build_task

ARMS: dict[str, str | None] = {"no pre-training": None, "Gaussian": "gaussian", "simplex": "simplex"}
BUDGET = ("crop_size=96", "batch_size=8", "warmup_steps=20", "ema_decay=0.95", "validation_samples=60")
VALIDATION_SEED = 1_000_003
SCORES = ("pixel_auc", "pixel_f1", "authentic_fpr")


class Remembered:
    """Samples that several runs ask for in turn, made once."""

    def __init__(self, source: SampleSource) -> None:
        self.source = source
        self.made: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index not in self.made:
            sample = self.source[index]
            self.made[index] = {"image": sample["image"], "mask": sample["mask"]}
        return self.made[index]


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of photos and RGBA cut-outs")
    parser.add_argument("--encoder", required=True, help="the distilled encoder, which all arms start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--denoising-steps", type=int, default=300)
    parser.add_argument("--steps", type=int, default=300, help="of fine-tuning")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    results: dict[str, dict[int, dict[str, float]]] = {arm: {} for arm in ARMS}
    try:
        pools = photo_pools(arguments.pictures, load_recipe("diff_forensics_small").pictures)
        for seed in arguments.seeds:
            for arm, scores in compare(seed, pools, arguments).items():
                results[arm][seed] = scores
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    write_atomically(arguments.out / "results.json", json.dumps(results, indent=2).encode())
    table = markdown(results)
    write_atomically(arguments.out / "table.md", table.encode())
    logging.info("%s", table)


def compare(
    seed: int, pools: tuple[PhotoPool, PhotoPool], arguments: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """All arms with one seed."""
    shared = [*BUDGET, f"seed={seed}"]
    fine_tuning = load_recipe("diff_forensics_small", [*shared, f"steps={arguments.steps}", "weights=null"])
    train = Remembered(ForgerySynthesizer(pools[0], fine_tuning.crop_size, seed, length=ENDLESS))
    validation = Remembered(ForgerySynthesizer(pools[1], fine_tuning.crop_size, VALIDATION_SEED))
    scores = {}
    for arm, noise in ARMS.items():
        start = f"encoder_weights={arguments.encoder}"
        if noise is not None:
            options = [start, f"steps={arguments.denoising_steps}", f"options={{scheduler: {{noise_type: {noise}}}}}"]
            recipe = load_recipe("diff_forensics_small_denoising", [*shared, *options])
            start = f"weights={run(recipe, train, validation, arguments.out / f'denoising-{noise}-seed{seed}')}"
        recipe = load_recipe("diff_forensics_small", [*shared, f"steps={arguments.steps}", "weights=null", start])
        folder = run(recipe, train, validation, arguments.out / f"{noise or 'none'}-seed{seed}")
        rows = [json.loads(line) for line in (folder.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        last = next(row for row in reversed(rows) if "pixel_auc" in row)
        scores[arm] = {name: last[name] for name in SCORES}
    return scores


def run(recipe: Recipe, train: SampleSource, validation: SampleSource, folder: Path) -> Path:
    """Train, or continue, or find finished; the folder of the final weights."""
    final = folder / "final"
    if not (final / "training_summary.json").is_file():
        Trainer(build_task(recipe), train, validation, folder, num_workers=0).run()
    return final


def markdown(results: Mapping[str, Mapping[int, Mapping[str, float]]]) -> str:
    """Mean over seeds, each seed's AUC, and the difference to no pre-training paired by seed."""
    base = results["no pre-training"]
    lines = [
        "| noise | AUC of each seed | mean AUC | difference to none, per seed | mean F1 | authentic area marked |",
        "|---|---|---|---|---|---|",
    ]
    for arm, runs in results.items():
        aucs = [scores["pixel_auc"] for scores in runs.values()]
        gains = [scores["pixel_auc"] - base[seed]["pixel_auc"] for seed, scores in runs.items()]
        difference = "" if runs is base else ", ".join(f"{gain:+.3f}" for gain in gains)
        f1, area = (statistics.mean(scores[name] for scores in runs.values()) for name in SCORES[1:])
        listed = ", ".join(f"{auc:.3f}" for auc in aucs)
        lines.append(f"| {arm} | {listed} | {statistics.mean(aucs):.3f} | {difference} | {f1:.3f} | {area:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
