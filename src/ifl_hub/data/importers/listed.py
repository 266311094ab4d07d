"""Data sets that come as a list of pairs or as a pair of folders: IMDLBenCo's, CAT-Net's, and people's own."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..lists import LIST_SUFFIXES, ListEntry, pairs_of_folders, read_list
from ..pairing import files_below, is_picture, pair_by_stem, pair_of_folders
from ..schema import NO_FORGERY, SPLITS, UNKNOWN_FORGERY, read_metadata
from .layout import Layout, MaskFile, Sample, Skipped


def find_listed(path: Path) -> Iterator[Sample | Skipped]:
    """The pictures of one list, or of all lists in a folder (CAT-Net keeps one for each part); paths are below it."""
    if path.is_dir():
        lists = [file for file in sorted(path.iterdir()) if file.suffix.lower() in LIST_SUFFIXES]
    else:
        lists = [path]
    for file in lists:
        yield from _samples(read_list(file), file.parent, file.parent.resolve().name)


def find_folders(folder: Path) -> Iterator[Sample | Skipped]:
    """Pictures with masks of the same name; those without, or with a black one, are authentic."""
    pictures, masks = pair_of_folders(folder)
    yield from _samples(pairs_of_folders(pictures, masks), pictures, folder.resolve().name)


def find_imdlbenco(folder: Path) -> Iterator[Sample | Skipped]:
    """Forged pictures and masks of the same name; an `Au` folder beside them, where there is one, is authentic."""
    pictures, masks = pair_of_folders(folder)
    pairing, source = pair_by_stem(_pictures(pictures), _pictures(masks)), folder.resolve().name
    for image, mask in pairing.masks.items():
        name = image.relative_to(folder).as_posix()
        yield Sample(
            image, name, "forged", name, UNKNOWN_FORGERY, MaskFile(mask), source=source, empty_is_authentic=True
        )
    for image in _pictures(folder / "Au") if (folder / "Au").is_dir() else ():
        name = image.relative_to(folder).as_posix()
        yield Sample(image, name, "authentic", name, source=source)
    yield from (Skipped(image, "no mask has its name") for image in pairing.unmatched)
    yield from (Skipped(image, "not clear which mask is its own") for image in pairing.ambiguous)
    yield from (Skipped(mask, "a mask without a picture of its name") for mask in pairing.strays)


def find_imagefolder(folder: Path) -> Iterator[Sample | Skipped]:
    """The rows of a `metadata.jsonl`, whose masks may be null; columns that only some rows fill are left out."""
    rows = read_metadata(folder)
    columns = set.intersection(*({key for key, value in row.extra.items() if value is not None} for row in rows))
    for row in rows:
        image = folder / row.file_name
        if not image.is_file():
            yield Skipped(image, "listed, but not there")
            continue
        mask = MaskFile(folder / row.mask_file_name) if row.label == "forged" and row.mask_file_name else None
        if row.label == "forged" and (mask is None or not mask.path.is_file()):
            yield Skipped(image, "forged, but without a mask")
            continue
        extra = {key: row.extra[key] for key in sorted(columns)}
        yield Sample(
            image,
            row.file_name.removeprefix("image/"),
            row.label,
            row.group,
            row.forgery_type,
            mask,
            row.mask_semantics,
            row.split,
            row.source,
            extra,
        )


def _pictures(folder: Path) -> list[Path]:
    return [path for _, path in files_below(folder) if is_picture(path)]


def _samples(entries: Iterable[ListEntry], folder: Path, source: str) -> Iterator[Sample | Skipped]:
    """Entries, named relative to a folder; columns `group`, `forgery_type`, `source` and `split` are used if there."""
    for entry in entries:
        image, columns = entry.image, entry.columns
        if not image.is_file():
            yield Skipped(image, "listed, but not there")
        elif entry.label != "authentic" and (entry.mask is None or not entry.mask.is_file()):
            yield Skipped(image, "forged, but its mask is not there")
        else:
            name = image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.name
            yield Sample(
                image,
                name,
                entry.label or "forged",
                str(columns.get("group", name)),
                NO_FORGERY if entry.label == "authentic" else str(columns.get("forgery_type", UNKNOWN_FORGERY)),
                MaskFile(entry.mask) if entry.mask is not None and entry.label != "authentic" else None,
                split=columns["split"] if columns.get("split") in SPLITS else None,
                source=str(columns.get("source") or source),
                empty_is_authentic=entry.label is None,
            )


_LIST = "a .json, .csv or .txt of image and mask, paths relative to it"
LISTED = (
    Layout("list", "any list of pictures and masks", _LIST, find_listed, from_file=True),
    Layout(
        "imdlbenco-json",
        "IMDLBenCo's JSON",
        '[[image, mask or "Negative"], …], paths relative to it',
        find_listed,
        from_file=True,
    ),
    Layout(
        "cat-net",
        "CAT-Net's lists",
        "*_list.txt of image,mask in the folder that their paths start from",
        find_listed,
        from_file=True,
    ),
    Layout("imdlbenco", "IMDLBenCo's folders", "Tp/ and Gt/ (and Au/), paired by name", find_imdlbenco),
    Layout("folders", "a folder of pictures and one of masks", "images/ and masks/, paired by name", find_folders),
    Layout("imagefolder", "a metadata.jsonl, masks possibly null", "metadata.jsonl with file_name", find_imagefolder),
)
