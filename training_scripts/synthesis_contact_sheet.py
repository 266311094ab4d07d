"""Draws samples of the forgery synthesizer side by side with their masks, because realism has to be looked at.

    python training_scripts/synthesis_contact_sheet.py PHOTOS --out sheet.png --kind copy_move --count 24

Forged pixels are tinted red; the caption gives the sample's index and kind.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ifl_hub.data import DEFAULT_MIXTURE, Cutout, ForgerySynthesizer, PhotoPool
from ifl_hub.training.pictures import picture_files


def main() -> None:
    """Writes one picture with `--count` samples."""
    arguments = _parser().parse_args()
    photos = list(picture_files(arguments.photos))
    cutouts = list(_cutouts(arguments.cutouts, photos)) if arguments.cutouts else []
    mixture = {arguments.kind: 1.0} if arguments.kind else None
    synthesizer = ForgerySynthesizer(PhotoPool(photos, cutouts), arguments.size, arguments.seed, mixture)
    tiles = [_tile(synthesizer, index) for index in range(arguments.count)]
    rows = [np.hstack(tiles[start : start + arguments.columns]) for start in range(0, len(tiles), arguments.columns)]
    complete = [row for row in rows if row.shape == rows[0].shape]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(complete)).save(arguments.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photos, searched recursively")
    parser.add_argument("--cutouts", type=Path, help="folder of RGBA cut-outs; its metadata.jsonl may name donor_image")
    parser.add_argument("--out", type=Path, default=Path("out/synthesis_contact_sheet.png"))
    parser.add_argument("--kind", choices=sorted(DEFAULT_MIXTURE), help="only this kind; by default the usual mixture")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _cutouts(folder: Path, photos: list[Path]) -> Iterator[Cutout]:
    """Cut-outs with their donors, matched by file name where the donor is among the photos."""
    metadata = folder / "metadata.jsonl"
    lines = metadata.read_text(encoding="utf-8").splitlines() if metadata.is_file() else []
    donors = {row["file_name"]: Path(row["donor_image"]).name for row in map(json.loads, lines) if "donor_image" in row}
    by_name = {photo.name: photo for photo in photos}
    for path in sorted(folder.rglob("*.png")):
        yield Cutout(path, by_name.get(donors.get(path.relative_to(folder).as_posix(), "")))


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
