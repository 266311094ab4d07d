"""How many synthetic samples one core makes per second: the figure that decides whether training waits for data.

    python benchmarks/synthesis_speed.py [PHOTOS] [--size 256 512] [--samples 300]

Without a folder the photos that come inside the scikit-image wheel are used (no cut-outs). Decoding is done beforehand:
it happens once per photo and process, whatever the length of the training. Time is the processor's, so that what else
runs on the machine disturbs little.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from ifl_hub.data import ForgerySynthesizer, PhotoPool
from ifl_hub.training.pictures import picture_files

_SHIPPED = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?", help="folder of photos, searched recursively")
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--samples", type=int, default=300)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    pool = PhotoPool(_shipped_photos() if arguments.photos is None else list(picture_files(arguments.photos)))
    for index in range(len(pool)):
        pool.photo(index)
    for size in arguments.size:
        _report(ForgerySynthesizer(pool, size), arguments.samples)


def _report(synthesizer: ForgerySynthesizer, samples: int) -> None:
    synthesizer[0]
    seconds = defaultdict(list)
    for index in range(samples):
        start = time.process_time()
        kind = synthesizer[index]["record"]["kind"]
        seconds[kind].append(time.process_time() - start)
    rate = samples / sum(map(sum, seconds.values()))
    kinds = ", ".join(f"{kind} {1e3 * np.mean(times):.1f} ms" for kind, times in sorted(seconds.items()))
    print(f"{synthesizer.height} px: {rate:.0f} samples/s on one core ({kinds})")


def _shipped_photos() -> list[Path]:
    import skimage

    return [Path(skimage.__file__).parent / "data" / name for name in _SHIPPED]


if __name__ == "__main__":
    main()
