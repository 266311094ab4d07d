"""What a number means: every choice behind a metric, as data.

On the same predictions the field's definitions give pixel F1 anywhere from 0.22 to 0.68. So a number never travels
without its `Definition`. The peers' own choices are in `presets.py`.
"""

import dataclasses
import numbers
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..image_processing.masks import IGNORED
from ..image_processing.scoring import ScoreReduction, check_choice
from .bins import BinNames

Average = Literal["image", "pooled"]
Authentic = Literal["exclude", "zero", "empty_is_one"]
Polarity = Literal["forged", "permuted"]
DataThreshold = Literal["oracle_image", "oracle_dataset", "eer"]
UndefinedArea = Literal["leave_out", "zero"]
ImageF1 = Literal["f1", "sensitivity_specificity"]
ImageEer = Literal["interpolated", "nearest"]

_CLOSED = {
    "average": get_args(Average),
    "authentic": get_args(Authentic),
    "polarity": get_args(Polarity),
    "pooled_bins": get_args(BinNames),
    "undefined_area": get_args(UndefinedArea),
    "image_f1": get_args(ImageF1),
    "image_eer": get_args(ImageEer),
}

#: Values of one image, averaged over images; each also has a `_pooled` form.
PIXEL_KEYS = ("pixel_f1", "pixel_precision", "pixel_recall", "pixel_iou", "pixel_mcc", "pixel_auc", "pixel_ap",
              "pixel_f1_oracle", "pixel_f1_permuted", "pixel_miou", "pixel_miou_permuted")  # fmt: skip
AUTHENTIC_KEYS = ("authentic_fpr", "authentic_alarm_rate")
IMAGE_KEYS = ("image_auc", "image_ap", "image_acc", "image_balanced_acc", "image_f1", "image_sensitivity",
              "image_specificity", "image_eer", "image_log_loss")  # fmt: skip
POOLED_KEYS = tuple(f"{key}_pooled" for key in PIXEL_KEYS)
ALL_KEYS = (*PIXEL_KEYS, *POOLED_KEYS, *AUTHENTIC_KEYS, *IMAGE_KEYS, "video_auc")


@dataclass(frozen=True)
class Definition:
    """Every choice behind the numbers of one metric.

    Args:
        preset: Name of the preset it came from.
        threshold: A pixel is flagged where its probability is above it. `"oracle_image"`: the best F1 of each image;
            `"oracle_dataset"`: the one threshold with the best `pixel_f1` over the data set; `"eer"`: the one where
            pooled pixels have as many misses as false alarms, as shares. The last two are found among `GRID`.
        inclusive: Flagged at the threshold too (`>=` instead of `>`), for scores of images as for pixels.
        boundary: `(erode, dilate)` odd window sides in pixels. Forged pixels that an erosion takes away and authentic
            ones that a dilation reaches are left out. None: every pixel counts.
        ignore_value: Label that is left out; None for nothing.
        average: `"image"`: the mean of the images' values. `"pooled"`: all pixels together.
        authentic: What an image without a forged pixel is worth. `"exclude"`: it is left out. `"zero"`: 0.
            `"empty_is_one"`: 1 where nothing is flagged, else 0. Areas (AUC, AP) are left out under the last.
        polarity: `"permuted"` takes the better F1 of map and inverted map.
        f1_epsilon: Added to the denominators of precision, recall and F1.
        eight_bit: The map is cut to 8 bits before the threshold.
        pooled_bins: Bins of the pooled areas: about 44 000, ever narrower towards 0 and 1 (`"logit"`), or 100 equal
            steps.
        undefined_area: AUC and AP of an image of one class: `"leave_out"`, or `"zero"`.
        score_reduction: From the map to the image's score, where none is given.
        score_threshold: An image is called forged where its score is above it; `"eer"`: at the equal error rate.
        image_f1: `"f1"`, or the harmonic mean of sensitivity and specificity.
        image_eer: `"interpolated"` crossing, or the false-alarm rate where the two rates are `"nearest"`.
        reports: The keys that this definition defines; all others are None.

    Raises:
        ValueError: If a choice is none of those, with the allowed list.
    """

    preset: str = "default"
    threshold: float | DataThreshold = 0.5
    inclusive: bool = False
    boundary: tuple[int, int] | None = None
    ignore_value: int | None = IGNORED
    average: Average = "image"
    authentic: Authentic = "exclude"
    polarity: Polarity = "forged"
    f1_epsilon: float = 0.0
    eight_bit: bool = False
    pooled_bins: BinNames = "logit"
    undefined_area: UndefinedArea = "leave_out"
    score_reduction: ScoreReduction = "top_1_percent_mean"
    score_threshold: float | Literal["eer"] = 0.5
    image_f1: ImageF1 = "f1"
    image_eer: ImageEer = "interpolated"
    reports: tuple[str, ...] = ALL_KEYS

    def __post_init__(self) -> None:
        for name, allowed in _CLOSED.items():
            check_choice(name, getattr(self, name), allowed)
        for name, words in (("threshold", get_args(DataThreshold)), ("score_threshold", ("eer",))):
            object.__setattr__(self, name, _checked_threshold(name, getattr(self, name), words))
        check_choice("score_reduction", self.score_reduction, get_args(ScoreReduction))
        if self.boundary is not None:
            object.__setattr__(self, "boundary", _checked_boundary(self.boundary))
        if self.ignore_value in (0, 1):
            raise ValueError(f"ignore_value={self.ignore_value} is the label of a class; use 255, or None for nothing")

    def as_dict(self) -> dict[str, Any]:
        """Every choice by name, JSON-able, without the list of keys; the resolution is always the original one."""
        choices = dataclasses.asdict(self)
        del choices["reports"]
        choices["boundary"] = None if self.boundary is None else list(self.boundary)
        return {**choices, "resolution": "original"}

    def of_scores(self) -> dict[str, Any]:
        """The choices that matter for scores of images, JSON-able."""
        return {
            name: getattr(self, name) for name in ("preset", "score_threshold", "inclusive", "image_f1", "image_eer")
        }


def check_same_definition(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Refuse to mix numbers of two definitions, each as `Definition.as_dict` gives it.

    Raises:
        ValueError: If they differ, with the choices that do.
    """
    if differing := [name for name in ours if ours[name] != theirs.get(name)]:
        raise ValueError(f"counts of another definition ({', '.join(differing)} differ): count again under this one")


def _checked_threshold(name: str, value: Any, words: tuple[str, ...]) -> float | str:
    if isinstance(value, str):
        check_choice(name, value, words)
        return value
    if not isinstance(value, numbers.Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name}={value} is no probability; give a number in [0, 1] or one of {', '.join(words)}")
    return float(value)


def _checked_boundary(boundary: Any) -> tuple[int, int]:
    sides = tuple(boundary)
    if len(sides) != 2 or any(side != int(side) or side < 1 or side % 2 == 0 for side in sides):
        raise ValueError(f"boundary={boundary} must be two odd window sides in pixels, such as (15, 11), or None")
    return int(sides[0]), int(sides[1])
