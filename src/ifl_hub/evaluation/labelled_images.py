"""What an evaluation is given: images on disk, what is forged in each, and the groups each belongs to.

The folder is the zoo's imagefolder: a `metadata.jsonl` with `file_name`, `mask_file_name`, `label` (authentic or
forged) and, where it holds several splits, `split`.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..image_processing.jpeg import read_jpeg_facts
from ..image_processing.masks import to_label_map

#: Upper bounds of the buckets of mask size: the share of the image's counted pixels that is forged.
MASK_SIZES = ((0.01, "below 1 %"), (0.05, "1 to 5 %"), (0.15, "5 to 15 %"), (0.3, "15 to 30 %"), (1.0, "above 30 %"))
#: Lower bounds of the buckets of JPEG quality.
JPEG_QUALITIES = ((95, "95 to 100"), (90, "90 to 94"), (80, "80 to 89"), (70, "70 to 79"), (0, "below 70"))


@dataclass(frozen=True)
class LabelledImage:
    """An image on disk and its ground truth.

    Args:
        image: The picture.
        mask: Its mask, read by `to_label_map`; None for an authentic image, and for a forged one that has none.
        forgery_type: Such as `"splicing"`; `"none"` for an authentic image.
        name: Its `file_name`, which no other image of the folder has.
        forged: What its `label` says.
        source: The data set it is from; `"unknown"` if the row does not say.
    """

    image: Path
    mask: Path | None
    forgery_type: str
    name: str
    forged: bool
    source: str


class EvaluationError(ValueError):
    """An evaluation that cannot be done as asked; the message is one line that says what to do."""


class UnusableImageError(ValueError):
    """An image that cannot be scored; the message says why in a few words."""


def read_labelled_images(folder: str | Path, split: str | None = None) -> list[LabelledImage]:
    """The images of an imagefolder, in the order of its `metadata.jsonl`.

    Args:
        folder: Holds `metadata.jsonl`.
        split: Keep the rows whose `split` (or `suggested_split`) says so.

    Raises:
        EvaluationError: If there is no `metadata.jsonl`, no row is left, or a row is no JSON object with `file_name`
            and `label`, names a file outside the folder, or repeats a name.
    """
    listing = Path(folder) / "metadata.jsonl"
    if not listing.is_file():
        raise EvaluationError(f"{listing} is missing: evaluation needs an imagefolder with a metadata.jsonl")
    rows = [
        _parse_row(line, f"{listing}, line {number}")
        for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1)
        if line.strip()
    ]
    splits = sorted({str(_split_of(row)) for row in rows})
    if split is not None:
        rows = [row for row in rows if _split_of(row) == split]
    if not rows:
        known = f" of split {split!r}; it has {', '.join(splits)}" if split else ""
        raise EvaluationError(f"{listing} has no row{known}")
    images = [_labelled_image(listing.parent, row) for row in rows]
    if len({image.name for image in images}) < len(images):
        raise EvaluationError(f"{listing} names a file_name twice; every image needs its own row")
    return images


def read_labels(item: LabelledImage, height: int, width: int) -> NDArray[np.uint8]:
    """What is forged in an image: `(height, width)` uint8 of 0 authentic, 1 forged, 255 not to be counted.

    Raises:
        UnusableImageError: If a forged image has no readable mask of its size with a forged pixel in it.
    """
    if not item.forged:
        return np.zeros((height, width), np.uint8)
    if item.mask is None:
        raise UnusableImageError("labelled forged, but it has no mask")
    if not item.mask.is_file():
        raise UnusableImageError("its mask is missing")
    try:
        with Image.open(item.mask) as mask:
            labels = to_label_map(mask, item.mask.name)
    except (OSError, SyntaxError) as error:
        raise UnusableImageError("its mask is no readable picture") from error
    except ValueError as error:
        raise UnusableImageError(str(error)) from error
    if labels.shape != (height, width):
        raise UnusableImageError(f"its mask is {labels.shape[1]}x{labels.shape[0]}, the upright image {width}x{height}")
    if not (labels == 1).any():
        raise UnusableImageError("labelled forged, but its mask is empty")
    return labels


def mask_size(labels: NDArray[np.uint8]) -> str:
    """The bucket of a label map by its forged share, `"none"` for an authentic image.

    Example:
        >>> mask_size(np.array([[1, 0, 0, 255]], np.uint8))
        'above 30 %'
    """
    forged = int((labels == 1).sum())
    if not forged:
        return "none"
    share = forged / int((labels <= 1).sum())
    return next(name for bound, name in MASK_SIZES if share <= bound)


def jpeg_quality(path: Path) -> int | None:
    """The IJG quality whose luma table is nearest to that of a JPEG file; None for other formats.

    It is that of the last compression only, and a guess for cameras with tables of their own.
    """
    with Image.open(path) as image:
        facts = read_jpeg_facts(image)
    return None if facts is None else facts.quality


def jpeg_quality_bucket(quality: int | None) -> str:
    """The name of a quality's bucket.

    Example:
        >>> jpeg_quality_bucket(92), jpeg_quality_bucket(None)
        ('90 to 94', 'not JPEG')
    """
    return "not JPEG" if quality is None else next(name for bound, name in JPEG_QUALITIES if quality >= bound)


def _parse_row(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if row["label"] not in ("forged", "authentic"):
            raise ValueError(f"label {row['label']!r} is neither authentic nor forged")
        for name in (row["file_name"], row.get("mask_file_name") or ""):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{name} lies outside the folder")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise EvaluationError(f"{place}: is no row of an imagefolder ({reason})") from error
    return row


def _split_of(row: dict[str, Any]) -> Any:
    return row.get("split", row.get("suggested_split"))


def _labelled_image(folder: Path, row: dict[str, Any]) -> LabelledImage:
    forged = row["label"] == "forged"
    mask = row.get("mask_file_name") if forged else None
    return LabelledImage(
        image=folder / row["file_name"],
        mask=folder / mask if mask else None,
        forgery_type=str(row.get("forgery_type") or "unknown") if forged else "none",
        name=str(PurePosixPath(row["file_name"])),
        forged=forged,
        source=str(row.get("source") or "unknown"),
    )
