"""The peers' and the papers' definitions, by name.

A preset gives what its peer's code gives, apart from plain errors of that code: areas count ties (a constant map has
0.5, not 0 or 1 by the order of its pixels), and an image that has one class only has no area (not NaN, which would
spread to the mean).

`imdlbenco`: IMDL-BenCo's pixel F1, mean over all images, authentic ones counted as 0, so that a perfect localizer has
0.5 where half of the images are authentic; pixel AUC likewise. `imdlbenco_permuted`: its "double" mode.

`trufor`: the better of F1 and inverted F1, on forged images, without a band around the forged region (its erosion by 15
and dilation by 11 pixels). A forgery that the erosion removes has no value here; the peer's code counts 0.

`mvss`: on the map as its PNG stores it (cut to 8 bits), forged images only; the image's score is the map's maximum; its
image-level "F1" is the harmonic mean of sensitivity and specificity.

`catnet`: mean IoU of the two classes, pooled, per image, and the better of map and inverted map. A class that is
neither flagged nor there counts 0, so that a perfect answer on an authentic image has 0.5.

`photoholmes_pooled`: all pixels together; the pooled AUC from 100 thresholds, its curve completed to (0, 0), which the
peer's is not where pixels have exactly 1. With `average="image"` AUCs are exact, undefined ones 0.

`smp_micro`: counts of all pixels, flagged at the threshold too; nothing flagged and nothing forged is 1.

`deepfakebench_frame`: scores of frames; the equal error rate is the false-alarm rate where the two rates are closest.
All distinct scores are tried: scikit-learn's `roc_curve`, which the peer calls, drops points on straight runs, and with
them at times the closest one.

`paper_sumi_ifl`: F1 and AUC "following" earlier work. Left open: threshold, averaging, authentic images. Our reading:
0.5, mean over forged images.

`paper_ncl`: F1 and AUC. Left open: threshold (its notebook takes the larger of two classes, which is 0.5), averaging.
Its table has the "optimal" AUC, which is not further defined: we take the plain one. Mean over forged images.

`paper_safl_net`: F1 at the threshold of an earlier work's strategy in its comparisons, which we read as the equal error
rate; 0.5 in its ablations (`threshold=0.5, score_threshold=0.5`). Left open: averaging; we take the mean over forged
images, and pool pixels for the threshold. For images AUC, sensitivity, specificity and F1.

`paper_diff_forensics`: threshold 0.5; F1 and AUC of pixels, accuracy, AUC, EER and F1 of images. Left open: averaging
(mean over forged images here) and how the EER is read off (interpolated here).

`paper_exposing_deception`: accuracy, AUC and log loss of frames; AUC of videos, whose score is the mean over their
frames. Left open: how log loss is clipped (at the smallest step of a float64 here).
"""

import dataclasses
import difflib
from typing import Any

from .definitions import AUTHENTIC_KEYS, Definition

_COUNTED = ("pixel_f1", "pixel_precision", "pixel_recall", "pixel_iou")
_PAPER_PIXELS = ("pixel_f1", "pixel_f1_pooled", "pixel_auc", "pixel_auc_pooled", *AUTHENTIC_KEYS)

_DEFINITIONS = (
    Definition("default"),
    Definition(
        "imdlbenco",
        authentic="zero",
        f1_epsilon=1e-8,
        reports=(*_COUNTED, "pixel_auc", "pixel_f1_permuted", "image_f1", "image_acc", "image_auc"),
    ),
    Definition(
        "imdlbenco_permuted",
        authentic="zero",
        polarity="permuted",
        f1_epsilon=1e-8,
        reports=("pixel_f1", "pixel_f1_permuted"),
    ),
    Definition(
        "trufor",
        polarity="permuted",
        boundary=(15, 11),
        reports=("pixel_f1", "pixel_f1_permuted", "pixel_f1_oracle", "image_auc", "image_balanced_acc"),
    ),
    Definition(
        "mvss",
        eight_bit=True,
        score_reduction="max",
        image_f1="sensitivity_specificity",
        reports=("pixel_f1", "pixel_precision", "pixel_recall", "image_f1", "image_auc", "image_acc",
                 "image_sensitivity", "image_specificity"),
    ),
    Definition("catnet", authentic="zero", reports=("pixel_miou", "pixel_miou_pooled", "pixel_miou_permuted")),
    Definition(
        "photoholmes_pooled",
        average="pooled",
        authentic="zero",
        pooled_bins="linear_100",
        undefined_area="zero",
        reports=(*_COUNTED, "pixel_mcc", "pixel_auc",
                 *(f"{key}_pooled" for key in (*_COUNTED, "pixel_mcc", "pixel_auc"))),
    ),
    Definition(
        "smp_micro",
        average="pooled",
        authentic="empty_is_one",
        inclusive=True,
        reports=(*_COUNTED, *(f"{key}_pooled" for key in _COUNTED)),
    ),
    Definition("deepfakebench_frame", image_eer="nearest", reports=("image_auc", "image_ap", "image_acc", "image_eer")),
    Definition("paper_sumi_ifl", reports=_PAPER_PIXELS),
    Definition("paper_ncl", reports=_PAPER_PIXELS),
    Definition(
        "paper_safl_net",
        threshold="eer",
        score_threshold="eer",
        reports=(*_PAPER_PIXELS, "image_auc", "image_sensitivity", "image_specificity", "image_f1"),
    ),
    Definition("paper_diff_forensics", reports=(*_PAPER_PIXELS, "image_acc", "image_auc", "image_eer", "image_f1")),
    Definition("paper_exposing_deception", reports=("image_acc", "image_auc", "image_log_loss", "video_auc")),
)  # fmt: skip

#: The peers' and the papers' definitions by name; the module's docstring says what each means.
PRESETS: dict[str, Definition] = {definition.preset: definition for definition in _DEFINITIONS}


def get_definition(preset: str = "default", **choices: Any) -> Definition:
    """A preset, with some of its choices replaced.

    Args:
        preset: One of `PRESETS`.
        **choices: Fields of `Definition` by name.

    Raises:
        ValueError: If the preset or a choice is unknown.

    Example:
        >>> get_definition("imdlbenco", threshold=0.3).authentic
        'zero'
    """
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"preset {preset!r} is unknown: {hint}choose from {', '.join(PRESETS)}")
    names = {field.name for field in dataclasses.fields(Definition)} - {"preset", "reports"}
    if unknown := sorted(set(choices) - names):
        raise ValueError(f"{', '.join(unknown)}: no such choice; choose from {', '.join(sorted(names))}")
    return dataclasses.replace(PRESETS[preset], **choices)
