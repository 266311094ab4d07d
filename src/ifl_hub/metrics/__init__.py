"""What a number means here: metrics that stream, and carry their definition.

    metric = LocalizationAccumulator(get_definition("default", threshold=0.3))
    for name, prediction, reference in images:
        metric.update(prediction, reference, name=name)
    metric.compute()                      # dict: every key, counts, `undefined` (reasons), `definition`
    metric.compute(average="pooled")      # reduces the same counts another way
    metric.per_image()                    # one dict an image: the values behind the means

`Definition` holds every choice; `get_definition(preset, **choices)` starts from a peer's (`PRESETS`).
`LocalizationAccumulator` takes maps and masks, `DetectionAccumulator` scores and labels. Both have

- `update(prediction, reference)`: one image, of any size; returns its row, which is the pure `image_counts(...)`;
- `merge(other)`: exact and in any order; splits, order and process count change no result;
- `compute(...)`: only reduces, as often as wanted;
- `rows`, and `state()` / `load_state(state)`: JSON-able; accumulators pickle too.

No pixel is stored: a row an image and a histogram of fixed size. `load_metric` wraps them as `evaluate` modules.
"""

from .definitions import AUTHENTIC_KEYS, IMAGE_KEYS, PIXEL_KEYS, Definition
from .detection import DetectionAccumulator, ScoredImage
from .image_counts import ImageCounts, image_counts
from .loading import load_metric
from .localization import LocalizationAccumulator
from .pixel import pixel_auc, pixel_f1
from .presets import PRESETS, get_definition

__all__ = [
    "AUTHENTIC_KEYS",
    "IMAGE_KEYS",
    "PIXEL_KEYS",
    "PRESETS",
    "Definition",
    "DetectionAccumulator",
    "ImageCounts",
    "LocalizationAccumulator",
    "ScoredImage",
    "get_definition",
    "image_counts",
    "load_metric",
    "pixel_auc",
    "pixel_f1",
]
