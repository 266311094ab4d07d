"""One interface for whatever is evaluated: a trained model behind its pipeline, or a baseline.

A localizer has a name to print, the settings that its maps depend on, and a way to get the function that makes them.
The function is made only when a map is missing: a run that is complete loads no model.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..messages import first_line
from ..processes import own_device
from .baselines import PREFIX, find_baseline
from .labelled_images import EvaluationError


class Prediction(NamedTuple):
    """What a localizer says of one image.

    Args:
        heatmap: `(H, W)` in [0, 1] on the image's pixels.
        score: P(image is forged) of a detection head; None where the metric's definition reduces the map to a score.
    """

    heatmap: NDArray[np.floating]
    score: float | None


Predict = Callable[[Image.Image], Prediction]


@dataclass(frozen=True)
class NamedLocalizer:
    """A localizer to evaluate.

    Args:
        name: As the user gave it.
        settings: Everything that its maps depend on, JSON-able: `weights_sha256`, `preprocessing`
            (without the thresholds, which change no map), `ifl_hub`.
        load: Makes the function from an RGB image to its prediction.
    """

    name: str
    settings: Mapping[str, Any]
    load: Callable[[], Predict]


def baseline_localizer(name: str) -> NamedLocalizer:
    """A baseline, with or without `baseline:` before its name.

    Raises:
        EvaluationError: If there is none of that name.

    Example:
        >>> from PIL import Image
        >>> baseline_localizer("baseline:all-forged").load()(Image.new("RGB", (2, 1))).heatmap
        array([[1., 1.]], dtype=float32)
    """
    localize = find_baseline(name)
    full_name = PREFIX + name.removeprefix(PREFIX)
    return NamedLocalizer(full_name, _settings(None, None), lambda: lambda image: Prediction(localize(image), None))


def model_localizer(name: str, folder: Path, weights_sha256: str) -> NamedLocalizer:
    """A checkpoint behind `pipeline("image-forgery-localization")`, with its own preprocessing and tiling.

    Args:
        name: What the results call it.
        folder: Holds config, preprocessor and safetensors.
        weights_sha256: Of its weights.
    """
    from ..image_processing import IflImageProcessor

    processor = IflImageProcessor.from_pretrained(folder, local_files_only=True)
    preprocessing = json.loads(processor.to_json_string())
    for operating_point in ("threshold", "score_threshold"):  # the maps do not depend on where they are cut
        preprocessing.pop(operating_point)
    if preprocessing["score_source"] == "detection_head":  # the only source once: what was measured then stays valid
        preprocessing.pop("score_source")
    return NamedLocalizer(name, _settings(weights_sha256, preprocessing), lambda: _load_model(name, folder))


def _settings(weights_sha256: str | None, preprocessing: dict[str, Any] | None) -> dict[str, Any]:
    from .. import __version__

    return {"weights_sha256": weights_sha256, "preprocessing": preprocessing, "ifl_hub": __version__}


def _load_model(name: str, folder: Path) -> Predict:
    from transformers import pipeline

    try:
        localize = pipeline("image-forgery-localization", model=str(folder), device=own_device())
    except (OSError, ValueError, RuntimeError) as error:
        raise EvaluationError(f"{name}: the model cannot be loaded ({first_line(error)})") from error
    has_head = False

    def look_for_head(_module: Any, _inputs: Any, outputs: Any) -> None:
        nonlocal has_head
        has_head = outputs.image_logits is not None

    localize.model.register_forward_hook(look_for_head)

    def predict(image: Image.Image) -> Prediction:
        result = localize(image)
        return Prediction(result["heatmap"], result["score"] if has_head else None)

    return predict
