"""What NCL's contrast of all pairs costs: extra memory and time, forward and backward, in chunks of rows and at once.

    python benchmarks/ncl_contrast.py [--chunk-sizes 0 256] [--patches 8192] [--channels 256] [--repeats 3]

The features of one 512 px crop on the 128×128 grid of the first stage, half of it forged, half authentic. Chunk size 0
keeps the whole matrices (naive). Each size runs in a process of its own, because a process's peak never falls;
"extra" is the peak minus what was resident with the features and their gradient. The promise: within 500 MB of extra
memory and 1.5 times the naive time.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from ifl_hub.modeling.ncl.losses_ncl import AUTHENTIC, FORGED, ncl_loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunk-sizes", type=int, nargs="+", default=[0, 256], help="0 for all rows at once")
    parser.add_argument("--patches", type=int, default=8192, help="forged ones, and as many authentic ones")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments)))
        return
    print(f"{torch.get_num_threads()} threads\n chunk  extra MB  wall s   cpu s          loss")
    for size in arguments.chunk_sizes:
        command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(size)]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{size or 'all':>6}  {figures['extra']:>8.0f}  {figures['wall']:>6.1f}  {figures['cpu']:>6.1f}  "
            f"{figures['loss']:>12.6f}",
            flush=True,
        )


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    count, generator = arguments.patches, torch.Generator().manual_seed(0)
    features = torch.randn(1, 2 * count, arguments.channels, generator=generator).requires_grad_()
    features.grad = torch.zeros_like(features)
    patches = torch.tensor([FORGED] * count + [AUTHENTIC] * count)[None]
    pivot = torch.zeros(1, arguments.channels)

    def run(patches: torch.Tensor) -> tuple[float, float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        terms = ncl_loss(features, patches, pivot, pivot, chunk_size=arguments.measure or None)
        terms["patch_contrast"].backward()
        return time.perf_counter() - wall, time.process_time() - cpu, terms["patch_contrast"].item()

    few = patches.clone()
    few[:, 64:-64] = 255
    run(few)  # libraries and their buffers
    resident = peak_megabytes()
    runs = [run(patches) for _ in range(arguments.repeats)]
    return {
        "wall": min(wall for wall, _, _ in runs),
        "cpu": min(cpu for _, cpu, _ in runs),
        "loss": runs[0][2],
        "extra": peak_megabytes() - resident,
    }


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
