"""DeepfakeBench's JSON: `{data set: {label: {train|val|test: {[compression: ]{video: {label, frames}}}}}}`."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..lists import resolve
from ..schema import LABELS, NO_FORGERY, Split
from .layout import Layout, Sample, Skipped, connected

_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "test": "test"}
_TYPES = {
    "FF-DF": "face-swap",
    "FF-FS": "face-swap",
    "FF-FH": "face-swap",
    "FF-F2F": "reenactment",
    "FF-NT": "reenactment",
}
_PAIR = re.compile(r"(\d+)_(\d+)")  # FaceForensics++: the target's video with the source's face


def find_deepfakebench(path: Path) -> Iterator[Sample | Skipped]:
    """The frames of one JSON file, or of all in a folder, with their official splits; videos are the groups."""
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        samples = []
        for source, label_name, split, video, facts in _videos(json.loads(file.read_text(encoding="utf-8"))):
            for frame in facts["frames"]:
                image = _frame(file.parent, frame)
                if image is None:
                    yield Skipped(file.parent / frame, "listed, but not there: put the JSON where its paths start")
                    continue
                name = frame.replace("\\", "/").lstrip("./")
                authentic = "real" in label_name.lower()
                kind = NO_FORGERY if authentic else _TYPES.get(label_name, "face-swap")
                label = LABELS[not authentic]
                samples.append(
                    Sample(image, name, label, f"{source}/{video}", kind, split=split, source=source.lower())
                )
        yield from _pairs_joined(samples)


def _videos(content: dict[str, Any]) -> Iterator[tuple[str, str, Split, str, dict[str, Any]]]:
    """Data set, name of the label, split, video, and the video's entry, whatever levels of compression lie between."""
    for source, labels in content.items():
        for label_name, splits in labels.items():
            for split, entries in splits.items():
                for video, facts in _flat(entries):
                    yield source, label_name, _SPLITS[split], video, facts


def _flat(entries: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, facts in entries.items():
        if "frames" in facts:
            yield name, facts
        else:
            yield from _flat(facts)


def _frame(folder: Path, frame: str) -> Path | None:
    """The frame's file: its path starts at the JSON's folder or, as in the benchmark's own tree, at one above it."""
    for start in (folder, *folder.parents[:3]):
        for root in (start, start / "rgb", start / "datasets" / "rgb"):
            if (path := resolve(root, frame)).is_file():
                return path
    return None


def _pairs_joined(samples: list[Sample]) -> Iterator[Sample]:
    """The two videos of FaceForensics++ that lend each other their faces become one group."""
    links = []
    for sample in samples:
        source, _, video = sample.group.partition("/")
        if match := _PAIR.fullmatch(video):
            links.append((f"{source}/{match[1]}", f"{source}/{match[2]}"))
            links.append((sample.group, f"{source}/{match[1]}"))
    groups = connected(links)
    for sample in samples:
        yield replace(sample, group=groups.get(sample.group, sample.group))


DEEPFAKEBENCH = Layout(
    "deepfakebench",
    "DeepfakeBench's JSON",
    "NAME.json, frames at the paths it lists",
    find_deepfakebench,
    has_masks=False,
    from_file=True,
)
