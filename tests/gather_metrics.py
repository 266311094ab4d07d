"""Run by test_metrics_evaluate.py in two processes: each counts its share, and all must have the whole result."""

import json
import sys
from pathlib import Path

from accelerate import Accelerator

from ifl_hub import load_metric
from metric_cases import blocks


def main(out):
    accelerator = Accelerator(cpu=True)
    images = list(blocks(7))
    # The second process begins with one image fewer, and with authentic ones only.
    share = images[::2] if accelerator.is_main_process else images[1::2]
    metric = load_metric("forgery_localization", threshold="oracle_dataset")
    for prediction, mask in share:
        metric.add(prediction=prediction, reference=mask)
    detection = load_metric("forgery_detection")
    methods = ["swap" if mask.any() else "real" for _, mask in share]
    detection.add_batch(
        predictions=[float(prediction.max()) for prediction, _ in share],
        references=[int(mask.any()) for _, mask in share],
        groups=[("set", method, f"{len(share)}-{index}") for index, method in enumerate(methods)],
    )
    results = [metric.compute(authentic="zero"), metric.compute(gather=False)["n_images"], detection.compute()]
    Path(out, f"{accelerator.process_index}.json").write_text(json.dumps(results))
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
