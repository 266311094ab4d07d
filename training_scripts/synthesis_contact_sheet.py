r"""Draws samples of the forgery synthesizer side by side with their masks, because realism has to be looked at.

    python training_scripts/synthesis_contact_sheet.py PICTURES --out sheet.png --kind copy_move --rows 6

Forged pixels are tinted red; the caption gives the sample's index and kind. `docs/synthesis.jpg` shows pictures only
whose licence allows it:

    python training_scripts/synthesis_contact_sheet.py PICTURES --out docs/synthesis.jpg --seed 12 \
        --licence CC0-1.0 Public-Domain PDDL-1.0 GPL-2.0-or-later
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ifl_hub.data import DEFAULT_MIXTURE, ForgerySynthesizer, PhotoPool
from ifl_hub.training.pictures import find_pictures, load_manifest, picture_files


def main() -> None:
    """Writes one picture with `--rows` rows of each kind."""
    arguments = _parser().parse_args()
    pool = _pool(arguments.pictures, set(arguments.licence))
    rows = []
    for number, kind in enumerate(arguments.kind):
        synthesizer = ForgerySynthesizer(pool, arguments.size, arguments.seed + number, {kind: 1.0})
        for first in range(0, arguments.rows * arguments.columns, arguments.columns):
            rows.append(np.hstack([_tile(synthesizer, first + column) for column in range(arguments.columns)]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(arguments.out, quality=85)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder of photos and RGBA cut-outs, searched recursively")
    parser.add_argument("--out", type=Path, default=Path("out/synthesis_contact_sheet.png"))
    parser.add_argument("--kind", choices=list(DEFAULT_MIXTURE), nargs="+", default=list(DEFAULT_MIXTURE))
    parser.add_argument("--licence", nargs="*", default=[], help="only the manifest's pictures with one of these")
    parser.add_argument("--rows", type=int, default=1, help="rows of each kind")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _pool(folder: Path, licences: set[str]) -> PhotoPool:
    if not licences:
        return PhotoPool.from_files(picture_files(folder), folder)
    manifest = load_manifest()
    found = [find_pictures([folder], manifest, split).paths for split in ("train", "validation")]
    allowed = [path for paths in found for picture, path in paths.items() if picture.licence in licences]
    return PhotoPool.from_files(sorted(allowed), folder)


def _tile(synthesizer: ForgerySynthesizer, index: int) -> np.ndarray:
    sample = synthesizer[index]
    overlay = sample["image"].copy()
    forged = sample["mask"] > 0
    overlay[forged] = overlay[forged] // 2 + np.array([127, 0, 0], np.uint8)
    picture = Image.fromarray(np.hstack([sample["image"], overlay]))
    edit = sample["record"]["edit"]
    detail = edit.get("region", "") if "step" not in edit else edit["step"]["op"]
    caption = f"{index} {sample['record']['kind']} {detail}"
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 6 * len(caption) + 4, 12), fill="black")
    draw.text((2, 0), caption, fill="white")
    return np.asarray(picture)


if __name__ == "__main__":
    main()
