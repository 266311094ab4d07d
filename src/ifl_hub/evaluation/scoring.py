"""From a folder of images with masks and a localizer to one row of numbers an image.

The folder is the zoo's imagefolder: a `metadata.jsonl` with `file_name`, `mask_file_name`, `label` (authentic or
forged) and, where it holds several splits, `split`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..image_processing import load_image
from ..image_processing.masks import to_label_map
from ..metrics import pixel_auc, pixel_f1

Localizer = Callable[[Image.Image], NDArray[np.floating]]


@dataclass(frozen=True)
class LabelledImage:
    """An image on disk and its ground truth.

    Args:
        image: The picture.
        mask: Its mask, read by `to_label_map`; None for an authentic image.
        forgery_type: Such as `"splicing"`; `"none"` for an authentic image.
    """

    image: Path
    mask: Path | None
    forgery_type: str


@dataclass(frozen=True)
class ImageScore:
    """What one localizer did on one image.

    Args:
        file_name: Name of the image.
        forgery_type: As in `LabelledImage`.
        pixel_f1: At threshold 0.5; None for an authentic image.
        pixel_auc: None where the mask is empty or full.
        flagged_area: Share of the pixels above 0.5; on an authentic image that is the false-alarm area.
    """

    file_name: str
    forgery_type: str
    pixel_f1: float | None
    pixel_auc: float | None
    flagged_area: float


def read_labelled_images(folder: str | Path, split: str | None = None) -> list[LabelledImage]:
    """The images of an imagefolder, in the order of its `metadata.jsonl`.

    Args:
        folder: Holds `metadata.jsonl`.
        split: Keep the rows whose `split` (or `suggested_split`) says so.

    Raises:
        ValueError: If there is no `metadata.jsonl`, or no row is left.
    """
    listing = Path(folder) / "metadata.jsonl"
    if not listing.is_file():
        raise ValueError(f"{listing} is missing: evaluation needs an imagefolder with a metadata.jsonl")
    rows = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    if split is not None:
        rows = [row for row in rows if row.get("split", row.get("suggested_split")) == split]
    if not rows:
        raise ValueError(f"{listing} has no row" + (f" of split {split!r}" if split else ""))
    return [_labelled_image(listing.parent, row) for row in rows]


def score_images(items: Iterable[LabelledImage], localize: Localizer) -> list[ImageScore]:
    """Run a localizer over images and score each on its original pixel grid.

    Args:
        items: What to score.
        localize: PIL image to `(H, W)` map in [0, 1].

    Raises:
        ValueError: If a map or a mask has another size than its image.
    """
    return [_score(item, localize) for item in items]


def mean_of(scores: Sequence[ImageScore], name: str) -> float | None:
    """Mean over the images for which the value is defined; None if there are none."""
    values = [value for value in (getattr(score, name) for score in scores) if value is not None]
    return float(np.mean(values)) if values else None


def _labelled_image(folder: Path, row: dict[str, str | None]) -> LabelledImage:
    forged = row["label"] == "forged"
    if forged and not row.get("mask_file_name"):
        raise ValueError(f"{folder / str(row['file_name'])} is forged but has no mask_file_name")
    return LabelledImage(
        image=folder / str(row["file_name"]),
        mask=folder / str(row["mask_file_name"]) if forged else None,
        forgery_type=str(row.get("forgery_type") or "unknown") if forged else "none",
    )


def _score(item: LabelledImage, localize: Localizer) -> ImageScore:
    image = Image.fromarray(load_image(item.image).pixels)
    probabilities = np.asarray(localize(image), np.float32)
    if item.mask is None:
        mask = np.zeros(probabilities.shape, np.bool_)
    else:
        mask = to_label_map(Image.open(item.mask), str(item.mask)) == 1
    return ImageScore(
        file_name=item.image.name,
        forgery_type=item.forgery_type,
        pixel_f1=pixel_f1(probabilities, mask),
        pixel_auc=pixel_auc(probabilities, mask),
        flagged_area=float((probabilities > 0.5).mean()),
    )
