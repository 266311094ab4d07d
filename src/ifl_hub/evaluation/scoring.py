"""From images with masks and one localizer to one row of numbers an image, in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..image_processing import load_image
from ..metrics import get_definition, image_counts
from ..metrics.pixel import f1
from .baselines import Localizer
from .labelled_images import LabelledImage, read_labels


@dataclass(frozen=True)
class ImageScore:
    """What one localizer did on one image; pixels that its mask ignores are in no number.

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


def score_images(items: Iterable[LabelledImage], localize: Localizer) -> list[ImageScore]:
    """Run a localizer over images and score each on its original pixel grid, by the preset `default`.

    Args:
        items: What to score.
        localize: PIL image to `(H, W)` map in [0, 1].

    Raises:
        ValueError: If a map or a mask has another size than its image, or a forged image has no mask.
    """
    return [_score(item, localize) for item in items]


def mean_of(scores: Sequence[ImageScore], name: str) -> float | None:
    """Mean over the images for which the value is defined; None if there are none."""
    values = [value for value in (getattr(score, name) for score in scores) if value is not None]
    return float(np.mean(values)) if values else None


def _score(item: LabelledImage, localize: Localizer) -> ImageScore:
    image = Image.fromarray(load_image(item.image).pixels)
    row = image_counts(localize(image), read_labels(item, image.height, image.width), get_definition())
    confusion = row.confusion()
    return ImageScore(
        file_name=item.image.name,
        forgery_type=item.forgery_type,
        pixel_f1=f1(confusion) if row.is_forged else None,
        pixel_auc=row.pixel_auc,
        flagged_area=(confusion.hits + confusion.false_alarms) / (confusion.forged + confusion.authentic),
    )
