"""Simplex noise against the `opensimplex` package compiled by numba, and against normal noise, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/simplex_noise_speed.py [--size 512] [--batch 16] [--repeats 15]

A batch of three-channel pictures, six octaves, a window of its own for each sample. The package draws one channel and
octave at a time. All three take turns in one process, processor seconds are counted, and the fastest turn of each
counts; the package's turn is one picture, and is multiplied. The aim: at least 25 times the package, and at least
0.3 times as fast as `torch.randn`. Building the operator, once for a size, comes apart.

torch is asked for large memory pages (its own switch, THP_MEM_ALLOC_ENABLE): a batch is 50 MB, and to hand that out in
small pages takes a third of the time that `torch.randn` needs. Set it to 0 to measure without.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # before torch is imported
os.environ["NUMBA_NUM_THREADS"] = "1"  # numba's start-up sets the threads of everything that uses OpenMP

import numpy as np
import opensimplex
import torch

from ifl_hub import SimplexNoise
from ifl_hub.modeling.diff_forensics.simplex_noise import simplex_operator

CHANNELS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    noise, generator = SimplexNoise(), torch.Generator().manual_seed(0)
    shape = (arguments.batch, CHANNELS, arguments.size, arguments.size)
    side = arguments.size + noise.jitter
    started = time.process_time()
    operator = simplex_operator(side, side, noise.frequency, noise.octaves, noise.persistence)
    build = time.process_time() - started
    megabytes = sum(band.index.numel() * 8 + band.first.numel() * 4 for band in operator.bands) / 1e6
    turns: dict[str, Callable[[], object]] = {
        "SimplexNoise": lambda: noise(shape, generator),
        "torch.randn": lambda: torch.randn(shape, generator=generator),
        "opensimplex, numba": lambda: one_picture_of_the_package(noise, arguments.size),
    }
    for turn in turns.values():
        turn()  # compilation, and libraries' buffers
    rounds = [{name: seconds(turn) for name, turn in turns.items()} for _ in range(arguments.repeats)]
    best = {name: min(row[name] for row in rounds) for name in turns}
    best["opensimplex, numba"] *= arguments.batch
    print(f"{shape}, {torch.get_num_threads()} thread; operator: {build:.2f} s, {megabytes:.0f} MB")
    for name, value in best.items():
        print(f"{name:20s} {value:8.3f} s a batch   {arguments.batch / value:8.1f} pictures a second")
    ours = best["SimplexNoise"]
    print(
        f"{best['opensimplex, numba'] / ours:.1f} times the package, {best['torch.randn'] / ours:.2f} times torch.randn"
    )


def one_picture_of_the_package(noise: SimplexNoise, size: int) -> np.ndarray:
    axis = np.arange(size) * noise.frequency
    channels = []
    for seed in range(CHANNELS):
        source = opensimplex.OpenSimplex(seed)
        octaves = (
            noise.persistence**octave * source.noise2array(axis * 2**octave, axis * 2**octave)
            for octave in range(noise.octaves)
        )
        channels.append(sum(octaves))
    return np.stack(channels)


def seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
