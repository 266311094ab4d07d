"""Writes the list of real faces that shipped weights learn from: a maintainer's command, run when pictures change.

    python training_scripts/write_face_list.py DIR --sheet faces.png

A detector finds faces in the photos of the manifest; what a person saw on the sheet and did not want (animals, statues,
the back of a head) is data in `face_curation.json`, by photo and place. Training reads the result
(`ifl_hub/training/recipes/faces.jsonl`) and needs no detector.
"""

import argparse
import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw
from tqdm import tqdm

from ifl_hub.files import write_atomically
from ifl_hub.image_processing import FaceCrop, FaceCropper
from ifl_hub.training.face_classification import FACES
from ifl_hub.training.pictures import Picture, find_pictures, load_manifest

CURATION = Path(__file__).with_name("face_curation.json")
TILE = 96


def main() -> int:
    """Find, leave out, write, and draw what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+", help="the gathered pictures")
    parser.add_argument("--sheet", type=Path, help="a picture of all faces, numbered, those left out crossed")
    arguments = parser.parse_args()
    curation = json.loads(CURATION.read_text(encoding="utf-8"))
    cropper = FaceCropper(curation["detector"], min_score=curation["smallest_score"])
    manifest = load_manifest()
    photos = [
        item
        for split in ("train", "validation")
        for item in find_pictures(arguments.pictures, manifest, split).paths.items()  # type: ignore[arg-type]
        if item[0].role == "photo" and item[0].source in curation["sources"]
    ]
    found = [
        (picture, face)
        for picture, path in tqdm(photos)
        for face in cropper(path)
        if min(face.box[2] - face.box[0], face.box[3] - face.box[1]) >= curation["smallest_face"]
    ]
    wanted = [pair for pair in found if _name(*pair) not in curation["left_out"]]
    lines = [json.dumps({"sha256": picture.sha256, "box": list(face.box)}) + "\n" for picture, face in wanted]
    write_atomically(FACES, "".join(lines).encode())
    if arguments.sheet:
        _sheet(found, set(curation["left_out"])).save(arguments.sheet)
    print(f"{len(wanted)} of {len(found)} faces in {FACES}")
    return 0


def _name(picture: Picture, face: FaceCrop) -> str:
    """How the curation calls a face: its photo and the left upper corner of its box."""
    return f"{picture.file_name} {face.box[0]},{face.box[1]}"


def _sheet(found: list[tuple[Picture, FaceCrop]], left_out: set[str]) -> Image.Image:
    columns = 12
    sheet = Image.new("RGB", (columns * TILE, -(-len(found) // columns) * TILE))
    pen = ImageDraw.Draw(sheet)
    for number, (picture, face) in enumerate(found):
        left, top = number % columns * TILE, number // columns * TILE
        sheet.paste(Image.fromarray(face.pixels).resize((TILE, TILE)), (left, top))
        name = _name(picture, face)
        pen.text(
            (left + 2, top + 2), f"{number} {picture.split[0]}", fill="yellow", stroke_width=1, stroke_fill="black"
        )
        if name in left_out:
            pen.line((left, top, left + TILE, top + TILE), fill="red", width=3)
        print(number, name, face.score)
    return sheet


if __name__ == "__main__":
    sys.exit(main())
