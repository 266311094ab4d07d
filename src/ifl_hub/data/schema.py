"""The form of a data set on disk: a folder that `datasets.load_dataset("imagefolder", …)` reads as it is.

One line of `metadata.jsonl` a picture. Two rules look odd and are not: an authentic picture has a mask file of zeros
and no string is null, because a column that is null throughout a split has another type there than in the next split;
and no path holds the word of a split ("test_01.png"), because `datasets` then loads such files and drops all others.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import atomic_file, write_atomically

METADATA = "metadata.jsonl"

Label = Literal["authentic", "forged"]
MaskSemantics = Literal["target", "source+target"]
Split = Literal["train", "validation", "test"]

LABELS: tuple[Label, ...] = get_args(Label)
SPLITS: tuple[Split, ...] = get_args(Split)
#: The forgery type of an authentic picture, and of a forged one about which nothing is known.
NO_FORGERY, UNKNOWN_FORGERY = "none", "unknown"

#: Words that `datasets` takes for the name of a split wherever punctuation, digits or blanks surround them in a path.
_SPLIT_WORD = re.compile(
    r"(?<![^-._ 0-9/])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?=[-._ 0-9/]|$)"
)
_COLUMNS = ("file_name", "mask_file_name", "label", "source", "forgery_type", "group", "mask_semantics", "split")


class DataFormatError(ValueError):
    """A data set that cannot be read or written as asked; the message is one line that says where and what to do."""


@dataclass(frozen=True)
class ForgeryRow:
    """One picture and its ground truth.

    Attributes:
        file_name: The picture, relative to the folder of `metadata.jsonl`, with forward slashes.
        mask_file_name: Its mask, likewise; None only in a data set that has no masks at all (faces for detection), or
            where a folder that nobody imported is read.
        label: `"authentic"` or `"forged"`.
        source: The data set it comes from, such as `"casia1"`.
        forgery_type: Such as `"splicing"`, `"copy-move"`, `"removal"`; `"none"` for an authentic picture.
        group: What must not cross splits: the host photo, the video, the person.
        mask_semantics: Whether a copied region's origin is marked too (`"source+target"`), or only what was changed.
        split: `"train"`, `"validation"`, `"test"`, or None before `ifl-hub data split`.
        extra: Further columns; they are kept, and nothing here reads them.

    Raises:
        DataFormatError: If a value is not one of those.
    """

    file_name: str
    mask_file_name: str | None
    label: Label
    source: str
    forgery_type: str
    group: str
    mask_semantics: MaskSemantics = "target"
    split: Split | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("file_name", "mask_file_name"):
            path = getattr(self, name)
            if path is not None and not _is_inside(path):
                raise DataFormatError(f"{name} {path!r} must be a path inside the data set's folder, with / between")
        for name, allowed in (("label", LABELS), ("mask_semantics", get_args(MaskSemantics))):
            if getattr(self, name) not in allowed:
                raise DataFormatError(f"{self.file_name}: {name} {getattr(self, name)!r} is not among {allowed}")
        if self.split is not None and self.split not in SPLITS:
            raise DataFormatError(f"{self.file_name}: split {self.split!r} is not among {SPLITS}")
        if (self.label == "authentic") != (self.forgery_type == NO_FORGERY):
            raise DataFormatError(
                f"{self.file_name}: forgery_type {self.forgery_type!r} does not go with label {self.label!r}; "
                f"{NO_FORGERY!r} is for authentic pictures, {UNKNOWN_FORGERY!r} for forged ones of unknown kind"
            )
        if empty := [name for name in ("source", "forgery_type", "group") if not getattr(self, name)]:
            raise DataFormatError(f"{self.file_name}: {empty[0]} is empty; every string needs a value")

    def to_record(self) -> dict[str, Any]:
        """The line of `metadata.jsonl`, without the keys that have no value."""
        record = {name: getattr(self, name) for name in _COLUMNS} | dict(self.extra)
        return {name: value for name, value in record.items() if value is not None}


def row_from_record(record: Mapping[str, Any], default_source: str) -> ForgeryRow:
    """A line as anybody may have written it: what is missing or null gets the value that means so.

    Args:
        record: `file_name` and `label` are needed. A column `suggested_split` counts as `split`.
        default_source: Used where the line names no source.

    Raises:
        DataFormatError: If `file_name` is missing, or a value is not of the form.

    Example:
        >>> row_from_record({"file_name": "a.jpg", "label": "authentic", "mask_file_name": None}, "mine").group
        'a.jpg'
    """
    if not isinstance(record.get("file_name"), str):
        raise DataFormatError("a line has no file_name: every picture needs one")
    name, label = record["file_name"], record.get("label")
    forgery_type = record.get("forgery_type") or UNKNOWN_FORGERY
    semantics = record.get("mask_semantics") or "target"
    return ForgeryRow(
        file_name=name,
        mask_file_name=record.get("mask_file_name") or None,
        label=label,  # type: ignore[arg-type]  # checked by the row itself
        source=str(record.get("source") or default_source),
        forgery_type=NO_FORGERY if label == "authentic" else str(forgery_type),
        group=str(record.get("group") or name),
        mask_semantics="target" if label == "authentic" and semantics == "none" else semantics,  # type: ignore[arg-type]
        split=record.get("split") or record.get("suggested_split") or None,
        extra={key: value for key, value in record.items() if key not in (*_COLUMNS, "suggested_split")},
    )


def read_metadata(folder: str | Path) -> list[ForgeryRow]:
    """The rows of a folder, in the order of its `metadata.jsonl`; null masks are read, not refused.

    Raises:
        DataFormatError: If there is no `metadata.jsonl`, it holds no row, or a line is not of the form.
    """
    listing = Path(folder) / METADATA
    if not listing.is_file():
        raise DataFormatError(f"{listing} is missing: make it with `ifl-hub data import`, or name the right folder")
    rows = []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(row_from_record(json.loads(line), Path(folder).resolve().name))
        except (ValueError, AttributeError) as error:
            raise DataFormatError(f"{listing}, line {number}: {error}") from error
    if not rows:
        raise DataFormatError(f"{listing} has no row: nothing to read")
    return rows


def write_metadata(folder: str | Path, rows: Sequence[ForgeryRow]) -> None:
    """Write `metadata.jsonl`, all of it or nothing.

    Raises:
        DataFormatError: If the rows together break the form (`check_rows`).
    """
    check_rows(rows)
    lines = [json.dumps(row.to_record(), ensure_ascii=False) + "\n" for row in rows]
    write_atomically(Path(folder) / METADATA, "".join(lines).encode())


def check_rows(rows: Sequence[ForgeryRow]) -> None:
    """What rows must have in common for `datasets` to read them with one type a column and none left out.

    Raises:
        DataFormatError: If there is no row; a picture or mask occurs twice; some rows have a mask, or a split, and
            others none; or a path would be taken for a split.
    """
    if not rows:
        raise DataFormatError("a data set needs at least one picture")
    paths = [path for row in rows for path in (row.file_name, row.mask_file_name) if path is not None]
    if twice := [path for path, count in Counter(paths).items() if count > 1]:
        raise DataFormatError(f"{twice[0]} occurs in {Counter(paths)[twice[0]]} rows: give every row its own file")
    for name in ("mask_file_name", "split"):
        without = [row.file_name for row in rows if getattr(row, name) is None]
        if 0 < len(without) < len(rows):
            raise DataFormatError(f"{without[0]} has no {name} and other rows have one: give it to all or to none")
    for path in paths:
        if path != safe_path(path):
            raise DataFormatError(f"{path}: `datasets` takes it for a split; rename it to {safe_path(path)}")


def safe_path(path: str) -> str:
    """The path with every word that `datasets` takes for a split in capitals, which it does not.

    Example:
        >>> safe_path("val/my test_001.jpg"), safe_path("latest.jpg")
        ('VAL/my TEST_001.jpg', 'latest.jpg')
    """
    return _SPLIT_WORD.sub(lambda match: match.group().upper(), path)


def write_mask(path: Path, forged: NDArray[np.bool_]) -> None:
    """Write a mask as the form has it: an 8-bit PNG, 0 authentic and 255 forged.

    Args:
        path: Ends in `.png`.
        forged: `(H, W)`, True where forged.
    """
    with atomic_file(path) as file:
        Image.fromarray(forged.astype(np.uint8) * 255).save(file, "PNG")


def count_by(rows: Iterable[ForgeryRow], *names: str) -> dict[str, int]:
    """How many rows there are of each combination of columns, joined by a blank, in sorted order."""
    counts = Counter(" ".join(str(getattr(row, name)) for name in names) for row in rows)
    return dict(sorted(counts.items()))


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and "\\" not in path and not path.startswith("/") and ".." not in parts
