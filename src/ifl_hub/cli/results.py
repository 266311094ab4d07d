"""The results folder: pictures and one JSON line per file judged, resumable, and never on top of an input.

Every picture is written under a temporary name and renamed; the line comes last. So a line means that its pictures are
whole, and a run that was interrupted simply goes on. Processes that share the files write lines into files of their
own, which the first puts together in the end.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..files import atomic_file, write_atomically
from ..processes import process_rank
from .errors import CommandError

if TYPE_CHECKING:
    from .inputs import Picture


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
        pictures: What the call names, in its order; none of it is ever written.
        outputs: What the verb writes.

    Raises:
        CommandError: If the folder cannot be created, or results would overwrite a picture.
    """

    def __init__(self, folder: Path, pictures: "Sequence[Picture]", outputs: Outputs) -> None:
        self.folder = folder
        self._outputs = outputs
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(
                f"{folder}: cannot be the results folder ({error.strerror}); choose another --out"
            ) from error
        self._order = {str(picture.path): place for place, picture in enumerate(pictures)}
        self._records = self._read_records()
        self._names = self._claim_names(pictures)

    def find(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The record of an earlier call with exactly these settings whose files are all still there.

        Args:
            settings: What determines a result: file, its sha256, the weights' sha256, preprocessing, version; and the
                model's name, which does not.
        """
        record = self._records.get(settings["file"])
        if record is None or any(record.get(key) != settings[key] for key in settings.keys() - {"model"}):
            return None
        named = [record[key] for key in self._outputs.suffixes if key in record]
        return record if all((self.folder / name).is_file() for name in named) else None

    def settle(self, dropped: Collection[str] = ()) -> None:
        """Put all processes' lines into one file: first what the call does not name, then what it names, in its order.

        For the first process, while no other one writes.

        Args:
            dropped: Files that are about to be done again; their lines go, so that one line stands for each file.
        """
        records = self._read_records()
        kept = [file for file in records if file not in set(dropped)]
        kept.sort(key=lambda file: self._order.get(file, -1))
        content = "".join(_to_line(records[file]) for file in kept).encode()
        whole, *parts = self._record_files()
        if not whole.is_file() or whole.read_bytes() != content:
            write_atomically(whole, content)
        for part in parts:
            part.unlink()

    def write(
        self, settings: dict[str, Any], facts: Mapping[str, Any], pictures: Mapping[str, Image.Image]
    ) -> dict[str, Any]:
        """Write a file's pictures, then its line; what an earlier run left for it beyond these is removed.

        Args:
            settings: As for `find`.
            facts: What was found.
            pictures: By the keys of the outputs; those that do not apply are left out.

        Returns:
            The record, as in the file of JSON lines.
        """
        name = self._names[settings["file"]]
        names = {key: name + self._outputs.suffixes[key] for key in pictures}
        for key, picture in pictures.items():
            with atomic_file(self.folder / names[key]) as file:
                picture.save(file, format="PNG", compress_level=3)
        for key in self._outputs.suffixes.keys() - names.keys():
            (self.folder / (name + self._outputs.suffixes[key])).unlink(missing_ok=True)
        record = {"file": settings["file"], **facts, "name": name, **names, **settings}
        with self._own_records.open("a", encoding="utf-8") as stream:
            stream.write(_to_line(record))
        return record

    @property
    def _own_records(self) -> Path:
        """Every process has a file of its own, so that no two write into one another's lines."""
        path, rank = self.folder / self._outputs.records, process_rank()
        return path.with_suffix(f".process-{rank + 1}.jsonl") if rank else path

    def _record_files(self) -> list[Path]:
        """The file of all lines, whether it is there or not, and those of further processes that were not settled."""
        path = self.folder / self._outputs.records
        return [path, *sorted(self.folder.glob(f"{path.stem}.process-*.jsonl"))]

    def _read_records(self) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = {}
        for path in self._record_files():
            for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
                try:
                    record = json.loads(line)
                    records[record["file"]] = {**record, "name": record["name"]}
                except (ValueError, KeyError, TypeError):
                    continue  # a line cut off when the machine went down: its picture is done again
        return records

    def _claim_names(self, pictures: "Sequence[Picture]") -> dict[str, str]:
        """Where the results of each file go below the folder: a place of no other file, and on top of no picture.

        That is its path below the folder that was named; a place that belongs to another file gets a suffix.
        """
        owners = {record["name"]: file for file, record in self._records.items()}
        protected = {picture.path.resolve() for picture in pictures}
        names: dict[str, str] = {}
        for picture in pictures:
            file, plain = str(picture.path), picture.relative.as_posix()
            for name in (plain, f"{plain}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"):
                targets = [self.folder / (name + suffix) for suffix in self._outputs.suffixes.values()]
                free = not any(target.exists() and target.resolve() in protected for target in targets)
                if owners.get(name, file) == file and free:
                    owners[name], names[file] = file, name
                    break
            else:
                raise CommandError(f"{self.folder / name}: its results would overwrite an input; choose another --out")
        return names


def _to_line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
