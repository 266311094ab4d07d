"""A tile through torch, ONNX Runtime and OpenVINO: how long each takes, and whether the maps agree.

    OMP_NUM_THREADS=1 python benchmarks/export_speed.py [--model safl-net-lite0] [--size 512] [--repeats 9]

All take turns in one process, on one thread, and processor seconds are counted; a turn's ratio is to torch's turn of
the same round, so that whatever else the machine does meets both. The export, once for a checkpoint, comes apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from ifl_hub import AutoModelForImageForgeryLocalization, checkpoint_path
from ifl_hub.cli.job import silence_libraries
from ifl_hub.export import BACKENDS, export_localizer, largest_difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="safl-net-lite0", help="an embedded localization checkpoint")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--formats", nargs="+", default=["onnx", "openvino"], choices=BACKENDS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    silence_libraries()
    model = AutoModelForImageForgeryLocalization.from_pretrained(checkpoint_path(arguments.model)).eval()
    models = {"torch": model}
    for format in arguments.formats:
        started = time.process_time()
        models[BACKENDS[format]] = export_localizer(model, format)
        seconds = time.process_time() - started
        difference = largest_difference(model, models[BACKENDS[format]])
        print(f"{format}: exported in {seconds:.0f} s, probabilities within {difference:.1e}", flush=True)
    tile = torch.randn(1, 3, arguments.size, arguments.size, generator=torch.Generator().manual_seed(0))
    for network in models.values():
        turn(network, tile)  # buffers, and kernels that are chosen at the first call
    rounds = [{name: turn(network, tile) for name, network in models.items()} for _ in range(arguments.repeats)]
    for name in models:
        times = [row[name] for row in rounds]
        ratio = statistics.median(row[name] / row["torch"] for row in rounds)
        print(
            f"{name:12s} {statistics.median(times):7.3f} s a tile of {arguments.size} px, {ratio:.2f} of torch's time"
        )


def turn(network: Callable[..., object], tile: torch.Tensor) -> float:
    started = time.process_time()
    with torch.no_grad():
        network(pixel_values=tile)
    return time.process_time() - started


if __name__ == "__main__":
    main()
