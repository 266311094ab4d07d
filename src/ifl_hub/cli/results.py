"""The results folder: pictures and one JSON line per file judged, resumable, and never on top of an input.

Every picture is written under a temporary name and renamed; the line comes last. So a line means that its pictures are
whole, and a run that was interrupted simply goes on.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..files import atomic_file, write_atomically
from .errors import CommandError


@dataclass(frozen=True)
class Outputs:
    """What a verb writes.

    Args:
        records: The file of JSON lines.
        suffixes: Of the files beside it, by the key that names each.
    """

    records: str
    suffixes: Mapping[str, str]


LOCALIZE_OUTPUTS = Outputs(
    "results.jsonl",
    {"overlay": ".overlay.png", "mask": ".mask.png", "heatmap": ".heatmap.png", "report": ".report.html"},
)
DETECT_OUTPUTS = Outputs("faces.jsonl", {"overlay": ".faces.png", "attention": ".attention.png"})
OUTPUT_SUFFIXES = (*LOCALIZE_OUTPUTS.suffixes.values(), *DETECT_OUTPUTS.suffixes.values())


class ResultsFolder:
    """Reads and writes the results of one folder.

    Args:
        folder: Created if missing.
        protected: Absolute paths that must never be written: the inputs.
        outputs: What the verb writes.

    Raises:
        CommandError: If the folder cannot be created.
    """

    def __init__(self, folder: Path, protected: Collection[Path], outputs: Outputs) -> None:
        self.folder = folder
        self._outputs = outputs
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
        path = self.folder / self._outputs.records
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
        named = [record[key] for key in self._outputs.suffixes if key in record]
        return record if all((self.folder / name).is_file() for name in named) else None

    def forget(self, files: Collection[str]) -> None:
        """Drop the lines of files that are about to be done again, so that one line stands for each file."""
        self._records = {file: record for file, record in self._records.items() if file not in set(files)}
        lines = "".join(_to_line(record) for record in self._records.values())
        write_atomically(self.folder / self._outputs.records, lines.encode())

    def write(
        self,
        relative: Path,
        settings: dict[str, Any],
        facts: Mapping[str, Any],
        pictures: Mapping[str, Image.Image],
    ) -> dict[str, Any]:
        """Write a file's pictures, then its line; what an earlier run left for it beyond these is removed.

        Args:
            relative: Wanted place below the folder; a place that belongs to another file gets a suffix.
            settings: As for `find`.
            facts: What was found.
            pictures: By the keys of the outputs; those that do not apply are left out.

        Returns:
            The record, as in the file of JSON lines.
        """
        name = self._claim(relative, settings["file"])
        names = {key: name + self._outputs.suffixes[key] for key in pictures}
        for key, picture in pictures.items():
            with atomic_file(self.folder / names[key]) as file:
                picture.save(file, format="PNG", compress_level=3)
        for key in self._outputs.suffixes.keys() - names.keys():
            (self.folder / (name + self._outputs.suffixes[key])).unlink(missing_ok=True)
        record = {"file": settings["file"], **facts, "name": name, **names, **settings}
        with (self.folder / self._outputs.records).open("a", encoding="utf-8") as stream:
            stream.write(_to_line(record))
        self._records[settings["file"]] = record
        return record

    def _claim(self, relative: Path, file: str) -> str:
        """A name below the folder that no other file has and none of whose pictures is an input."""
        fallback = f"{relative.as_posix()}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"
        for name in (relative.as_posix(), fallback):
            targets = {(self.folder / (name + suffix)).resolve() for suffix in self._outputs.suffixes.values()}
            if self._owners.get(name, file) == file and not targets & self._protected:
                self._owners[name] = file
                return name
        raise CommandError(f"{self.folder / fallback}: its results would overwrite an input; choose another --out")


def _to_line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
