"""`evaluate` module: how well maps localize forgeries. All arithmetic is in `ifl_hub.metrics`.

evaluate copies this file elsewhere before it imports it, and takes the first metric class that it finds in it: hence
absolute imports, of modules.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from ifl_hub.metrics import definitions, localization, streaming

_DESCRIPTION = """\
How well maps localize forged pixels, and how well their scores tell forged images from authentic ones.
Every result carries its definition; `preset` chooses a peer's or a paper's."""

_INPUTS = """
Args:
    predictions: maps (H, W) of any sizes: float in [0, 1], uint8 of which 255 is 1, or bool.
    references: label maps (H, W): 0 authentic, 1 forged, 255 left out; or bool.
    scores: P(image is forged) of each, for a model with a detection head.
"""


class ForgeryLocalization(streaming.StreamingMetric):
    """Pixels against masks, and images by their scores.

    Args:
        preset: One of `ifl_hub.metrics.PRESETS`.
        **arguments: `threshold`, `boundary`, `ignore_value` or another field of `ifl_hub.metrics.Definition`, and what
            `evaluate.Metric` takes.

    Example:
        >>> import numpy as np
        >>> metric = ForgeryLocalization(threshold=0.3)
        >>> metric.add_batch(predictions=[np.array([[0.4, 0.1]])], references=[np.array([[1, 0]])])
        >>> metric.compute()["pixel_f1"]
        1.0
    """

    accumulator_class = localization.LocalizationAccumulator
    level = (*definitions.PIXEL_KEYS, *definitions.POOLED_KEYS)

    def _info(self) -> evaluate.MetricInfo:
        maps = datasets.Sequence(datasets.Sequence(datasets.Value("float32")))
        labels = datasets.Sequence(datasets.Sequence(datasets.Value("uint8")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": maps, "references": labels}),
        )

    def add(self, *, prediction: Any, reference: Any, score: float | None = None) -> None:
        """Add one image."""
        self._counting().update(prediction, reference, score)

    def add_batch(
        self, *, predictions: Sequence[Any], references: Sequence[Any], scores: Sequence[float] | None = None
    ) -> None:
        """Add several images."""
        self._update_all({"score": scores}, prediction=predictions, reference=references)

    def compute(
        self,
        *,
        predictions: Sequence[Any] | None = None,
        references: Sequence[Any] | None = None,
        scores: Sequence[float] | None = None,
        average: str | None = None,
        authentic: str | None = None,
        polarity: str | None = None,
        gather: bool = True,
    ) -> dict[str, Any]:
        """Reduce all that was added, on every process alike.

        `average`, `authentic` and `polarity` are the definition's by default. With `gather`, the counts of all
        processes are merged first: False is for predictions that were gathered before they were added.
        """
        if predictions is not None or references is not None:
            self._update_all({"score": scores}, prediction=predictions, reference=references)
        return self._counted(gather).compute(average, authentic, polarity)
