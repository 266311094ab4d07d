"""How many samples one core synthesizes, or loads and augments, per second: whether training waits for data.

    python benchmarks/synthesis_speed.py [PICTURES] [--size 256 512] [--samples 300]

Without a folder the photos that come inside the scikit-image wheel are used (no cut-outs). Decoding is done beforehand:
it happens once per photo and process, whatever the length of the training. Loading and augmenting is timed on JPEGs and
mask PNGs half as large again as the crop, which are decoded each time. Time is the processor's, so that what else runs
on the machine disturbs little.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ifl_hub.data import Augmentation, AugmentedSamples, ForgerySynthesizer, PhotoPool
from ifl_hub.training.pictures import picture_files

_SHIPPED = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="?", help="folder of photos and cut-outs, searched recursively")
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--samples", type=int, default=300)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    folder = arguments.pictures
    pool = PhotoPool(_shipped_photos()) if folder is None else PhotoPool.from_files(picture_files(folder), folder)
    for index in range(len(pool)):
        pool.photo(index)
    for index in range(len(pool.cutouts)):
        pool.cutout(index)
    for size in arguments.size:
        _report(ForgerySynthesizer(pool, size), arguments.samples)
        _report_augmentation(pool, size, arguments.samples)


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


class _Files:
    """A picture and its mask a row, opened when asked for."""

    def __init__(self, folder: Path, pool: PhotoPool, side: int) -> None:
        self.folder = folder
        synthesizer = ForgerySynthesizer(pool, side, mixture={"splicing": 1})
        for number in range(16):
            sample = synthesizer[number]
            Image.fromarray(sample["image"]).save(folder / f"{number}.jpg", quality=90)
            Image.fromarray(sample["mask"] * 255).save(folder / f"{number}.png")

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict:
        image, mask = (Image.open(self.folder / f"{index}{suffix}") for suffix in (".jpg", ".png"))
        return {"image": image, "mask": mask, "label": "forged"}


def _report_augmentation(pool: PhotoPool, size: int, samples: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = _Files(Path(folder), pool, size * 3 // 2)
        for name, augmentation in {
            "default": Augmentation(size),
            "with JPEG, blur and rescaling": Augmentation(size, rescale=0.5, blur=0.5, jpeg=0.5),
        }.items():
            series = AugmentedSamples(rows, augmentation)
            start = time.process_time()
            for index in range(samples):
                series[index]
            print(f"{size} px: {samples / (time.process_time() - start):.0f} pictures/s loaded and augmented, {name}")


def _shipped_photos() -> list[Path]:
    import skimage

    return [Path(skimage.__file__).parent / "data" / name for name in _SHIPPED]


if __name__ == "__main__":
    main()
