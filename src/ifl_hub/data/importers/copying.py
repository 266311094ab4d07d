"""From what an importer found to a folder of the form: pictures byte for byte, masks normalised, and an account of it.

The listing is written last, so a folder with a `metadata.jsonl` is whole; an import that was interrupted goes on where
it stopped, and one that is repeated copies nothing. A copy is known by the size and time of its original.
"""

import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from tqdm import tqdm

from ...files import atomic_file, write_atomically
from ..schema import (
    METADATA,
    NO_FORGERY,
    DataFormatError,
    ForgeryRow,
    count_by,
    read_metadata,
    safe_path,
    write_mask,
    write_metadata,
)
from .layout import Layout, MaskFile, PolygonMask, Sample, Skipped
from .registry import find_layout

REPORT = "import_report.json"
_TRANSPOSING = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class ImportReport:
    """What an import did.

    Attributes:
        kind: The layout's name.
        imported: Pictures in the data set now.
        counts: How many of each label and type of forgery.
        copied: Pictures that this run wrote; the others were there.
        mask_rules: How many masks were read by which rule ("none": zeros for an authentic picture).
        notes: What was done to single files, how often.
        skipped: What was left out, and why.
    """

    kind: str
    imported: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    copied: int = 0
    mask_rules: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)

    def to_record(self) -> dict[str, Any]:
        """The content of `import_report.json`."""
        return {
            "kind": self.kind,
            "imported": self.imported,
            "counts": self.counts,
            "copied_by_the_last_run": self.copied,
            "mask_rules": dict(self.mask_rules),
            "notes": dict(self.notes),
            "skipped": [{"file": str(entry.path), "reason": entry.reason} for entry in self.skipped],
        }


class _SkipError(Exception):
    """A picture that cannot be imported; the message is the reason."""


class _Place(NamedTuple):
    """Where a sample goes, relative to the folder."""

    image: str
    mask: str


def import_dataset(kind: str, source: str | Path, folder: str | Path, link: bool = False) -> ImportReport:
    """Import a data set; pictures keep their bytes, masks become 0/255 PNGs of the upright picture's size.

    Args:
        kind: One of `LAYOUTS`.
        source: The data set's folder, or its list.
        folder: Where it goes; a folder of its own. `metadata.jsonl` and `import_report.json` are written last.
        link: Hard-link pictures instead of copying them, where the file system can.

    Raises:
        DataFormatError: If the kind is unknown, the source is no such data set, or the folder holds another one.
    """
    layout, source, folder = find_layout(kind), Path(source), Path(folder)
    if not source.exists():
        raise DataFormatError(f"{source}: no such file or folder; name the data set's folder")
    root = source if source.is_dir() else source.parent
    if folder.resolve() == root.resolve():
        raise DataFormatError(f"{folder}: is the source itself; choose another folder to import to")
    if not source.is_dir() and not layout.from_file:
        raise DataFormatError(f"{source}: is a file; name the folder with {layout.expects}")
    found = _find(layout, source)
    samples = [entry for entry in found if isinstance(entry, Sample)]
    if not samples:
        raise DataFormatError(f"{source}: no {layout.title} here; expected {layout.expects}")
    before = _earlier_rows(folder, kind)
    report = ImportReport(kind, skipped=[entry for entry in found if isinstance(entry, Skipped)])
    rows = _Copier(layout, folder, link, report).run(samples)
    if not rows:
        reasons = Counter(entry.reason for entry in report.skipped).most_common(1)[0][0]
        raise DataFormatError(f"{source}: all {len(samples)} pictures had to be left out, most because of: {reasons}")
    rows = _with_splits(rows, before, report)
    write_metadata(folder, rows)
    report.imported, report.counts = len(rows), count_by(rows, "label", "forgery_type")
    content = json.dumps(report.to_record() | {"source": source.name}, indent=1, ensure_ascii=False)
    write_atomically(folder / REPORT, content.encode())
    return report


def _find(layout: Layout, source: Path) -> list[Sample | Skipped]:
    try:
        return list(layout.find(source))
    except DataFormatError:
        raise
    except (KeyError, TypeError, ValueError) as error:  # a table that is no table, a key that is not there
        raise DataFormatError(
            f"{source}: not as {layout.title} has it ({type(error).__name__}: {error}); expected {layout.expects}"
        ) from error


class _Copier:
    """Brings samples into a folder, one after the other."""

    def __init__(self, layout: Layout, folder: Path, link: bool, report: ImportReport) -> None:
        self._layout = layout
        self._folder = folder
        self._link = link
        self._report = report

    def run(self, samples: list[Sample]) -> list[ForgeryRow]:
        """The rows of all samples that could be imported, in the order of their names."""
        rows = []
        for sample, place in tqdm(self._placed(samples), unit="picture", disable=None, leave=False):
            try:
                rows.append(self._add(sample, place))
            except _SkipError as error:
                self._report.skipped.append(Skipped(sample.image, str(error)))
        return sorted(rows, key=lambda row: row.file_name)

    def _placed(self, samples: Iterable[Sample]) -> list[tuple[Sample, _Place]]:
        """Each sample with its place; of two that want the same, the second is left out."""
        taken: dict[str, Sample] = {}
        for sample in samples:
            name = safe_path(sample.name)
            if name != sample.name:
                self._report.notes["a word that `datasets` takes for a split was written in capitals"] += 1
            other = taken.setdefault(name.casefold(), sample)
            if other is not sample:
                self._report.skipped.append(Skipped(sample.image, f"has the same name as {other.image}"))
        stems = Counter(_without_suffix(safe_path(sample.name)).casefold() for sample in taken.values())
        placed = []
        for sample in taken.values():
            name = safe_path(sample.name)
            stem = _without_suffix(name)
            placed.append(
                (sample, _Place(f"image/{name}", f"mask/{stem if stems[stem.casefold()] == 1 else name}.png"))
            )
        return placed

    def _add(self, sample: Sample, place: _Place) -> ForgeryRow:
        image, mask = self._folder / place.image, self._folder / place.mask
        same = _is_copy(sample.image, image)
        if self._layout.has_masks:
            if not self._add_mask(sample, mask, same):
                sample = replace(sample, label="authentic", forgery_type=NO_FORGERY)
            self._report.mask_rules["none" if sample.mask is None else sample.mask.rule] += 1
        else:
            _upright_size(sample.image)
        if not same:
            _copy(sample.image, image, self._link)
            self._report.copied += 1
        return ForgeryRow(
            file_name=place.image,
            mask_file_name=place.mask if self._layout.has_masks else None,
            label=sample.label,
            source=sample.source or self._layout.kind,
            forgery_type=sample.forgery_type,
            group=sample.group,
            mask_semantics=sample.mask_semantics,
            split=sample.split,
            extra=sample.extra,
        )

    def _add_mask(self, sample: Sample, path: Path, same: bool) -> bool:
        """Write the mask unless it is there; whether the picture is a forged one."""
        origin = sample.image if sample.mask is None else sample.mask.path
        stamp = _stamp(origin)
        if same and path.is_file() and path.stat().st_mtime_ns == stamp:
            return sample.mask is not None and (not sample.empty_is_authentic or _marks_anything(path))
        size, orientation = _upright_size(sample.image)
        if sample.mask is None:
            forged: NDArray[np.bool_] = np.zeros(size, np.bool_)
        else:
            forged = self._oriented(_read(sample.mask, size), size, orientation)
            if not forged.any() and not sample.empty_is_authentic:
                raise _SkipError("forged, but its mask marks nothing")
        write_mask(path, forged)
        os.utime(path, ns=(stamp, stamp))
        return bool(forged.any())

    def _oriented(self, forged: NDArray[np.bool_], size: tuple[int, int], orientation: int) -> NDArray[np.bool_]:
        """The mask on the upright picture's grid; one that lies like the stored picture is turned with it."""
        if forged.shape == size:
            if orientation != 1:
                self._report.notes["picture turned by its EXIF orientation, mask taken as upright"] += 1
            return forged
        if orientation in _TRANSPOSING and forged.shape == size[::-1]:
            self._report.notes["mask turned as the picture's EXIF orientation says"] += 1
            return np.asarray(Image.fromarray(forged).transpose(_TRANSPOSING[orientation]))
        raise _SkipError(f"its mask is {forged.shape[1]}x{forged.shape[0]}, the picture {size[1]}x{size[0]}")


def _earlier_rows(folder: Path, kind: str) -> dict[str, ForgeryRow]:
    """The rows that an earlier import of the same kind left.

    Raises:
        DataFormatError: If somebody else wrote the folder's listing.
    """
    if not (folder / METADATA).is_file():
        return {}
    report = folder / REPORT
    if not report.is_file() or json.loads(report.read_text(encoding="utf-8")).get("kind") != kind:
        raise DataFormatError(f"{folder}: holds another data set already; choose a folder of its own for {kind}")
    return {row.file_name: row for row in read_metadata(folder)}


def _with_splits(rows: list[ForgeryRow], before: dict[str, ForgeryRow], report: ImportReport) -> list[ForgeryRow]:
    """Splits are the data set's own or those of `ifl-hub data split`; where pictures came since, none can stay."""
    if all(row.split is not None for row in rows):
        return rows
    earlier = [before[row.file_name].split if row.file_name in before else None for row in rows]
    if all(earlier):
        return [replace(row, split=split) for row, split in zip(rows, earlier, strict=True)]
    if any(earlier) or any(row.split for row in rows):
        report.notes["not every picture has a split: none is kept, run `ifl-hub data split`"] += 1
    return [replace(row, split=None) for row in rows]


def _read(mask: MaskFile | PolygonMask, size: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        return mask.read(size)
    except (ValueError, OSError, SyntaxError, EOFError, zipfile.BadZipFile) as error:
        raise _SkipError(f"its mask cannot be used ({error})") from error


def _upright_size(path: Path) -> tuple[tuple[int, int], int]:
    """`(height, width)` as seen, and the EXIF orientation (1 to 8)."""
    try:
        with Image.open(path) as picture:
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
            width, height = picture.size
    except Exception as error:  # damaged headers make Pillow's readers raise nearly anything
        raise _SkipError(f"not a readable picture ({type(error).__name__})") from error
    return ((width, height), orientation) if orientation in _TRANSPOSING else ((height, width), orientation)


def _marks_anything(path: Path) -> bool:
    with Image.open(path) as mask:
        return bool(mask.getextrema() != (0, 0))


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def _is_copy(source: Path, path: Path) -> bool:
    return path.is_file() and (path.stat().st_size, _stamp(path)) == (source.stat().st_size, _stamp(source))


def _copy(source: Path, path: Path, link: bool) -> None:
    """The same bytes and time under another name; a hard link where that was asked for and can be done."""
    if link:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            os.link(source, path)
            return
        except OSError:  # another file system, or one without links
            pass
    with atomic_file(path) as file, source.open("rb") as original:
        shutil.copyfileobj(original, file, 1 << 20)
    os.utime(path, ns=(_stamp(source), _stamp(source)))


def _without_suffix(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
