"""`evaluate` module: how well scores tell forged images, frames and videos from authentic ones.

All arithmetic is in `ifl_hub.metrics`. evaluate copies this file elsewhere before it imports it, and takes the first
metric class that it finds in it: hence absolute imports, of modules.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from ifl_hub.metrics import definitions, detection, streaming

_DESCRIPTION = """\
How well scores tell forged images (or frames and videos) from authentic ones.
Every result carries its definition; `preset` chooses a peer's or a paper's."""

_INPUTS = """
Args:
    predictions: P(image is forged) of each image or frame.
    references: 1 forged, 0 authentic.
    groups: of frames: (data set, method, video id) of each, for the AUC over videos.
"""


class ForgeryDetection(streaming.StreamingMetric):
    """Scores of images or frames against their labels.

    Args:
        preset: One of `ifl_hub.metrics.PRESETS`.
        **arguments: `threshold` of the score, another field of `ifl_hub.metrics.Definition` that concerns scores, and
            what `evaluate.Metric` takes.

    Example:
        >>> metric = ForgeryDetection()
        >>> metric.compute(predictions=[0.9, 0.4, 0.1], references=[1, 1, 0])["image_auc"]
        1.0
    """

    accumulator_class = detection.DetectionAccumulator
    level = (*definitions.IMAGE_KEYS, "video_auc")

    def _choose(self, preset: str, choices: dict[str, Any]) -> definitions.Definition:
        if "threshold" in choices:
            choices["score_threshold"] = choices.pop("threshold")
        return super()._choose(preset, choices)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
        )

    def add(self, *, prediction: float, reference: int, group: Sequence[str] | None = None) -> None:
        """Add one image or frame."""
        self._counting().update(prediction, reference, group)

    def add_batch(
        self, *, predictions: Sequence[float], references: Sequence[int], groups: Sequence[Sequence[str]] | None = None
    ) -> None:
        """Add several images or frames."""
        self._update_all({"group": groups}, score=predictions, is_forged=references)

    def compute(
        self,
        *,
        predictions: Sequence[float] | None = None,
        references: Sequence[int] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        gather: bool = True,
    ) -> dict[str, Any]:
        """Reduce all that was added, on every process alike.

        With `gather`, the scores of all processes are merged first: False is for scores that were gathered before
        they were added.
        """
        if predictions is not None or references is not None:
            self._update_all({"group": groups}, score=predictions, is_forged=references)
        return self._counted(gather).compute()
