"""Writes the picture manifest of the embedded checkpoints: a maintainer's command, run when a source changes.

What was chosen, by looking at every candidate, is data in `picture_curation.json`; this script only adds the sha256 and
the split. Training reads the result (`ifl_hub/training/recipes/pictures.jsonl`), never the curation.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gather_photos import PYPI_MODULES, debian_tree, installed_package_folder, npm_tree

from ifl_hub.files import file_sha256, write_atomically
from ifl_hub.training.pictures import MANIFEST, Picture, Split

CURATION = Path(__file__).with_name("picture_curation.json")
VALIDATION_SHARE = 0.1
BROUGHT_LICENCE = {"kodak": "Kodak-unrestricted", "coco": "COCO-Flickr-per-photo", "stdlib": "PDDL-1.0"}


def split_of(group: str, validation_groups: list[str]) -> Split:
    """The split of a group: validation for about `VALIDATION_SHARE` of them by hash, and for the ones named."""
    position = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
    return "validation" if group in validation_groups or position < VALIDATION_SHARE else "train"


def packaged_pictures(curation: dict[str, Any], debs: Path | None) -> Iterator[dict[str, Any]]:
    """Manifest rows, all but the split, of the pictures that a package installs and the curation chose."""
    for source, chosen in curation["packages"].items():
        manager, name = chosen["package"].split(":")
        with tempfile.TemporaryDirectory() as scratch:
            if manager == "deb":
                root = debian_tree(name, debs, Path(scratch))
            elif manager == "npm":
                root = npm_tree(name, Path(scratch))
            else:
                root = installed_package_folder(PYPI_MODULES[name])
            for file in chosen["files"]:
                relative = file.get("file_name", file["path"])
                yield {
                    "sha256": file_sha256(root / chosen["root"] / file["path"]),
                    "file_name": f"{chosen['role']}s/{source}/{relative}",
                    "role": chosen["role"],
                    "source": source,
                    "package": chosen["package"],
                    "licence": file.get("licence") or chosen["licence"],
                    "author": file.get("author") or chosen.get("author"),
                    "installable": True,
                    "group": f"{source}/{file.get('group', relative)}",
                    "donor": None,
                }


def brought_pictures(data: Path) -> Iterator[dict[str, Any]]:
    """Manifest rows, all but the split, of the photos and cut-outs that `data` describes as allowed."""
    brought = ("kodak", "coco", "stdlib_npm")
    photos = {row["file_name"]: row for row in _allowed(data / "photos") if row["source"] in brought}
    for file_name, row in photos.items():
        source = row["source"].removesuffix("_npm")
        yield _brought(data / "photos", file_name, "photo", source, row["origin"], group=Path(file_name).name)
    for row in _allowed(data / "cutouts"):
        photo = f"coco/{Path(row['donor_image']).name}"
        donor = f"photos/{photo}" if photo in photos else None
        yield _brought(data / "cutouts", row["file_name"], "cutout", "coco", "", group=Path(photo).name, donor=donor)


def _allowed(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["may_train_shipped_weights"] is True]


def _brought(
    folder: Path, file_name: str, role: str, source: str, origin: str, group: str, donor: str | None = None
) -> dict[str, Any]:
    package = f"npm:{origin.removeprefix('npm install ')}" if source == "stdlib" else None
    return {
        "sha256": file_sha256(folder / file_name),
        "file_name": f"{role}s/{source}/{Path(file_name).name}",
        "role": role,
        "source": source,
        "package": package,
        "licence": BROUGHT_LICENCE[source],
        "author": None,
        "installable": package is not None,
        "group": f"{source}/{group}",
        "donor": donor,
    }


def main() -> int:
    """Writes the manifest and says how many pictures it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with photos/metadata.jsonl and cutouts/metadata.jsonl")
    parser.add_argument("--debs", type=Path, help="folder with already downloaded Debian packages")
    arguments = parser.parse_args()
    curation = json.loads(CURATION.read_text(encoding="utf-8"))
    rows = [*packaged_pictures(curation, arguments.debs), *brought_pictures(arguments.data)]
    pictures = [Picture(**row, split=split_of(row["group"], curation["validation_groups"])) for row in rows]
    pictures.sort(key=lambda picture: picture.file_name)
    lines = [json.dumps(asdict(picture), ensure_ascii=False) + "\n" for picture in pictures]
    write_atomically(MANIFEST, "".join(lines).encode())
    print(f"{len(pictures)} pictures in {MANIFEST}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
