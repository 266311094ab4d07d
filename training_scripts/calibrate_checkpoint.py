r"""Calibrate an embedded localization checkpoint, set its label's operating point, and draw the reliability diagram.

    python training_scripts/calibrate_checkpoint.py safl-net-lite0 sumi-ifl-small --pictures DIR

Writes temperatures, bias, threshold and the score's source (detection head or map, whichever tells forged pictures
better) into the checkpoint's preprocessor config, what they rest on into its metadata, its card, and
docs/calibration.png. The weights stay as they are. Only photos of the recipe's manifest that were never trained on are
used (DIR as in embed_checkpoint.py), so that everything about the checkpoint stays freely licensed.
"""

import argparse
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm
from transformers import pipeline

import ifl_hub
from ifl_hub.data import ForgerySynthesizer, PhotoPool
from ifl_hub.data.web_copies import web_copies
from ifl_hub.evaluation.calibration import (
    PixelCounts,
    fit_score,
    fit_temperature,
    operating_point,
    pixel_reliability,
    score_reliability,
)
from ifl_hub.files import write_atomically
from ifl_hub.hub.model_card import render_model_card
from ifl_hub.image_processing.scoring import ScoreSource, calibrate, reduce_to_score
from ifl_hub.training import load_recipe
from ifl_hub.training.sources import photo_pools

ROOT = Path(__file__).parent.parent
DIAGRAM = ROOT / "docs" / "calibration.png"
SAMPLES = 80  # synthetic pictures for the map, and as many forged ones for the score
SIZES = ((256, 256), (256, 384), (384, 256))
FALSE_ALARM_RATE = 0.1
TILE = 512  # pixels; larger pictures take several tiles, of which the most suspicious decides
SOURCES = get_args(ScoreSource)
FORGED = {"splicing": 1.0, "copy_move": 1.0, "removal": 0.5}


def main() -> None:
    """Calibrate each, then draw all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="embedded checkpoints; none draws the diagram alone")
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], help="the gathered pictures")
    arguments = parser.parse_args()
    for name in arguments.names:
        folder = Path(ifl_hub.checkpoint_path(name))
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        recipe = load_recipe(metadata["training"]["recipe"])
        _, validation = photo_pools(arguments.pictures, recipe.pictures)
        point, calibration = calibrate_folder(folder, validation, recipe.seed)
        moved = metadata["operating_point"]["description"].split("The label says forged")[0]
        metadata["operating_point"] = {**point, "description": moved + point["description"]}
        metadata["calibration"] = calibration
        write_atomically(folder / "metadata.json", json.dumps(metadata, indent=1, ensure_ascii=False).encode() + b"\n")
        card = render_model_card(folder).encode()
        write_atomically(folder / "README.md", card)
        write_atomically(ROOT / "model_cards" / f"{name}.md", card)
        print(f"{name}: {json.dumps(calibration['fitted'])}, {json.dumps(point)}")
    draw_diagram()


def calibrate_folder(folder: Path, validation: PhotoPool, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calibrate the processor in a checkpoint's folder.

    Args:
        folder: Of the checkpoint; its preprocessor config is written.
        validation: Photos that it was not trained on.
        seed: Of the samples.

    Returns:
        The metadata's `operating_point` and `calibration`.
    """
    localize = pipeline("image-forgery-localization", model=str(folder))
    processor = localize.image_processor
    processor.temperature, processor.score_temperature, processor.score_bias = 1.0, 1.0, 0.0
    processor.score_source = "detection_head"
    pixels = PixelCounts.empty()
    for sample in synthetic(validation, seed + 4, {**FORGED, "authentic": 1}):
        pixels.add(log_odds(localize(sample["image"])["heatmap"]), sample["mask"].astype(bool))
    processor.temperature = round(fit_temperature(pixels), 3)
    forged = np.array([both_scores(localize, sample["image"]) for sample in synthetic(validation, seed + 5, FORGED)])
    photos = tqdm(web_copies(validation, seed), desc="authentic photos")
    copies = [(number, side, both_scores(localize, image)) for number, side, image in photos]
    alarms = np.array([scores for *_, scores in copies])
    truth = [True] * len(forged) + [False] * len(copies)
    given = log_odds(np.concatenate([forged, alarms]))
    told_apart = [roc_auc_score(truth, scores) for scores in given.T]
    source = int(np.argmax(told_apart))  # the detection head, where both are as good
    processor.score_source = SOURCES[source]
    scores = given[:, source]
    fitted = fit_score(scores, truth)
    processor.score_temperature, processor.score_bias = (round(value, 3) for value in fitted)
    how = (processor.score_temperature, processor.score_bias)
    found, alarms = (np.array([calibrate(score, *how) for score in of[:, source]]) for of in (forged, alarms))
    processor.score_threshold = min(1.0, math.ceil(1000 * operating_point(alarms.tolist(), FALSE_ALARM_RATE)) / 1000)
    processor.save_pretrained(folder)
    names = ("temperature", "score_temperature", "score_bias")
    sides = np.array([side for _, side, _ in copies])
    point = describe_point(processor.threshold, processor.score_threshold, found, alarms, sides, len(validation))
    return point, {
        "fitted": {name: getattr(processor, name) for name in names},
        "score_source": {
            "chosen": processor.score_source,
            "auc": dict(zip(SOURCES, np.round(told_apart, 4), strict=True)),
        },
        "pixels": {
            "before": pixel_reliability(pixels).as_dict(),
            "after": pixel_reliability(pixels, processor.temperature).as_dict(),
        },
        "score": {
            "before": score_reliability(scores, truth).as_dict(),
            "after": score_reliability(scores, truth, *how).as_dict(),
        },
    }


def describe_point(
    threshold: float,
    score_threshold: float,
    found: np.ndarray,
    alarms: np.ndarray,
    sides: np.ndarray,
    photos: int,
) -> dict[str, Any]:
    """The metadata's `operating_point`: thresholds, what they give, and whether it holds for large pictures."""
    large = sides > TILE
    rates = {
        name: {"n": int(chosen.sum()), "false_alarm_rate": round(float((alarms[chosen] > score_threshold).mean()), 4)}
        for name, chosen in ((f"up to {TILE} px", ~large), (f"above {TILE} px", large))
        if chosen.any()
    }
    return {
        "description": (
            f"The label says forged where the score exceeds what {FALSE_ALARM_RATE:.0%} of {len(sides)} authentic "
            f"pictures reach: {photos} photos never trained on, whole, made smaller and compressed as on the web. "
            "On your own pictures the rates will differ."
        ),
        "threshold": threshold,
        "score_threshold": score_threshold,
        "sensitivity": float((found > score_threshold).mean()),
        "false_alarm_rate": float((alarms > score_threshold).mean()),
        "n_forged": len(found),
        "n_authentic": len(sides),
        "n_photos": photos,
        "by_longer_side": rates,
    }


def both_scores(localize: Any, image: np.ndarray) -> tuple[float, float]:
    """A picture's score as `SOURCES` give it, the map's for both where there is no detection head."""
    result = localize(image)
    return result["score"], reduce_to_score(result["heatmap"], localize.image_processor.score_reduction)


def synthetic(pool: PhotoPool, seed: int, mixture: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Samples of several sizes."""
    series = [ForgerySynthesizer(pool, size, seed, mixture) for size in SIZES]
    for index in tqdm(range(SAMPLES), desc="synthetic pictures"):
        yield series[index % len(series)][index]


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities, those of float32 being 1e-7 from an end at least."""
    inside = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    return np.log(inside) - np.log1p(-inside)


def draw_diagram() -> None:
    """docs/calibration.png: a column for each calibrated checkpoint, the map's pixels above, the scores below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = {name: facts["calibration"] for name, facts in ifl_hub.list_checkpoints().items() if "calibration" in facts}
    figure = Figure(figsize=(3.6 * len(known), 6.8), layout="constrained")
    panels = figure.subplots(2, len(known), squeeze=False)
    for column, (name, calibration) in enumerate(known.items()):
        for row, (what, title) in enumerate((("pixels", "pixels of the map"), ("score", "image score"))):
            panel = panels[row][column]
            panel.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
            for when, colour in (("before", "#bbbbbb"), ("after", "#aa3377")):
                found = calibration[what][when]
                label = f"{when}: error {found['error']:.3f}"
                panel.plot(found["probability"], found["observed"], "o-", color=colour, markersize=4, label=label)
            panel.bar(found["probability"], found["weight"], width=0.05, color="#aa3377", alpha=0.2)
            panel.set(xlim=(0, 1), ylim=(0, 1), title=f"{name}\n{title}", aspect="equal")
            panel.set_xlabel("probability given")
            panel.set_ylabel("share that is forged")
            panel.legend(fontsize=7, loc="upper left")
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    write_atomically(DIAGRAM, buffer.getvalue())


if __name__ == "__main__":
    main()
