"""The macroscopic encoder of DiffForensics where no pre-trained SegFormer is at hand: learn it from another network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForSemanticSegmentation, PreTrainedModel, SegformerForSemanticSegmentation

from ..image_processing import IflImageProcessor
from ..processes import map_over_processes
from .pretrained import existing_weights
from .recipe import Recipe
from .sources import Sources, synthesized_samples
from .task import SampleSource

HEAD_CHANNELS = 64  # of the student's head, which is thrown away: what it cannot do the encoder has to, and it is fast


class DistillationTask:
    """Trains a SegFormer with the recipe's encoder to segment photos as a teacher does; no labels are needed.

    Args:
        recipe: `teacher` is a semantic-segmentation model of transformers, a folder or a Hub id, which is never saved.
            `options` may hold `teacher_mean` and `teacher_std`, what it expects of pixels in [0, 1]: one number for all
            channels, 0.5 by default.

    Raises:
        ValueError: If there is no teacher or an option is unknown.
    """

    def __init__(self, recipe: Recipe) -> None:
        unknown = set(recipe.options) - {"teacher_mean", "teacher_std"}
        if unknown:
            raise ValueError(f"recipe: distillation has no option {', '.join(sorted(unknown))}")
        if recipe.teacher is None:
            raise ValueError("recipe: distillation needs a teacher: --set teacher=FOLDER or a Hub id")
        self.recipe = recipe
        self.processor = IflImageProcessor(**recipe.processor)
        teacher = AutoModelForSemanticSegmentation.from_pretrained(
            existing_weights(recipe.teacher), dtype=torch.float32
        )
        self.teacher = teacher.eval().requires_grad_(False)

    def build_data(self, sources: Sources) -> tuple[SampleSource, SampleSource]:
        """Crops of the photos in the folders."""
        return synthesized_samples(self.recipe, sources.only_pictures(self.recipe.task), self.recipe.crop_size)

    def build_model(self) -> PreTrainedModel:
        """A fresh SegFormer whose encoder has the shape that the recipe's method has."""
        config = self.recipe.build_config().encoder_config
        config.num_labels = self.teacher.config.num_labels
        config.decoder_hidden_size = HEAD_CHANNELS
        return SegformerForSemanticSegmentation(config)

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """`image` (H, W, 3) uint8 to `pixel_values`."""
        pixels = self.processor([sample["image"] for sample in samples], return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels.contiguous(memory_format=torch.channels_last)}

    def loss(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Kullback-Leibler divergence of the student's classes from the teacher's, averaged over pixels."""
        taught, learnt = self._both(model, batch["pixel_values"])
        divergence = F.kl_div(learnt, taught, reduction="none", log_target=True).sum(1).mean()
        return divergence, {"divergence": divergence.detach()}

    def validate(self, model: PreTrainedModel, data: SampleSource, folder: Path | None) -> dict[str, float]:
        """The loss; the share of pixels with the teacher's class; and that of those the teacher calls no background."""

        def judge(index: int) -> list[float]:
            taught, learnt = self._both(model, self.collate([data[index]])["pixel_values"].to(model.device))
            divergence = F.kl_div(learnt, taught, reduction="none", log_target=True).sum(1)
            same, object_ = taught.argmax(1) == learnt.argmax(1), taught.argmax(1) > 0
            return [t.sum().item() for t in (divergence, same, same & object_, object_, torch.ones_like(same))]

        rows = map_over_processes(judge, self.recipe.validation_samples)
        divergence, same, same_object, objects, pixels = np.sum(rows, 0)
        agreement = {"agreement": same / pixels, "object_agreement": same_object / max(objects, 1)}
        return {"divergence": divergence / pixels, **agreement}

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """The student; `load_encoder_weights` takes its encoder."""
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def _both(self, model: PreTrainedModel, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities `(B, classes, h, w)` of teacher and student, on the student's grid."""
        mean, std = (
            torch.tensor(values, device=pixels.device).view(3, 1, 1)
            for values in (self.processor.image_mean, self.processor.image_std)
        )
        options = self.recipe.options
        seen = (pixels * std + mean - options.get("teacher_mean", 0.5)) / options.get("teacher_std", 0.5)
        with torch.no_grad():
            taught = self.teacher.to(pixels.device)(pixel_values=seen).logits.float()
        learnt = model(pixel_values=pixels).logits.float()
        taught = F.interpolate(taught, learnt.shape[-2:], mode="bilinear", align_corners=False)
        return taught.log_softmax(1), learnt.log_softmax(1)
