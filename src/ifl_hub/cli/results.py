"""The results folder: three pictures and one JSON line per photo, resumable, and never on top of an input.

Every file is written under a temporary name and renamed; the line comes last. So a line in `results.jsonl` means that
its files are whole, and a run that was interrupted simply goes on.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files import atomic_file, write_atomically
from ..image_processing.loading import LoadedImage
from ..reports import render_overlay
from .errors import CommandError

OVERLAY, MASK, HEATMAP = OUTPUT_SUFFIXES = (".overlay.png", ".mask.png", ".heatmap.png")
_RECORDS = "results.jsonl"


class ResultsFolder:
    """Reads and writes the results of one folder.

    Args:
        folder: Created if missing.
        protected: Absolute paths that must never be written: the inputs.

    Raises:
        CommandError: If the folder cannot be created.
    """

    def __init__(self, folder: Path, protected: Collection[Path]) -> None:
        self.folder = folder
        self._protected = {path.resolve() for path in protected}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(
                f"{folder}: cannot be the results folder ({error.strerror}); choose another --out"
            ) from error
        self._records = self._read_records()
        self._owners = {record["name"]: file for file, record in self._records.items()}

    def _read_records(self) -> dict[str, dict[str, Any]]:
        path = self.folder / _RECORDS
        records: dict[str, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                record = json.loads(line)
                records[record["file"]] = {**record, "name": record["name"]}
            except (ValueError, KeyError, TypeError):
                continue  # a line cut off when the machine went down: its picture is done again
        return records

    def find(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The record of an earlier run with exactly these settings whose files are all still there.

        Args:
            settings: What determines a result: file, its sha256, the weights' sha256, preprocessing, version; and the
                model's name, which does not.
        """
        record = self._records.get(settings["file"])
        if record is None or any(record.get(key) != settings[key] for key in settings.keys() - {"model"}):
            return None
        complete = all((self.folder / (record["name"] + suffix)).is_file() for suffix in OUTPUT_SUFFIXES)
        return record if complete else None

    def forget(self, files: Collection[str]) -> None:
        """Drop the lines of files that are about to be done again, so that one line stands for each file."""
        self._records = {file: record for file, record in self._records.items() if file not in set(files)}
        lines = "".join(_to_line(record) for record in self._records.values())
        write_atomically(self.folder / _RECORDS, lines.encode())

    def write(
        self, relative: Path, settings: dict[str, Any], image: LoadedImage, result: dict[str, Any]
    ) -> dict[str, Any]:
        """Write a picture's overlay, mask and heat map, then its line.

        Args:
            relative: Wanted place below the folder; a place that belongs to another picture gets a suffix.
            settings: As for `find`.
            image: The picture.
            result: What the pipeline returned for it.

        Returns:
            The record, as in `results.jsonl`.
        """
        name = self._claim(relative, settings["file"])
        heatmap = Image.fromarray(np.rint(result["heatmap"] * 65535).astype(np.uint16))
        overlay = render_overlay(image.pixels, result["heatmap"], result["mask"])
        for suffix, picture in ((OVERLAY, overlay), (MASK, result["mask"]), (HEATMAP, heatmap)):
            with atomic_file(self.folder / (name + suffix)) as file:
                picture.save(file, format="PNG", compress_level=3)
        height, width = image.size
        record = {
            "file": settings["file"],
            "label": result["label"],
            "score": round(result["score"], 6),
            "forged_area": round(float(np.mean(np.asarray(result["mask"]) > 0)), 6),
            "width": width,
            "height": height,
            "notes": list(image.notes),
            "name": name,
            "overlay": name + OVERLAY,
            "mask": name + MASK,
            "heatmap": name + HEATMAP,
            "heatmap_unit": "probability * 65535, 16-bit PNG",
            **settings,
        }
        with (self.folder / _RECORDS).open("a", encoding="utf-8") as stream:
            stream.write(_to_line(record))
        self._records[settings["file"]] = record
        return record

    def _claim(self, relative: Path, file: str) -> str:
        """A name below the folder that no other picture has and none of whose files is an input."""
        fallback = f"{relative.as_posix()}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"
        for name in (relative.as_posix(), fallback):
            targets = {(self.folder / (name + suffix)).resolve() for suffix in OUTPUT_SUFFIXES}
            if self._owners.get(name, file) == file and not targets & self._protected:
                self._owners[name] = file
                return name
        raise CommandError(f"{self.folder / fallback}: its results would overwrite an input; choose another --out")


def _to_line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
