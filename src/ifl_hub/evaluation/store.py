"""The folder of an evaluation: what was judged, and what every localizer said of it.

    images.jsonl                 one row an image: its file's hash, its groups, or why it is left out
    labels/NAME.png              what is forged in it (0, 1; 255 is not counted)
    predictions/RUN/NAME.png     one localizer's heat maps under one condition, see `stored_maps`
    predictions/RUN/run.json     which localizer and which condition; RUN ends in a hash of both
    predictions/RUN/done.jsonl   one line a finished image; done-2.jsonl and so on of further processes

A line in `done.jsonl` is written after its map, and every file is whole or absent. So a run that was killed goes on
where it stopped, and all numbers can be computed again, by any definition, without the images.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import file_sha256, write_atomically
from ..image_processing import ImageLoadError, load_image
from ..processes import process_rank
from .labelled_images import (
    EvaluationError,
    LabelledImage,
    UnusableImageError,
    jpeg_quality,
    jpeg_quality_bucket,
    mask_size,
    read_labels,
)
from .localizers import NamedLocalizer
from .robustness import Condition
from .stored_maps import load_labels, load_map, save_labels, save_map

_IMAGES, _RUN = "images.jsonl", "run.json"


@dataclass(frozen=True)
class ImageRecord:
    """What an evaluation knows of an image once it no longer needs it.

    Args:
        name: Its `file_name` in the metadata.
        sha256: Of its file.
        labels_sha256: Of its label map; empty if it is skipped.
        label: `"forged"` or `"authentic"`.
        source: The data set it is from.
        forgery_type: Such as `"splicing"`; `"none"` for an authentic image.
        mask_size: Bucket of `MASK_SIZES`, or `"none"`.
        jpeg_quality: Bucket of `JPEG_QUALITIES`, or `"not JPEG"`.
        height: Of the upright image, in pixels.
        width: Of the upright image, in pixels.
        skipped: Why it is left out, or None.
    """

    name: str
    sha256: str
    labels_sha256: str
    label: str
    source: str
    forgery_type: str
    mask_size: str
    jpeg_quality: str
    height: int
    width: int
    skipped: str | None = None


@dataclass(frozen=True)
class Finished:
    """The line of a finished image: the score of a detection head, or why there is no map."""

    name: str
    score: float | None
    failure: str | None = None


class EvaluationFolder:
    """Reads and writes one folder.

    Args:
        folder: Holds `images.jsonl`; see `prepare`.

    Raises:
        EvaluationError: If it holds none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / _IMAGES).is_file():
            raise EvaluationError(
                f"{folder} holds no evaluation ({_IMAGES} is missing); name the --out of an earlier one"
            )
        lines = (folder / _IMAGES).read_text(encoding="utf-8").splitlines()
        self.name, self.split = (json.loads(lines[0])[key] for key in ("data", "split"))
        self.records = [ImageRecord(**json.loads(line)) for line in lines[1:]]

    @classmethod
    def prepare(
        cls, folder: Path, images: Sequence[LabelledImage], name: str, split: str | None, tick: Callable[[], Any]
    ) -> "EvaluationFolder":
        """Take down what will be judged, or check that an earlier call took down the same.

        Args:
            folder: Created if missing.
            images: What to judge.
            name: Of the data set, for the report.
            split: Of the data set, for the report.
            tick: Called after each image.

        Raises:
            EvaluationError: If the folder holds an evaluation of other images, or cannot be written.
        """
        header = {"data": name, "split": split}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(f"{folder}: cannot hold results ({error.strerror}); choose another --out") from error
        known = cls(folder) if (folder / _IMAGES).is_file() else None
        expected = {record.name: record for record in known.records} if known else {}
        records = []
        for image in images:
            record, labels = _take_down(image, expected.get(image.name))
            records.append(record)
            path = _labels_path(folder, image.name)
            if labels is not None and (known is None or (record == expected.get(image.name) and not path.is_file())):
                save_labels(path, labels)
            tick()
        if known is None:
            lines = [header, *(dataclasses.asdict(record) for record in records)]
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            write_atomically(folder / _IMAGES, text.encode())
        elif (known.name, known.split, known.records) != (name, split, records):
            raise EvaluationError(f"{folder} holds the evaluation of other images; choose another --out")
        return cls(folder)

    @property
    def fingerprint(self) -> str:
        """Identifies images, ground truth and nothing else: sha256 over names and hashes, sorted by name."""
        parts = sorted((record.name, record.label, record.sha256, record.labels_sha256) for record in self.records)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def usable(self) -> list[ImageRecord]:
        """The images that are not skipped."""
        return [record for record in self.records if record.skipped is None]

    def labels(self, record: ImageRecord) -> NDArray[np.uint8]:
        """An image's label map `(H, W)` of 0, 1 and 255."""
        return load_labels(_labels_path(self.folder, record.name))

    def run(self, localizer: NamedLocalizer, condition: Condition) -> "PredictionRun":
        """The place of a localizer's maps under a condition, with whatever is there already."""
        facts = {"model": localizer.name, "condition": condition.name, **localizer.settings}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]
        readable = re.sub(r"[^\w.-]+", "-", f"{Path(localizer.name).name}-{condition.name}").strip("-")
        return PredictionRun(self.folder / "predictions" / f"{readable}-{digest}", facts)

    def runs(self) -> list["PredictionRun"]:
        """Every run that is there, complete or not."""
        files = sorted(self.folder.glob(f"predictions/*/{_RUN}"))
        return [PredictionRun(file.parent, json.loads(file.read_text(encoding="utf-8"))) for file in files]


class PredictionRun:
    """One localizer's maps under one condition.

    Args:
        folder: Where they lie.
        facts: `model`, `condition`, and the localizer's settings.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self.facts = facts
        self._done: dict[str, Finished] = {done.name: done for done in self._read_done()}

    @property
    def identity(self) -> str:
        """A short hash of the localizer's name and settings, the same under all conditions."""
        facts = {key: value for key, value in self.facts.items() if key != "condition"}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]

    def find(self, record: ImageRecord) -> Finished | None:
        """The line of an image that is finished and whose map is still there."""
        done = self._done.get(record.name)
        whole = done is not None and (done.failure is not None or self._path(record.name).is_file())
        return done if whole else None

    def heatmap(self, record: ImageRecord) -> NDArray[np.float32]:
        """The map `(H, W)` of a finished image."""
        return load_map(self._path(record.name))

    def write(self, record: ImageRecord, heatmap: NDArray[np.floating], score: float | None) -> None:
        """Keep an image's map, then its line.

        Raises:
            BadMapError: If the map holds values that are no probabilities.
        """
        save_map(self._path(record.name), heatmap)
        self._finish(Finished(record.name, score))

    def write_failure(self, record: ImageRecord, reason: str) -> None:
        """Keep why an image has no map."""
        self._finish(Finished(record.name, None, reason))

    def _finish(self, done: Finished) -> None:
        if not (self.folder / _RUN).is_file():
            write_atomically(self.folder / _RUN, json.dumps(self.facts, ensure_ascii=False, indent=1).encode() + b"\n")
        text = json.dumps(dataclasses.asdict(done), ensure_ascii=False) + "\n"
        with self._own_lines.open("a", encoding="utf-8") as stream:
            # Right after a line that was cut off when the machine went down, a new one would be lost with it.
            stream.write(text if self._ends_with_a_whole_line() else "\n" + text)
        self._done[done.name] = done

    def _ends_with_a_whole_line(self) -> bool:
        with self._own_lines.open("rb") as stream:
            stream.seek(0, 2)
            if stream.tell() == 0:
                return True
            stream.seek(-1, 2)
            return stream.read(1) == b"\n"

    def _read_done(self) -> Iterator[Finished]:
        for path in sorted(self.folder.glob("done*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    yield Finished(**json.loads(line))
                except (ValueError, TypeError):
                    continue  # a line cut off when the machine went down: its image is done again

    @property
    def _own_lines(self) -> Path:
        """Every process has a file of its own, so that no two write into one another's lines."""
        rank = process_rank()
        return self.folder / ("done.jsonl" if rank == 0 else f"done-{rank + 1}.jsonl")

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.png"


def common_images(records: Iterable[ImageRecord], runs: Sequence[PredictionRun]) -> tuple[list[ImageRecord], list[str]]:
    """The images for which every run has a map, and of each other one why it is left out.

    Args:
        records: Of the folder, skipped ones included.
        runs: All that are to be compared; each must be complete.
    """
    kept, left_out = [], []
    for record in records:
        failures = [
            f"{run.facts['model']}: {done.failure}" for run in runs if (done := run.find(record)) and done.failure
        ]
        reason = record.skipped or "; ".join(dict.fromkeys(failures))
        if reason:
            left_out.append(f"{record.name}: {reason}")
        else:
            kept.append(record)
    return kept, left_out


def _labels_path(folder: Path, name: str) -> Path:
    return folder / "labels" / f"{name}.png"


def _take_down(image: LabelledImage, known: ImageRecord | None) -> tuple[ImageRecord, NDArray[np.uint8] | None]:
    """The record and the label map of an image; of a file that is `known` the picture is not decoded again."""
    facts: dict[str, Any] = {
        "name": image.name,
        "sha256": "",
        "labels_sha256": "",
        "label": "forged" if image.forged else "authentic",
        "source": image.source,
        "forgery_type": image.forgery_type,
        "mask_size": "none",
        "jpeg_quality": "not JPEG",
        "height": 0,
        "width": 0,
    }
    try:
        if image.image.is_file():
            facts["sha256"] = file_sha256(image.image)
        if known is not None and known.sha256 == facts["sha256"] and known.height:
            facts["height"], facts["width"], facts["jpeg_quality"] = known.height, known.width, known.jpeg_quality
        else:
            facts["height"], facts["width"] = load_image(image.image).size
            facts["jpeg_quality"] = jpeg_quality_bucket(jpeg_quality(image.image))
        labels = read_labels(image, facts["height"], facts["width"])
    except (ImageLoadError, UnusableImageError) as error:
        return ImageRecord(**facts, skipped=str(error).removeprefix(f"{image.image}: ")), None
    facts["mask_size"] = mask_size(labels)
    facts["labels_sha256"] = hashlib.sha256(labels.tobytes()).hexdigest()
    return ImageRecord(**facts), labels
