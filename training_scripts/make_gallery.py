r"""Forge photos in the public domain and write docs/gallery.jpg and docs/gallery_worst.jpg with every localizer's maps.

    python training_scripts/make_gallery.py --pictures DIR [--work out/gallery]

DIR holds the gathered pictures (gather_photos.py). Only photos that may be used without any condition, and that no
checkpoint was trained on, go into the pictures. After a checkpoint changed, the same command redraws both.
"""

import argparse
import json
import shutil
from pathlib import Path

from PIL import Image

from ifl_hub.data import ForgerySynthesizer, PhotoPool
from ifl_hub.data.synthesized import write_synthesized
from ifl_hub.evaluation import baseline_localizer, evaluate_folder, read_labelled_images
from ifl_hub.evaluation.gallery import write_gallery
from ifl_hub.evaluation.leaderboard.measuring import checkpoint_localizer, leaderboard_names
from ifl_hub.metrics import get_definition
from ifl_hub.training.pictures import find_pictures, load_manifest

DOCS = Path(__file__).parent.parent / "docs"
FREE = ("CC0-1.0", "Public-Domain", "PDDL-1.0")
SIZE, COUNT, SEED = (288, 384), 20, 11
MIXTURE = {"splicing": 1.0, "copy_move": 1.0}
BASELINES = ("ela", "noise", "copy-move")


def main() -> None:
    """Forge, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="the gathered pictures")
    parser.add_argument("--work", type=Path, default=Path("out/gallery"), help="takes forgeries and maps")
    arguments = parser.parse_args()
    found = find_pictures(arguments.pictures, load_manifest(), "validation").paths
    photos = [path for picture, path in found.items() if picture.role == "photo" and picture.licence in FREE]
    data = arguments.work / "forgeries"
    write_synthesized(ForgerySynthesizer(PhotoPool(photos), SIZE, SEED, MIXTURE), data, COUNT)
    trained = [name for name in leaderboard_names() if not name.startswith("baseline:")]
    localizers = [*map(checkpoint_localizer, trained), *map(baseline_localizer, BASELINES)]
    evaluation = evaluate_folder(arguments.work / "evaluation", data, localizers, get_definition())
    assert evaluation is not None  # one process
    write_gallery(arguments.work, evaluation, {image.name: image.image for image in read_labelled_images(data)})
    shutil.copyfile(arguments.work / "gallery.jpg", DOCS / "gallery.jpg")
    shutil.copyfile(arguments.work / "worst.jpg", DOCS / "gallery_worst.jpg")
    for name in ("gallery.jpg", "gallery_worst.jpg"):
        with Image.open(DOCS / name) as sheet:
            print(name, sheet.size, f"{(DOCS / name).stat().st_size / 1000:.0f} kB")
    print(json.dumps([path.name for path in photos]))


if __name__ == "__main__":
    main()
