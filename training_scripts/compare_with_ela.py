"""Is a checkpoint better than error-level analysis? Both on the same images, side by side, with an interval.

    python training_scripts/compare_with_ela.py --data DIR [--split validation] [--model ID] [--out scores.json]

DIR is an imagefolder with metadata.jsonl. Definitions: per-image mean over forged images, on the original pixel grid;
F1 at a probability strictly above 0.5; AUC exact, ties counted one half; authentic images only in the false-alarm area.
"""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm
from transformers import pipeline

import ifl_hub
from ifl_hub.evaluation import (
    ImageScore,
    error_level_analysis,
    mean_of,
    paired_bootstrap,
    read_labelled_images,
    score_images,
)

DEFINITION = "per-image mean over forged images, original pixel grid; F1 at p > 0.5; AUC exact, ties 1/2"


def main() -> None:
    """Score both, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="imagefolder with metadata.jsonl")
    parser.add_argument("--split", default=None, help="rows whose `split` (or `suggested_split`) says so")
    default = ifl_hub.checkpoint_path("sumi-ifl-small")
    parser.add_argument("--model", default=default, help="checkpoint folder or Hub id")
    parser.add_argument("--out", type=Path, help="write every number, image by image, to this JSON file")
    arguments = parser.parse_args()
    try:
        images = read_labelled_images(arguments.data, arguments.split)
    except ValueError as error:
        sys.exit(f"error: {error}")
    localizer = pipeline("image-forgery-localization", model=arguments.model)

    def localize(image: Image.Image) -> np.ndarray:
        return localizer(image)["heatmap"]

    scores = {
        Path(arguments.model).name: score_images(tqdm(images, desc="model"), localize),
        "error-level analysis": score_images(tqdm(images, desc="ELA"), error_level_analysis),
    }
    result = {
        "data": arguments.data.name,
        "split": arguments.split,
        "date": date.today().isoformat(),
        "definition": DEFINITION,
        **summarize(scores),
    }
    print_table(result)
    if arguments.out:
        result["images"] = {name: [asdict(score) for score in rows] for name, rows in scores.items()}
        arguments.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


def summarize(scores: dict[str, list[ImageScore]]) -> dict[str, Any]:
    """Means of each method, by forgery type too, and the paired difference of the first to the second."""
    (ours, theirs) = scores.values()
    forged = [row.pixel_f1 is not None for row in ours]
    return {
        "n_forged": sum(forged),
        "n_authentic": len(forged) - sum(forged),
        "methods": {name: _means(rows) for name, rows in scores.items()},
        "difference": {
            metric: paired_bootstrap(*_paired(ours, theirs, metric))._asdict() for metric in ("pixel_auc", "pixel_f1")
        },
    }


def print_table(result: dict[str, Any]) -> None:
    """The comparison as a person reads it."""
    where = result["data"] + (f", split {result['split']}" if result["split"] else "")
    print(f"\n{where}: {result['n_forged']} forged, {result['n_authentic']} authentic")
    print(result["definition"])
    print(f"\n{'method':28s} {'pixel AUC':>10s} {'pixel F1':>10s} {'false-alarm area':>17s}")
    for name, means in result["methods"].items():
        alarm = means["authentic_fpr"]
        print(
            f"{name:28s} {means['pixel_auc']:10.4f} {means['pixel_f1']:10.4f} "
            f"{'-' if alarm is None else f'{alarm:.4f}':>17s}"
        )
        for kind, row in means["by_type"].items():
            print(f"  {kind + ' (n = ' + str(row['n']) + ')':26s} {row['pixel_auc']:10.4f} {row['pixel_f1']:10.4f}")
    for metric, difference in result["difference"].items():
        print(
            f"difference of {metric}: {difference['mean']:+.4f}, 95 % paired bootstrap interval "
            f"[{difference['low']:+.4f}, {difference['high']:+.4f}]"
        )


def _means(rows: list[ImageScore]) -> dict[str, Any]:
    forged = [row for row in rows if row.pixel_f1 is not None]
    authentic = [row for row in rows if row.pixel_f1 is None]
    return {
        "pixel_auc": mean_of(forged, "pixel_auc"),
        "pixel_f1": mean_of(forged, "pixel_f1"),
        "authentic_fpr": mean_of(authentic, "flagged_area"),
        "by_type": {
            kind: {
                "n": len(group := [row for row in forged if row.forgery_type == kind]),
                "pixel_auc": mean_of(group, "pixel_auc"),
                "pixel_f1": mean_of(group, "pixel_f1"),
            }
            for kind in sorted({row.forgery_type for row in forged})
        },
    }


def _paired(ours: list[ImageScore], theirs: list[ImageScore], metric: str) -> tuple[list[float], list[float]]:
    pairs = [(getattr(a, metric), getattr(b, metric)) for a, b in zip(ours, theirs, strict=True)]
    kept = [pair for pair in pairs if None not in pair]
    return [a for a, _ in kept], [b for _, b in kept]


if __name__ == "__main__":
    main()
