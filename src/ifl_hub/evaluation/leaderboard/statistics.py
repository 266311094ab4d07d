"""What the leaderboard keeps of every image: counts and areas, a few dozen bytes each, no picture and no mask.

    STATISTICS/SET/images.csv     what was judged: name, groups, size, how many pixels are forged
    STATISTICS/SET/MODEL.csv      a row for each image and condition: flagged pixels, areas, the image's score
    STATISTICS/SET/MODEL.json     what the maps depended on: weights, preprocessing, fingerprint of the data
    STATISTICS/speed.json         CPU time of each localizer

Numbers are counts, or rounded to six decimals, so that the same measurement is the same bytes.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...files import write_atomically
from ...metrics import ImageCounts

#: The statistics that ship.
STATISTICS = Path(__file__).parent / "statistics_data"
_DECIMALS = 6


@dataclass(frozen=True)
class TestSet:
    """A data set of the leaderboard.

    Args:
        name: Folder of its statistics.
        folder: Imagefolder below the folder of all test sets.
        split: Of the imagefolder; None for all rows.
        title: Heading in the leaderboard.
        note: What a reader must know of it, in a sentence.
    """

    name: str
    folder: str
    split: str | None
    title: str
    note: str


#: In the order of the leaderboard. None of them trained or calibrated anything that ships.
TEST_SETS = (
    TestSet(
        "casia1-validation",
        "casia1",
        "validation",
        "CASIA v1, validation split",
        "Small JPEGs (384x256); splices and copy-moves of about equal number; the mask is the forged region.",
    ),
    TestSet(
        "comofod",
        "comofod",
        None,
        "CoMoFoD",
        "Copy-moves at 512x512, some turned, scaled or distorted; masks mark source and copy alike.",
    ),
    TestSet(
        "casia2",
        "casia2",
        None,
        "CASIA v2, a sample",
        "Twenty forgeries: the intervals are what to read.",
    ),
)


@dataclass(frozen=True)
class TestImage:
    """An image of a test set.

    Args:
        name: Its `file_name` in the imagefolder.
        forgery_type: Such as `"splicing"`; `"none"` for an authentic image.
        mask_size: Bucket of `ifl_hub.evaluation.labelled_images.MASK_SIZES`, or `"none"`.
        jpeg_quality: Bucket of `JPEG_QUALITIES`, or `"not JPEG"`.
        height: In pixels.
        width: In pixels.
        n_forged: Forged pixels that count.
        n_authentic: Authentic pixels that count.
    """

    name: str
    forgery_type: str
    mask_size: str
    jpeg_quality: str
    height: int
    width: int
    n_forged: int
    n_authentic: int


@dataclass(frozen=True)
class RunStatistics:
    """One localizer on one test set.

    Args:
        facts: What its maps depend on: `weights_sha256`, `preprocessing`; `fingerprint` of the data; `score_threshold`,
            the operating point of its label (None for a baseline).
        counts: By condition, the clean one first, the counts of each image that was judged under it.
    """

    facts: Mapping[str, Any]
    counts: Mapping[str, Sequence[ImageCounts]]


@dataclass(frozen=True)
class TestSetStatistics:
    """A test set and every localizer that was measured on it.

    Args:
        test_set: Which.
        images: What was judged.
        runs: By localizer.
    """

    test_set: TestSet
    images: Sequence[TestImage]
    runs: Mapping[str, RunStatistics]

    def names_by_type(self) -> dict[str, set[str]]:
        """Names of the forged images of each type of forgery, the types sorted."""
        types = sorted({image.forgery_type for image in self.images if image.n_forged})
        return {kind: {image.name for image in self.images if image.forgery_type == kind} for kind in types}


def load_statistics(folder: Path = STATISTICS) -> list[TestSetStatistics]:
    """All statistics below a folder, in the order of the leaderboard; sets that were not measured are left out.

    Args:
        folder: By default the statistics that ship.

    Example:
        >>> [len(measured.images) for measured in load_statistics()]
        [206, 50, 20]
    """
    return [_load_set(folder / one.name, one) for one in TEST_SETS if (folder / one.name / "images.csv").is_file()]


def save_images(folder: Path, images: Sequence[TestImage]) -> None:
    """Write what was judged of a test set.

    Args:
        folder: Of the test set.
        images: In the order that rows refer to.
    """
    _write_csv(folder / "images.csv", [asdict(image) for image in images])


def save_run(folder: Path, name: str, run: RunStatistics, images: Sequence[TestImage]) -> None:
    """Write one localizer's statistics.

    Args:
        folder: Of the test set.
        name: Of the localizer.
        run: Its statistics; every count's `name` is an image's.
        images: As `save_images` wrote them.
    """
    numbers = {image.name: number for number, image in enumerate(images)}
    rows = [
        {
            "image": numbers[str(count.name)],
            "condition": condition,
            "hits": count.hits[0],
            "false_alarms": count.false_alarms[0],
            "pixel_auc": _rounded(count.pixel_auc),
            "f1_oracle": _rounded(count.f1_oracle),
            "score": _rounded(count.score),
        }
        for condition, counts in run.counts.items()
        for count in counts
    ]
    _write_csv(folder / f"{_file_stem(name)}.csv", rows)
    text = json.dumps({"model": name, **run.facts}, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / f"{_file_stem(name)}.json", text.encode())


def load_speed(folder: Path = STATISTICS) -> dict[str, dict[str, Any]]:
    """Of each localizer `milliseconds` of CPU for a picture of 512x512, the `processor`, and `weights_sha256`."""
    path = folder / "speed.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def save_speed(folder: Path, speeds: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what `load_speed` reads."""
    write_atomically(folder / "speed.json", json.dumps(dict(sorted(speeds.items())), indent=1).encode() + b"\n")


def _load_set(folder: Path, test_set: TestSet) -> TestSetStatistics:
    images = [_test_image(row) for row in _read_csv(folder / "images.csv")]
    runs = {}
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        runs[facts.pop("model")] = RunStatistics(facts, _load_counts(path.with_suffix(".csv"), images))
    return TestSetStatistics(test_set, images, runs)


def _test_image(row: Mapping[str, str]) -> TestImage:
    numbers = {field.name for field in fields(TestImage) if field.type is int}
    values: dict[str, Any] = {key: int(value) if key in numbers else value for key, value in row.items()}
    return TestImage(**values)


def _load_counts(path: Path, images: Sequence[TestImage]) -> dict[str, list[ImageCounts]]:
    counts: dict[str, list[ImageCounts]] = {}
    # In the order of the images, as an evaluation has them, so that bootstrap samples are the same ones.
    for row in sorted(_read_csv(path), key=lambda row: int(row["image"])):
        image = images[int(row["image"])]
        counts.setdefault(row["condition"], []).append(
            ImageCounts(
                is_forged=image.n_forged > 0,
                score=_number(row["score"]),
                n_forged=image.n_forged,
                n_authentic=image.n_authentic,
                hits=(int(row["hits"]),),
                false_alarms=(int(row["false_alarms"]),),
                pixel_auc=_number(row["pixel_auc"]),
                f1_oracle=_number(row["f1_oracle"]),
                f1_oracle_inverted=0.0 if image.n_forged else None,  # not kept, and read by no number here
                name=image.name,
            )
        )
    return counts


def _file_stem(name: str) -> str:
    return name.replace(":", "-")


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.{_DECIMALS}f}"


def _number(text: str) -> float | None:
    return float(text) if text else None


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue().encode())
