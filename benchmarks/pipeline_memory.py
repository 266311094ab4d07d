"""What a large photo costs: peak memory above the loaded model, and seconds, at 1, 6 and 24 megapixels.

    python benchmarks/pipeline_memory.py [--model FOLDER] [--tile-size 512] [--batch-size 1] [--megapixels 1 6 24]

Each size runs in a process of its own, because a process's peak never falls. The photo is decoded from a JPEG file, as
in use; "above the model" is the peak minus what was resident once model and libraries were loaded and a small picture
had gone through. The promise: 24 megapixels (6000x4000) within 1.5 GB above the model, in time linear in pixels.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a checkpoint; default: the embedded one")
    parser.add_argument("--tile-size", type=int)
    parser.add_argument("--tile-overlap", type=int)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 6, 24])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments)))
        return
    print("     picture  megapixels  loaded MB  above MB  wall s   cpu s  cpu s/MP")
    for megapixels in arguments.megapixels:
        with tempfile.TemporaryDirectory() as folder:
            picture = make_picture(Path(folder) / "picture.jpg", megapixels)
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(picture)]
            figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{figures['size']:>12}  {megapixels:>10g}  {figures['loaded']:>9.0f}  {figures['above']:>8.0f}  "
            f"{figures['wall']:>6.1f}  {figures['cpu']:>6.1f}  {figures['cpu'] / megapixels:>8.2f}"
        )


def make_picture(path: Path, megapixels: float) -> Path:
    """A smooth 3:2 picture: what it shows changes neither memory nor time."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    coarse = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((round(height * 1.5), height), Image.Resampling.BICUBIC).save(path, quality=92)
    return path


def measure(picture: Path, arguments: argparse.Namespace) -> dict[str, float | str]:
    from transformers import pipeline

    import ifl_hub  # noqa: F401

    options = {name: getattr(arguments, name) for name in ("tile_size", "tile_overlap", "batch_size")}
    localize = pipeline("image-forgery-localization", model=arguments.model, device="cpu")
    localize(np.zeros((64, 64, 3), dtype=np.uint8), **options)
    loaded = peak_megabytes()
    wall, cpu = time.perf_counter(), time.process_time()
    result = localize(str(picture), **options)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "loaded": loaded,
        "above": peak_megabytes() - loaded,
        "size": "x".join(map(str, result["mask"].size)),
    }


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
