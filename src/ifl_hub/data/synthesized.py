"""A series of synthesized forgeries as a data set on disk, for whoever wants files rather than an endless stream."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..files import atomic_file, file_sha256, write_atomically
from .schema import NO_FORGERY, DataFormatError, ForgeryRow, write_mask, write_metadata
from .synthesis import ForgerySynthesizer

RECORDS, SETTINGS = "records.jsonl", "synthesis.json"


def write_synthesized(synthesizer: ForgerySynthesizer, folder: Path, count: int, workers: int = 0) -> int:
    """Writes samples 0 to `count` - 1 as PNG pictures and masks, with a `metadata.jsonl`.

    What each sample went through is a line of `records.jsonl`. PNG keeps the traces that are there to be found; a JPEG
    would lay its own over them. A group is a host photo; donors recur across groups. A run that was interrupted, or a
    larger `count`, goes on where the last one stopped.

    Args:
        synthesizer: What makes the samples.
        folder: Where to; absent, empty, or with samples of the very same synthesis.
        count: How many samples the folder has in the end, at least 1.
        workers: Processes that make samples; the samples are the same with any number.

    Returns:
        How many samples were made now.

    Raises:
        DataFormatError: If the folder holds anything else, or more samples than asked for.
        RuntimeError: If the photos do not yield a sample.
    """
    if count < 1:
        raise DataFormatError(f"count must be at least 1, not {count}")
    _claim(folder, _settings(synthesizer))
    done = _finished(folder)
    if max(done, default=0) >= count:
        raise DataFormatError(f"{folder} has {max(done) + 1} samples already; ask for as many or choose another folder")
    todo = [index for index in range(count) if index not in done]
    hosts = _host_names(synthesizer)
    with (folder / RECORDS).open("a", encoding="utf-8") as records:
        for sample in tqdm(_samples(synthesizer, todo, workers), total=len(todo), unit="sample", disable=None):
            record = sample["record"]
            _write_pictures(folder, record["index"], sample)
            done[record["index"]] = record
            records.write(json.dumps(record) + "\n")
            records.flush()
    write_metadata(folder, [_row(done[index], hosts) for index in range(count)])
    return len(todo)


def _settings(synthesizer: ForgerySynthesizer) -> dict[str, Any]:
    """All that a sample depends on besides its index."""
    from .. import __version__

    pool = synthesizer.pool
    return {
        "ifl_hub": __version__,
        "seed": synthesizer.seed,
        "size": [synthesizer.height, synthesizer.width],
        "mixture": dict(synthesizer.mixture),
        "max_side": pool.max_side,
        "photos": [file_sha256(path) for path in pool.photos],
        "cutouts": [[file_sha256(cut.path), cut.donor and file_sha256(cut.donor)] for cut in pool.cutouts],
    }


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Makes sure that the folder is for this synthesis and no other."""
    file = folder / SETTINGS
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataFormatError(f"{folder} is there and holds no synthesized samples; choose another folder")
        write_atomically(file, json.dumps(settings).encode())
        return
    there = json.loads(file.read_text(encoding="utf-8"))
    if different := [name for name in settings if there.get(name) != settings[name]]:
        raise DataFormatError(f"{folder} holds samples made with other {different[0]}; choose another folder")


def _finished(folder: Path) -> dict[int, dict[str, Any]]:
    """The records of samples that are there; a line that a crash cut off is forgotten."""
    file = folder / RECORDS
    if not file.exists():
        return {}
    done = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if all((folder / path).is_file() for path in _paths(record["index"])):
            done[record["index"]] = record
    write_atomically(file, "".join(json.dumps(record) + "\n" for record in done.values()).encode())
    return done


def _samples(synthesizer: ForgerySynthesizer, indices: list[int], workers: int) -> Iterator[dict[str, Any]]:
    from torch.utils.data import DataLoader, Subset

    yield from DataLoader(
        Subset(synthesizer, indices),  # type: ignore[arg-type]  # a data set in all but its base class
        batch_size=None,
        num_workers=workers,
    )


def _paths(index: int) -> tuple[str, str]:
    return f"images/{index:07d}.png", f"masks/{index:07d}.png"


def _write_pictures(folder: Path, index: int, sample: dict[str, Any]) -> None:
    image_path, mask_path = (folder / path for path in _paths(index))
    with atomic_file(image_path) as file:
        Image.fromarray(np.asarray(sample["image"])).save(file, "PNG")
    write_mask(mask_path, np.asarray(sample["mask"]) > 0)


def _host_names(synthesizer: ForgerySynthesizer) -> list[str]:
    """The photos' paths below their common folder, as names of groups."""
    paths = [os.path.abspath(path) for path in synthesizer.pool.photos]  # noqa: PTH100  (links are not followed)
    common = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return [Path(path).relative_to(common).as_posix() for path in paths]


def _row(record: dict[str, Any], hosts: list[str]) -> ForgeryRow:
    image_path, mask_path = _paths(record["index"])
    forged = record["kind"] != "authentic"
    return ForgeryRow(
        file_name=image_path,
        mask_file_name=mask_path,
        label="forged" if forged else "authentic",
        source="synthesized",
        forgery_type=record["kind"].replace("_", "-") if forged else NO_FORGERY,
        group=hosts[record["host"]["photo_index"]],
    )
