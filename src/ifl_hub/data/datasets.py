"""One call for whatever people keep forgeries in: a `datasets.Dataset` with always the same columns.

Pictures and masks are decoded when a row is asked for, never before, and come as PIL images: the upright picture on its
own pixel grid, nothing resampled.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..image_processing.masks import to_label_map
from ..messages import first_line
from .lists import ListEntry, pairs_of_folders, read_label, read_list
from .pairing import pair_of_folders
from .schema import METADATA, NO_FORGERY, SPLITS, UNKNOWN_FORGERY, DataFormatError, Label, Split, read_metadata

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

COLUMNS = ("image", "mask", "label", "source", "forgery_type", "group")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_MOST_SHARDS = 64  # of a stream: so many workers can share it


def load_forgery_dataset(
    path_or_hub_id: str | Path, split: Split | None = None, streaming: bool = False
) -> "Dataset | IterableDataset":
    """Load pictures with their masks and labels from a folder, a list, or the Hub.

    Args:
        path_or_hub_id: A folder with `metadata.jsonl` (what `ifl-hub data import` writes; null masks are fine) or with
            one in each of `train/`, `validation/`, `test/`; a folder with `images/` and `masks/`, paired by name; a
            .json, .csv or .txt list of image and mask; a folder of parquet files; or, if nothing of that name lies on
            this machine, a data set on the Hub, which is downloaded.
        split: Only the rows of this split; None is all rows.
        streaming: Return an `IterableDataset`, which reads row by row.

    Returns:
        Columns `image` (PIL), `mask` (PIL, for `to_label_map`; None where it is unknown, and for authentic pictures of
        plain folders and lists), `label` ("authentic" or "forged"), `source`, `forgery_type`, `group`. Where neither a
        name nor a list says what a picture is, its mask is opened to see: all black is authentic.

    Raises:
        DataFormatError: If there is no such data, a file is missing, or names do not say which mask belongs where.
        ImportError: If `datasets` is not installed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("images/a.png", "images/b.png", "masks/a.png"):
        ...     (folder / name).parent.mkdir(exist_ok=True)
        ...     Image.new("L", (8, 6), 255).save(folder / name)
        >>> load_forgery_dataset(folder)["label"][:]
        ['forged', 'authentic']
    """
    if split is not None and split not in SPLITS:
        raise DataFormatError(f"split {split!r} is not among {SPLITS}; None is all rows")
    path = Path(path_or_hub_id)
    if path.is_file():
        return _build(_from_entries(read_list(path), path.resolve().stem), path, split, streaming)
    if path.is_dir():
        records = _from_folder(path)
        if records is not None:
            return _build(records, path, split, streaming)
    elif not _HUB_ID.fullmatch(str(path_or_hub_id)):
        raise DataFormatError(f"{path_or_hub_id}: no such folder or list, and no name of a data set on the Hub")
    return _load_with_datasets(str(path_or_hub_id), split, streaming)


def _from_folder(folder: Path) -> list[dict[str, Any]] | None:
    """The rows of a folder of pictures; None if it is one of parquet files."""
    if (folder / METADATA).is_file():
        return _from_metadata(folder)
    parts = [(split, folder / split) for split in SPLITS if (folder / split / METADATA).is_file()]
    if parts:
        return [{**record, "split": split} for split, part in parts for record in _from_metadata(part)]
    try:
        pictures, masks = pair_of_folders(folder)
    except DataFormatError as error:
        if next(folder.rglob("*.parquet"), None) is not None:
            return None
        raise DataFormatError(f"{error}, no {METADATA} and no parquet; `ifl-hub data import` makes one") from None
    return _from_entries(pairs_of_folders(pictures, masks), folder.resolve().name)


def _from_metadata(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "image": str(folder / row.file_name),
            "mask": str(folder / row.mask_file_name) if row.mask_file_name else None,
            "label": row.label,
            "source": row.source,
            "forgery_type": row.forgery_type,
            "group": row.group,
            "split": row.split,
        }
        for row in read_metadata(folder)
    ]


def _from_entries(entries: Iterable[ListEntry], name: str) -> list[dict[str, Any]]:
    records = []
    for entry in entries:
        label = entry.label or _label_by_mask(entry)
        kind = str(entry.columns.get("forgery_type", UNKNOWN_FORGERY)) if label == "forged" else NO_FORGERY
        records.append(
            {
                "image": str(entry.image),
                "mask": None if entry.mask is None else str(entry.mask),
                "label": label,
                "source": str(entry.columns.get("source", name)),
                "forgery_type": kind,
                "group": str(entry.columns.get("group", entry.image.name)),
                "split": entry.columns.get("split"),
            }
        )
    return records


def _label_by_mask(entry: ListEntry) -> Label:
    try:
        with Image.open(str(entry.mask)) as mask:
            return "forged" if (to_label_map(mask, str(entry.mask)) == 1).any() else "authentic"
    except (OSError, SyntaxError, ValueError) as error:
        raise DataFormatError(f"{entry.image}: its mask cannot be read ({error})") from error


def _build(
    records: list[dict[str, Any]], path: Path, split: Split | None, streaming: bool
) -> "Dataset | IterableDataset":
    """The rows of a split as a data set of paths, which `datasets` turns into pictures when asked for."""
    datasets = _import_datasets()
    if split is not None:
        splits = sorted({record["split"] for record in records if record["split"]})
        records = [record for record in records if record["split"] == split]
        if not records:
            there = f"there are: {', '.join(splits)}" if splits else "it has none: `ifl-hub data split` makes them"
            raise DataFormatError(f"{path}: no row of split {split!r}; {there}")
    paths = [record[name] for record in records for name in ("image", "mask") if record[name]]
    if missing := [name for name in paths if not Path(name).is_file()]:
        raise DataFormatError(f"{missing[0]} is listed in {path} but not there ({len(missing)} such files)")
    features = datasets.Features({name: datasets.Value("string") for name in COLUMNS})
    columns = {name: [record[name] for record in records] for name in COLUMNS}
    dataset = datasets.Dataset.from_dict(columns, features)
    dataset = dataset.cast_column("image", datasets.Image()).cast_column("mask", datasets.Image())
    return dataset.to_iterable_dataset(num_shards=min(len(dataset), _MOST_SHARDS)) if streaming else dataset


def _load_with_datasets(name: str, split: Split | None, streaming: bool) -> "Dataset | IterableDataset":
    """A data set on the Hub, or a local copy of one, brought to our columns."""
    datasets = _import_datasets()
    try:
        if split is not None:
            dataset = datasets.load_dataset(name, split=split, streaming=streaming)
        else:
            parts = datasets.load_dataset(name, streaming=streaming)
            dataset = datasets.concatenate_datasets(list(parts.values()))
    except (OSError, ValueError) as error:  # not there, no access, no such split
        raise DataFormatError(f"{name}: cannot be loaded ({first_line(error)})") from error
    features = dataset.features
    if features is None or not {"image", "label"} <= set(features):
        raise DataFormatError(f"{name}: has no columns image and label; there are: {', '.join(features or ())}")
    classes = getattr(features["label"], "names", None)
    texts = [column for column in ("label", "source", "forgery_type", "group") if column in features]

    def complete(*values: Any) -> dict[str, Any]:
        *known, index = values
        row = dict(zip(texts, known, strict=True))
        label = read_label(classes[row["label"]] if classes else row["label"])
        kind = row.get("forgery_type") or UNKNOWN_FORGERY
        return {
            "label": label,
            "source": row.get("source") or name,
            "forgery_type": kind if label == "forged" else NO_FORGERY,
            "group": row.get("group") or f"{name}/{index}",
        } | ({} if "mask" in features else {"mask": None})

    target = datasets.Features(
        {**features, **dict.fromkeys(COLUMNS[2:], datasets.Value("string")), "mask": datasets.Image()}
    )
    dataset = dataset.map(complete, input_columns=texts, with_indices=True, features=target)
    return dataset.select_columns(list(COLUMNS))


def _import_datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError("loading data needs the `datasets` package: pip install 'ifl-hub[train]'") from error
    return datasets
