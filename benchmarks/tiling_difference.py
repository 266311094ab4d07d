"""How far tiles move a map: mean and largest difference of the probabilities, tiled against whole.

    python benchmarks/tiling_difference.py PICTURE… [--model FOLDER] [--tile-size 256 512] [--tile-overlap 64]

For a purely local network it is zero (tests/test_pipeline.py). A network that pools globally, like SUMI-IFL's channel
attention, judges a tile by the tile's own statistics; this prints by how much, as docs/speed.md states it.
"""

import argparse
from pathlib import Path

import numpy as np
from transformers import pipeline

import ifl_hub  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", help="folder of a checkpoint; default: the embedded one")
    parser.add_argument("--tile-size", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--tile-overlap", type=int, default=64)
    arguments = parser.parse_args()
    localize = pipeline("image-forgery-localization", model=arguments.model)
    differences: dict[int, list[np.ndarray]] = {size: [] for size in arguments.tile_size}
    for picture in arguments.pictures:
        whole = localize(picture, tile_size=0)["heatmap"]
        for size in arguments.tile_size:
            tiled = localize(picture, tile_size=size, tile_overlap=arguments.tile_overlap)["heatmap"]
            differences[size].append(np.abs(tiled - whole))
    print("tile  mean |difference|  largest")
    for size, maps in differences.items():
        mean = np.mean([values.mean() for values in maps])
        print(f"{size:>4}  {mean:>17.4f}  {max(values.max() for values in maps):>7.3f}")


if __name__ == "__main__":
    main()
