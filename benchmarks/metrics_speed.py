"""Scoring 500 maps of 512x512: ours against the obvious loop over scikit-learn, time and peak memory in one run.

    python benchmarks/metrics_speed.py [--maps 500] [--size 512]

Both give F1 at 0.5, AUC, AP, IoU, MCC, precision and recall of each map, and the pooled F1 and AUC. For the pooled
ones the loop must keep every pixel. Each side runs in a process of its own, at a tenth of the maps and at all of them:
memory that does not grow is flat. Time is the processor's, memory the peak above what was resident before; making the
maps is not counted as time.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

SHARED = ("pixel_f1", "pixel_auc", "pixel_ap", "pixel_iou", "pixel_mcc", "pixel_f1_pooled", "pixel_auc_pooled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=500)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measure(arguments.side, arguments.maps, arguments.size)))
        return
    rows = {
        (side, n): _in_own_process(side, n, arguments.size)
        for side in SIDES
        for n in (max(1, arguments.maps // 10), arguments.maps)
    }
    print(f"{'':14}{'maps':>6}{'CPU seconds':>14}{'ms a map':>10}{'peak MB above start':>22}")
    for (side, n), row in rows.items():
        print(f"{side:14}{n:6}{row['seconds']:14.1f}{1e3 * row['seconds'] / n:10.1f}{row['megabytes']:22.0f}")
    ours, theirs = (rows[side, arguments.maps] for side in SIDES)
    worst = max(abs(ours["values"][key] - theirs["values"][key]) for key in SHARED)
    print(f"{theirs['seconds'] / ours['seconds']:.1f} times faster; the largest difference of a value is {worst:.1e}")


def _in_own_process(side: str, maps: int, size: int) -> dict:
    command = [sys.executable, __file__, "--side", side, "--maps", str(maps), "--size", str(size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _measure(side: str, maps: int, size: int) -> dict:
    score = SIDES[side]()
    score(*next(_maps(1, 16)))  # what is loaded on first use is no part of the memory
    add = SIDES[side]()
    before, seconds = _peak_megabytes(), 0.0
    for prediction, mask in _maps(maps, size):
        start = time.process_time()
        add(prediction, mask)
        seconds += time.process_time() - start
    start = time.process_time()
    values = add()
    seconds += time.process_time() - start
    return {"seconds": seconds, "megabytes": _peak_megabytes() - before, "values": values}


def _maps(count: int, size: int):
    """Maps of float32 that find a rectangle more or less, all of them forged."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        mask = np.zeros((size, size), np.uint8)
        top, left = rng.integers(0, size // 2, 2)
        mask[top : top + size // 3, left : left + size // 4] = 1
        logits = rng.standard_normal(mask.shape, np.float32) * 2 - 3 + 3 * mask
        yield (1 / (1 + np.exp(-logits))).astype(np.float32), mask


def _ours():
    from ifl_hub.metrics import LocalizationAccumulator

    metric = LocalizationAccumulator()

    def step(*image):
        if image:
            return metric.update(*image)
        return {key: metric.compute()[key] for key in SHARED}

    return step


def _scikit_learn():
    from sklearn import metrics

    at_half = {
        "pixel_f1": metrics.f1_score,
        "pixel_precision": metrics.precision_score,
        "pixel_recall": metrics.recall_score,
        "pixel_iou": metrics.jaccard_score,
        "pixel_mcc": metrics.matthews_corrcoef,
    }
    of_ranks = {"pixel_auc": metrics.roc_auc_score, "pixel_ap": metrics.average_precision_score}
    values = {key: [] for key in (*at_half, *of_ranks)}
    kept = []

    def step(*image):
        if image:
            scores, mask = image[0].ravel(), image[1].ravel()
            for key, measure in at_half.items():
                values[key].append(measure(mask, scores > 0.5))
            for key, measure in of_ranks.items():
                values[key].append(measure(mask, scores))
            kept.append((scores, mask))
            return None
        scores, mask = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        pooled = {
            "pixel_f1_pooled": metrics.f1_score(mask, scores > 0.5),
            "pixel_auc_pooled": metrics.roc_auc_score(mask, scores),
        }
        return {**{key: float(np.mean(values[key])) for key in values if key in SHARED}, **pooled}

    return step


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


SIDES = {"ours": _ours, "scikit-learn": _scikit_learn}


if __name__ == "__main__":
    main()
