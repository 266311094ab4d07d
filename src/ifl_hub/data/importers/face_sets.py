"""Data sets of real and forged faces, as folders of face crops or frames: for detection, so without masks.

A group is what would leak a face: the two videos of FaceForensics++ that lend each other their faces, a person of
Celeb-DF, an original of DFDC with all its fakes.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..lists import read_label
from ..pairing import files_below, is_picture
from .layout import Layout, NamedFiles, Pictures, Sample, Skipped

_ANY = r"(?:.*/)?"
_IMAGE = r"\.(?:jpe?g|png|webp|bmp)"
_FACE_FORGERIES = {
    "deepfakes": "face-swap",
    "faceswap": "face-swap",
    "faceshifter": "face-swap",
    "face2face": "reenactment",
    "neuraltextures": "reenactment",
}
_TEST_LIST = "List_of_testing_videos.txt"

# …/c23/faces/000_003/0001.png: the target's video with the source's face, and 003_000 the other way round.
FACE_FORENSICS = NamedFiles(
    pictures=(
        Pictures(
            _ANY + rf"(?P<name>original_sequences/youtube/(?:[^/]+/)*(?P<video>\d+)/[^/]+{_IMAGE})", group="{video}"
        ),
        Pictures(
            _ANY + rf"(?P<name>original_sequences/actors/(?:[^/]+/)*(?P<actor>\d+)__[^/]+/[^/]+{_IMAGE})",
            group="actor {actor}",
        ),
        Pictures(
            _ANY
            + rf"(?P<name>manipulated_sequences/(?P<type>{'|'.join(_FACE_FORGERIES)})"
            + rf"/(?:[^/]+/)*(?P<target>\d+)_(?P<source>\d+)/[^/]+{_IMAGE})",
            group="{target}",
            linked="{source}",
            forgery_type=_FACE_FORGERIES,
        ),
        Pictures(
            _ANY
            + r"(?P<name>manipulated_sequences/DeepFakeDetection/(?:[^/]+/)*(?P<actor>\d+)_\d+__[^/]+/[^/]+"
            + _IMAGE
            + ")",
            group="actor {actor}",
            forgery_type="face-swap",
        ),
    ),
    ignored=_ANY + r"(?:masks?|landmarks)/.*",
)
# id0_0000 is a video of person 0; id0_id1_0000 the same video with the face of person 1.
CELEB_DF = NamedFiles(
    pictures=(
        Pictures(
            _ANY + rf"(?P<name>Celeb-real/(?:[^/]+/)?(?P<person>id\d+)_\d+/[^/]+{_IMAGE})",
            group="{person}",
        ),
        Pictures(
            _ANY + rf"(?P<name>YouTube-real/(?:[^/]+/)?(?P<video>\d+)/[^/]+{_IMAGE})",
            group="youtube {video}",
        ),
        Pictures(
            _ANY + rf"(?P<name>Celeb-synthesis/(?:[^/]+/)?(?P<person>id\d+)_id\d+_\d+/[^/]+{_IMAGE})",
            group="{person}",
            forgery_type="face-swap",
        ),
    ),
    ignored=_ANY + r"landmarks/.*",
)


def find_celeb_df(folder: Path) -> Iterator[Sample | Skipped]:
    """Its pictures; the official split is a column `official_split`, for it parts persons and is no split of ours."""
    lists = sorted(folder.rglob(_TEST_LIST))
    listed = (
        {line.split()[-1].removesuffix(".mp4") for line in lists[0].read_text().split("\n") if line} if lists else None
    )
    for sample in CELEB_DF(folder):
        if isinstance(sample, Sample) and listed is not None:
            parts = Path(sample.name).parts
            is_test = f"{parts[0]}/{parts[-2]}" in listed
            sample = replace(sample, extra={"official_split": "test" if is_test else "train"})
        yield sample


def find_dfdc(folder: Path) -> Iterator[Sample | Skipped]:
    """Faces in folders named like their videos, below a `metadata.json` (or the test set's `labels.csv`)."""
    videos: dict[Path, tuple[str, str]] = {}
    for table in (*sorted(folder.rglob("metadata.json")), *sorted(folder.rglob("labels.csv"))):
        videos |= {table.parent / name: facts for name, facts in _dfdc_videos(table).items()}
    for relative, path in files_below(folder):
        if not is_picture(path):
            continue
        facts = next((videos[key] for parent in path.parents if (key := parent / path.parent.name) in videos), None)
        if facts is None:
            yield Skipped(path, "no metadata.json above it names its video")
            continue
        label, group = facts
        kind = "none" if read_label(label) == "authentic" else "face-swap"
        yield Sample(path, relative, read_label(label), group, kind)


def _dfdc_videos(table: Path) -> dict[str, tuple[str, str]]:
    """Label and group (the original's name) of each video, by its name without suffix."""
    if table.suffix == ".csv":
        with table.open(encoding="utf-8-sig", newline="") as file:
            return {
                Path(row["filename"]).stem: (row["label"], Path(row["filename"]).stem) for row in csv.DictReader(file)
            }
    content = json.loads(table.read_text(encoding="utf-8"))
    return {
        Path(name).stem: (facts["label"], Path(facts.get("original") or name).stem) for name, facts in content.items()
    }


FACE_SETS = (
    Layout(
        "faceforensics",
        "FaceForensics++ and DeepFakeDetection",
        "original_sequences/youtube/c23/faces/000/0001.png, manipulated_sequences/Deepfakes/c23/faces/000_003/0001.png",
        FACE_FORENSICS,
        has_masks=False,
    ),
    Layout(
        "celeb-df",
        "Celeb-DF v1 and v2",
        "Celeb-real/id0_0000/0001.png, Celeb-synthesis/id0_id1_0000/0001.png",
        find_celeb_df,
        has_masks=False,
    ),
    Layout("dfdc", "DFDC", "VIDEO/0001.png below a metadata.json or labels.csv", find_dfdc, has_masks=False),
)
