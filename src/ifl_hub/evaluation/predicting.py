"""Running localizers over a folder's images, once each, whatever interrupts it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..image_processing import load_image
from ..processes import own_share
from .localizers import NamedLocalizer, Predict
from .robustness import Condition, resize_map
from .store import EvaluationFolder, ImageRecord, PredictionRun
from .stored_maps import BadMapError


def predict_missing(
    folder: EvaluationFolder,
    records: Sequence[ImageRecord],
    files: Mapping[str, Path],
    localizers: Sequence[NamedLocalizer],
    conditions: Sequence[Condition],
    tick: Callable[[], Any],
) -> None:
    """Make every map that is not there yet: each localizer under each condition, image by image.

    Several processes share the images out.

    The pictures go through one by one, so that a map cannot depend on where an earlier run was interrupted.

    Args:
        folder: Takes the maps.
        records: The images to do.
        files: The picture of each record by name.
        localizers: Loaded only if they have something to do.
        conditions: What is done to the pictures first.
        tick: Called once for each localizer, condition and image, done before or now.

    Raises:
        ImageLoadError: If a picture vanished since the folder was prepared.
    """
    for localizer in localizers:
        predict: Predict | None = None
        for condition in conditions:
            run = folder.run(localizer, condition)
            for record in own_share(records):
                if run.find(record) is None:
                    predict = predict or localizer.load()
                    _predict_one(run, record, files[record.name], predict, condition)
                tick()


def _predict_one(run: PredictionRun, record: ImageRecord, file: Path, predict: Predict, condition: Condition) -> None:
    image = condition.apply(Image.fromarray(load_image(file).pixels), seed=record.sha256)
    prediction = predict(image)
    if prediction.heatmap.shape != (image.height, image.width):
        raise ValueError(
            f"{run.facts['model']}: a map of {prediction.heatmap.shape} for an image of {(image.height, image.width)}; "
            "a localizer answers on the original pixel grid"
        )
    try:
        run.write(record, resize_map(prediction.heatmap, record.height, record.width), prediction.score)
    except BadMapError as error:
        run.write_failure(record, str(error))
