"""What a folder claims to hold: its pictures, their masks, labels, groups, splits, and which claims contradict.

Where the loader stops at the first defect, this goes on: a defect becomes a finding, and the rest is still checked.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..pairing import files_below, is_picture, pair_by_stem, pair_of_folders
from ..schema import METADATA, DataFormatError, ForgeryRow, Label, Split, row_from_record
from .findings import Finding, count_of, finding

_METADATA_FILES = (METADATA, "metadata.csv")
_SPLIT_FOLDERS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
#: A data set that holds both classes seldom holds less than a fifth of one; fewer are rather slips.
RARE = 0.2
_NAME_PARTS = re.compile(r"[^0-9A-Za-z]+")
_SOURCE_PHOTO = re.compile(r"([A-Za-z]+)([0-9]+)")


@dataclass(frozen=True)
class Item:
    """One picture as the data set describes it.

    Attributes:
        image: The picture, relative to the data set's folder, with forward slashes.
        mask: Its mask, likewise, or None.
        label: As stated; None where only the mask can tell.
        source: The data set it comes from.
        group: What must not cross splits; the picture's own path where nothing else is known.
        split: Its split, or None.
        donors: The photos that parts of it were taken from, other than its host.
    """

    image: str
    mask: str | None
    label: Label | None
    source: str
    group: str
    split: Split | None = None
    donors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """All pictures of a data set whose files exist, and what was wrong before any of them was opened."""

    folder: Path
    items: tuple[Item, ...]
    findings: tuple[Finding, ...]

    @property
    def masks(self) -> list[str]:
        """Every mask once, in the order of the pictures."""
        return list(dict.fromkeys(item.mask for item in self.items if item.mask is not None))

    @property
    def images(self) -> list[str]:
        """Every picture once."""
        return list(dict.fromkeys(item.image for item in self.items))


def take_inventory(folder: Path) -> Inventory:
    """Lists what a folder claims to hold: `metadata.jsonl` (or .csv), or `images/` and `masks/`.

    Also a folder of folders like that: train, validation and test, or several data sets.

    Raises:
        DataFormatError: If the folder does not exist or is neither.
    """
    if not folder.is_dir():
        raise DataFormatError(f"{folder}: no such folder; name the one that holds {METADATA}, or images/ and masks/")
    parts = _parts(folder)
    if not parts:
        raise DataFormatError(
            f"{folder}: holds neither {METADATA} nor a pair of folders images/ and masks/; name another folder, or "
            "make one with `ifl-hub data import`"
        )
    items: list[Item] = []
    findings: list[Finding] = []
    for part, split in parts.items():
        found, defects = _read_part(part, folder, split)
        items += found if split is not None or part == folder else _set_apart(found, part.name)
        findings += defects
    findings += _stray_files(folder, items, findings)
    present = tuple(item for item in items if (folder / item.image).is_file())
    return Inventory(folder, present, tuple(findings))


def _is_part(folder: Path) -> bool:
    return _metadata_file(folder) is not None or _folders_of_pairs(folder) is not None


def _metadata_file(folder: Path) -> Path | None:
    return next((folder / name for name in _METADATA_FILES if (folder / name).is_file()), None)


def _folders_of_pairs(folder: Path) -> tuple[Path, Path] | None:
    try:
        return pair_of_folders(folder)
    except DataFormatError:
        return None


def _parts(folder: Path) -> dict[Path, Split | None]:
    """Where the listings or pairs lie: in the folder, in those of its splits (with their names), or of several sets."""
    if _metadata_file(folder) is not None:
        return {folder: None}
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_part(path)]
    named = {path: _SPLIT_FOLDERS.get(path.name.lower()) for path in below}
    splits: dict[Path, Split | None] = {path: split for path, split in named.items() if split is not None}
    if splits:
        return splits
    return {folder: None} if _is_part(folder) else named


def _set_apart(items: Sequence[Item], name: str) -> list[Item]:
    """Groups and donors of one of several sets: what has the same name in another set is not the same."""
    return [
        replace(item, group=f"{name}/{item.group}", donors=tuple(f"{name}/{donor}" for donor in item.donors))
        for item in items
    ]


def _read_part(part: Path, folder: Path, split: Split | None) -> tuple[list[Item], list[Finding]]:
    listing = _metadata_file(part)
    return _read_listing(listing, folder, split) if listing is not None else _read_pairs(part, folder, split)


def _read_listing(listing: Path, folder: Path, split: Split | None) -> tuple[list[Item], list[Finding]]:
    prefix = "" if listing.parent == folder else listing.parent.relative_to(folder).as_posix() + "/"
    name = listing.relative_to(folder).as_posix()
    rows: list[tuple[ForgeryRow, Mapping[str, Any]]] = []
    problems: list[str] = []
    unread: list[str] = []
    for number, record in _records(listing):
        try:
            if isinstance(record, Exception):
                raise record
            rows.append((row_from_record(record, _name_of(listing.parent, folder, split)), record))
        except (ValueError, AttributeError, TypeError) as error:
            problems.append(f"line {number}: {error}")
            unread += _files_of(record, prefix)
    findings = finding(
        "bad-row",
        [name] if problems else [],
        f"{count_of(len(problems), 'line')} of the listing cannot be read, and nothing else about them was checked "
        f"(the first: {'; '.join(problems[:1])}); correct them, or make the listing with `ifl-hub data import`",
        {"lines": problems, "unread": unread},
    )
    items = _with_donors([_item(row, record, prefix, split) for row, record in rows])
    with_masks = any(item.mask for item in items)
    missing = [item.image for item in items if with_masks and item.label == "forged" and not item.mask]
    return items, [*findings, *_listed_twice(items), *_missing(folder, items, missing), *_swapped(items)]


def _files_of(record: Any, prefix: str) -> list[str]:
    """The files that a line names, although the rest of it makes no sense."""
    if not isinstance(record, Mapping):
        return []
    names = (record.get(column) for column in ("file_name", "mask_file_name"))
    return [prefix + name for name in names if isinstance(name, str)]


def _records(listing: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers with what stands there, or with the error that reading it gave."""
    text = listing.read_text(encoding="utf-8-sig", errors="replace")
    if listing.suffix == ".csv":
        yield from enumerate(csv.DictReader(text.splitlines()), 2)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                yield number, error


def _item(row: ForgeryRow, record: Mapping[str, Any], prefix: str, split: Split | None) -> Item:
    mask = None if row.mask_file_name is None else prefix + row.mask_file_name
    group = row.group if record.get("group") else prefix + row.file_name
    donors = _named_donors(record, group)
    return Item(prefix + row.file_name, mask, row.label, row.source, group, row.split or split, donors)


def _named_donors(record: Mapping[str, Any], group: str) -> tuple[str, ...]:
    """What the columns `donor` and `donors` say: a name, or a list of names."""
    values: list[Any] = []
    for column in ("donor", "donors"):
        value = record.get(column)
        values += value if isinstance(value, list) else [value]
    return tuple(sorted({str(value) for value in values if value} - {group}))


def _with_donors(items: list[Item]) -> list[Item]:
    """Donors from file names where a data set names its photos there, as CASIA does, and no column names them.

    Nothing is known about any data set here. A part of a forged picture's name counts as its donor if another part is
    the picture's own group, and both are made alike: letters that some group starts with, then as many digits.
    """
    if any(item.donors for item in items):
        return items
    kinds = {kind for item in items if (kind := _kind_of_photo(item.group)) is not None}
    return [replace(item, donors=_donors_in_name(item, kinds)) if item.label == "forged" else item for item in items]


def _kind_of_photo(name: str) -> tuple[str, int] | None:
    match = _SOURCE_PHOTO.fullmatch(name)
    return None if match is None else (match[1].lower(), len(match[2]))


def _donors_in_name(item: Item, kinds: set[tuple[str, int]]) -> tuple[str, ...]:
    parts = set(_NAME_PARTS.split(Path(item.image).stem))
    if item.group not in parts:
        return ()
    return tuple(sorted(part for part in parts - {item.group} if _kind_of_photo(part) in kinds))


def _read_pairs(part: Path, folder: Path, split: Split | None) -> tuple[list[Item], list[Finding]]:
    pictures, masks = pair_of_folders(part)
    images = [path for _, path in files_below(pictures) if is_picture(path)]
    pairing = pair_by_stem(images, [path for _, path in files_below(masks) if is_picture(path)])
    source = _name_of(part, folder, split)
    items = []
    for path in images:
        mask = pairing.masks.get(path)
        [name], masks_name = _relative([path], folder), _relative([] if mask is None else [mask], folder)
        items.append(Item(name, next(iter(masks_name), None), None, source, name, split))
    ambiguous = {path for picture, fitting in pairing.ambiguous.items() for path in (picture, *fitting)}
    findings = [
        *finding(
            "ambiguous-pair",
            _relative(ambiguous, folder),
            "{files} share their name, so nobody knows which mask is whose; rename them or keep one of each",
        ),
        *_unmatched(_relative(pairing.unmatched, folder), len(images)),
        *_extra_mask(_relative(pairing.strays, folder)),
    ]
    return items, findings


def _name_of(part: Path, folder: Path, split: Split | None) -> str:
    """The name of the data set that a part belongs to; folders of splits belong to the one above."""
    return (part if split is None else folder).resolve().name


def _relative(paths: Iterable[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def _missing_mask(files: Sequence[str]) -> list[Finding]:
    return finding(
        "missing-mask", files, "{files} without a mask; add it, or a mask of zeros where the picture is authentic"
    )


def _unmatched(files: Sequence[str], images: int) -> list[Finding]:
    """Pictures of a plain folder without a mask: authentic by custom if they are a class of their own, else slips."""
    if len(files) < RARE * images or len(files) == images:
        return _missing_mask(files)
    return finding(
        "unmasked-images",
        files,
        "{files} without a mask count as authentic; if they are forged, their masks are missing",
    )


def _extra_mask(files: Sequence[str]) -> list[Finding]:
    return finding("extra-mask", files, "{files} that are the mask of no picture; add the pictures or remove them")


def _listed_twice(items: Sequence[Item]) -> list[Finding]:
    counts = Counter(item.image for item in items)
    return finding(
        "duplicate-row",
        [image for image, count in counts.items() if count > 1],
        "{files} listed more than once; keep one row of each",
        {"rows": {image: count for image, count in counts.items() if count > 1}},
    )


def _missing(folder: Path, items: Sequence[Item], without_mask: Sequence[str]) -> list[Finding]:
    absent = [item.image for item in items if not (folder / item.image).is_file()]
    masks = {item.mask: item.image for item in items if item.mask and not (folder / item.mask).is_file()}
    return [
        *finding("missing-image", absent, "{files} listed but absent; restore them or remove their rows"),
        *_missing_mask([*without_mask, *(image for image in masks.values() if image not in set(absent))]),
    ]


def _swapped(items: Sequence[Item]) -> list[Finding]:
    """Masks that carry the name of another picture although their picture's own mask is there too."""
    masks = {Path(item.mask).stem.casefold() for item in items if item.mask}
    images = {Path(item.image).stem.casefold() for item in items}
    swapped = []
    for item in items:
        own = Path(item.image).stem.casefold()
        named = Path(item.mask).stem.casefold() if item.mask else own
        if named != own and own in masks and named in images:
            swapped.append(item.image)
    return finding(
        "swapped-masks",
        swapped,
        "{files} listed with the mask that is named after another picture; pair them by name, not by position",
    )


def _stray_files(folder: Path, items: Sequence[Item], findings: Sequence[Finding]) -> list[Finding]:
    """Pictures in the folder that nothing refers to: as masks where they lie among masks, else as images."""
    known = {path for item in items for path in (item.image, item.mask) if path is not None}
    known |= {file for found in findings for file in (*found.files, *found.details.get("unread", ()))}
    mask_folders = {Path(item.mask).parent for item in items if item.mask}
    images: list[str] = []
    masks: list[str] = []
    for name, path in files_below(folder):
        if name not in known and is_picture(path):
            (masks if Path(name).parent in mask_folders else images).append(name)
    message = "{files} that no row lists, so no loader reads them; list them or remove them"
    return [*finding("extra-image", images, message), *_extra_mask(masks)]
