"""OpenForensics: photos of crowds in which single faces were replaced, annotated by outlines in COCO's form."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..pairing import files_below, is_picture
from ..schema import Split
from .layout import Layout, PolygonMask, Sample, Skipped

_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "test-dev": "test", "test-challenge": "test"}


def find_openforensics(folder: Path) -> Iterator[Sample | Skipped]:
    """The photos of every `SPLIT_poly.json`; the official splits are kept, and a photo is a group of its own."""
    tables = sorted(folder.rglob("*_poly.json"))
    pictures = {"/".join(path.parts[-2:]).casefold(): path for _, path in files_below(folder) if is_picture(path)}
    for table in tables:
        part = table.stem.removesuffix("_poly")
        split = _SPLITS.get(part.lower())
        if split is None:
            yield Skipped(table, f"no official split; there are: {', '.join(_SPLITS)}")
            continue
        content = json.loads(table.read_text(encoding="utf-8"))
        fakes = _fake_outlines(content)
        for entry in content["images"]:
            name = f"{part}/{PurePosixPath(entry['file_name']).name}"
            image = pictures.get(name.casefold())
            if image is None:
                yield Skipped(folder / name, "annotated, but not there")
            else:
                yield _sample(image, name, split, table, fakes.get(entry["id"], []))


def _sample(image: Path, name: str, split: Split, table: Path, outlines: list[Any]) -> Sample | Skipped:
    if not outlines:
        return Sample(image, name, "authentic", name, split=split)
    if not all(isinstance(outline, list) for outline in outlines):
        return Skipped(image, "an outline is run-length encoded; OpenForensics has polygons")
    polygons = tuple(tuple(map(float, polygon)) for outline in outlines for polygon in outline)
    return Sample(image, name, "forged", name, "face-swap", PolygonMask(table, polygons), split=split)


def _fake_outlines(content: dict[str, Any]) -> dict[int, list[Any]]:
    """Segmentations of the fake faces, by image."""
    fake = {entry["id"] for entry in content.get("categories", []) if str(entry["name"]).lower() == "fake"} or {1}
    outlines: dict[int, list[Any]] = {}
    for annotation in content["annotations"]:
        if annotation["category_id"] in fake:
            outlines.setdefault(annotation["image_id"], []).append(annotation["segmentation"])
    return outlines


OPENFORENSICS = Layout(
    "openforensics",
    "OpenForensics",
    "Train/*.jpg with Train_poly.json, and Val, Test-Dev, Test-Challenge alike",
    find_openforensics,
)
