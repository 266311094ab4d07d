"""Lists of pictures and masks as people keep them: JSON, CSV, or one line of text a picture."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from .pairing import files_below, is_picture, pair_by_stem
from .schema import LABELS, DataFormatError, Label

LIST_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt")
#: What lists write where an authentic picture has no mask.
_NO_MASK = frozenset({"", "none", "null", "negative", "nan", "-"})
_IMAGE_KEYS = ("image", "file_name", "image_path", "img_path", "img", "path", "filename")
_MASK_KEYS = ("mask", "mask_file_name", "mask_path", "gt_path", "gt", "gt_mask", "annotation")
_LABELS: Mapping[str, Label] = {
    **dict.fromkeys(("authentic", "0", "real", "pristine", "original", "au", "false"), LABELS[0]),
    **dict.fromkeys(("forged", "1", "fake", "tampered", "manipulated", "spliced", "tp", "true"), LABELS[1]),
}


@dataclass(frozen=True)
class ListEntry:
    """One picture of a list.

    Attributes:
        image: The picture; whether it exists is for the caller to see.
        mask: Its mask, or None.
        label: As listed; where the list says nothing, a picture without a mask is authentic, and one with a mask is
            None: only the mask's content can tell.
        columns: Further columns by name, such as `group` or `forgery_type`.
    """

    image: Path
    mask: Path | None
    label: Label | None
    columns: Mapping[str, Any]


def read_list(path: Path) -> list[ListEntry]:
    """Read a list; paths in it are relative to its folder.

    JSON: an array of `[image, mask]`, of objects, or of IMDLBenCo's `["ManiDataset", folder]`, `["JsonDataset", list]`.
    CSV: a header with `image` and `mask`. Text: `image`, `image,mask` or `image,mask,label` a line, split at commas or
    tabs, else at blanks. "None", "Negative" or nothing stands for no mask.

    Raises:
        DataFormatError: If the file is not such a list, is empty, or a label is unknown.
    """
    if path.suffix.lower() not in LIST_SUFFIXES:
        raise DataFormatError(f"{path}: not a list; give one of {', '.join(LIST_SUFFIXES)}")
    try:
        entries = list(_entries(path))
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise DataFormatError(f"{path}: {error}") from error
    if not entries:
        raise DataFormatError(f"{path}: an empty list; give image and mask, one pair a line")
    return entries


def read_label(value: Any) -> Label:
    """A label as people write it: authentic, real, pristine, 0 …; forged, fake, tampered, 1 …

    Raises:
        DataFormatError: If it is none of those.

    Example:
        >>> read_label("Fake"), read_label(0)
        ('forged', 'authentic')
    """
    label = _LABELS.get(str(value).strip().lower())
    if label is None:
        raise DataFormatError(f"label {value!r} is unknown; write one of {', '.join(_LABELS)}")
    return label


def resolve(folder: Path, listed: str) -> Path:
    """The file that a list means: Windows' slashes count as slashes, and the case of the name need not agree.

    Returns:
        The path as listed where no such file exists.
    """
    path = folder / (PureWindowsPath(listed).as_posix() if "\\" in listed else listed)
    if path.exists() or not path.parent.is_dir():
        return path
    same = [other for other in path.parent.iterdir() if other.name.casefold() == path.name.casefold()]
    return same[0] if len(same) == 1 else path


def pairs_of_folders(pictures: Path, masks: Path) -> list[ListEntry]:
    """The pictures of one folder with the masks of another, paired by name; a picture without one is authentic.

    Raises:
        DataFormatError: If a mask fits no picture, or more than one fits the same: then nothing is certain.
    """
    images = [path for _, path in files_below(pictures) if is_picture(path)]
    pairing = pair_by_stem(images, [path for _, path in files_below(masks) if is_picture(path)])
    if pairing.strays:
        raise DataFormatError(f"{pairing.strays[0]} belongs to no picture of {pictures}: give it its picture's name")
    for picture, candidates in pairing.ambiguous.items():
        names = ", ".join(str(candidate) for candidate in candidates)
        raise DataFormatError(f"{picture}: not clear which mask is its own ({names}); give every picture its own name")
    found = pairing.masks
    return [ListEntry(picture, found.get(picture), _default_label(found.get(picture)), {}) for picture in images]


def _entries(path: Path) -> Iterator[ListEntry]:
    text = path.read_text(encoding="utf-8-sig")
    suffix = path.suffix.lower()
    if suffix == ".json":
        content = json.loads(text)
        if not isinstance(content, list):
            raise DataFormatError("give a JSON array of [image, mask] pairs or of objects with image and mask")
        for item in content:
            yield from _json_entries(path.parent, item)
    elif suffix == ".jsonl":
        for line in filter(str.strip, text.splitlines()):
            yield _from_columns(path.parent, json.loads(line))
    elif suffix in (".csv", ".tsv"):
        for row in csv.DictReader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ","):
            yield _from_columns(path.parent, {str(key).strip(): value for key, value in row.items()})
    else:
        for line in filter(str.strip, text.splitlines()):
            yield _from_fields(path.parent, _split_line(line.strip()))


def _json_entries(folder: Path, item: Any) -> Iterator[ListEntry]:
    if isinstance(item, dict):
        yield _from_columns(folder, item)
    elif isinstance(item, list) and len(item) == 2 and item[0] == "ManiDataset":
        yield from pairs_of_folders(resolve(folder, item[1]) / "Tp", resolve(folder, item[1]) / "Gt")
    elif isinstance(item, list) and len(item) == 2 and item[0] == "JsonDataset":
        yield from read_list(resolve(folder, item[1]))
    elif isinstance(item, list) and 1 <= len(item) <= 3:
        yield _from_fields(folder, ["" if field is None else str(field) for field in item])
    else:
        raise DataFormatError(f"{json.dumps(item)[:80]} is no [image, mask] pair and no object")


def _split_line(line: str) -> list[str]:
    for separator in (",", "\t"):
        if separator in line:
            return [field.strip() for field in line.split(separator)]
    fields = line.split()
    return fields if all(_looks_like_a_field(field) for field in fields) else [line]


def _looks_like_a_field(field: str) -> bool:
    return "." in field or field.lower() in _NO_MASK or field.lower() in _LABELS


def _from_fields(folder: Path, fields: list[str]) -> ListEntry:
    names = ("image", "mask", "label")
    if len(fields) > len(names):
        raise DataFormatError(f"{','.join(fields)[:80]}: more than image, mask and label; separate them by tabs")
    return _from_columns(folder, dict(zip(names, fields, strict=False)))


def _from_columns(folder: Path, columns: Mapping[str, Any]) -> ListEntry:
    image = next((columns[key] for key in _IMAGE_KEYS if columns.get(key)), None)
    if image is None:
        raise DataFormatError(f"no column for the picture; name it {_IMAGE_KEYS[0]!r}")
    listed = next((columns[key] for key in _MASK_KEYS if columns.get(key)), None)
    mask = None if str(listed or "").strip().lower() in _NO_MASK else resolve(folder, str(listed))
    label = columns.get("label")
    known = label is not None and str(label).strip() != ""
    rest = {key: value for key, value in columns.items() if key not in (*_IMAGE_KEYS, *_MASK_KEYS, "label") and value}
    return ListEntry(resolve(folder, str(image)), mask, read_label(label) if known else _default_label(mask), rest)


def _default_label(mask: Path | None) -> Label | None:
    return "authentic" if mask is None else None
