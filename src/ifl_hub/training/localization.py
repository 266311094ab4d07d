"""The main task: learn where pictures are forged, from real or synthesized forgeries with their masks."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from ..image_processing import IflImageProcessor
from ..image_processing.masks import IGNORED
from ..metrics import pixel_auc, pixel_f1
from ..modeling.auto import AutoModelForImageForgeryLocalization
from ..processes import map_over_processes
from .pretrained import encoder_folder, weights_folder
from .recipe import Recipe
from .sources import Sources, forgery_samples
from .task import SampleSource

VALIDATION_SIZE = 256  # pixels
SHOWN = 12  # validation samples on the contact sheet


class LocalizationTask:
    """Trains any registered localization method.

    Args:
        recipe: Names the method, its shape, what it starts from, and the samples.

    Raises:
        ValueError: If the recipe's teacher expects other pixels than the model.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.processor = load_processor(recipe)
        self.teacher = load_teacher(recipe.teacher, self.processor) if recipe.teacher else None

    def build_data(self, sources: Sources) -> tuple[SampleSource, SampleSource]:
        """Crops of real forgeries, forgeries synthesized from photos and cut-outs, or both."""
        return forgery_samples(self.recipe, sources, VALIDATION_SIZE)

    def build_model(self) -> PreTrainedModel:
        """The recipe's weights, or its method and shape, freshly initialised but for a pre-trained encoder."""
        recipe = self.recipe
        if recipe.weights is not None:
            folder = weights_folder(recipe.weights)
            return AutoModelForImageForgeryLocalization.from_pretrained(folder, dtype=torch.float32, **recipe.config)
        model = AutoModelForImageForgeryLocalization.from_config(recipe.build_config())
        if recipe.encoder_weights is not None:
            with TemporaryDirectory() as scratch:
                model.load_encoder_weights(encoder_folder(recipe.encoder_weights, Path(scratch)))
        return model

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """`image` (H, W, 3) uint8 and `mask` (H, W), 0, 1 or 255 for ignored, to `pixel_values` and `labels`."""
        images = [sample["image"] for sample in samples]
        masks = [sample["mask"] for sample in samples]
        batch = self.processor(images, segmentation_maps=masks, return_tensors="pt")
        return {
            "pixel_values": batch["pixel_values"].contiguous(memory_format=torch.channels_last),
            "labels": batch["labels"],
        }

    def loss(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The method's own loss, and what the teacher sees where there is one."""
        output = model(**batch)
        if self.teacher is None:
            return output.loss, output.loss_terms
        # Cross-entropy with what the teacher sees in the same pixels, which is softer than the mask.
        with torch.no_grad():
            seen = self.teacher.to(output.logits.device)(pixel_values=batch["pixel_values"]).logits
        term = F.binary_cross_entropy_with_logits(output.logits.float(), torch.sigmoid(seen.float()))
        return output.loss + self.recipe.teacher_weight * term, {**output.loss_terms, "teacher": term}

    def validate(self, model: PreTrainedModel, data: SampleSource, folder: Path | None) -> dict[str, float]:
        """Mean per-image F1 at 0.5 and AUC of the forged samples, and the false-alarm area of the authentic ones."""
        count = min(self.recipe.validation_samples, len(data))
        rows = map_over_processes(lambda index: self._judge(model, data[index], index < SHOWN), count)
        if folder is not None:
            _save_contact_sheet([shown for _, shown in rows if shown is not None], folder / "validation.png")
        names = ("pixel_f1", "pixel_auc", "authentic_fpr")
        defined = {name: [value for row, _ in rows if (value := row.get(name)) is not None] for name in names}
        return {name: float(np.mean(column)) for name, column in defined.items() if column}

    def _judge(
        self, model: PreTrainedModel, sample: dict[str, Any], show: bool
    ) -> tuple[dict[str, float | None], tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
        """The scores of one sample, and what the contact sheet shows of it."""
        probabilities, labels = self._predict(model, sample), sample["mask"]
        known, mask = labels != IGNORED, labels == 1
        if mask.any():
            seen, truth = probabilities[known][None], mask[known][None]
            row = {"pixel_f1": pixel_f1(seen, truth), "pixel_auc": pixel_auc(seen, truth)}
        else:
            row = {"authentic_fpr": float((probabilities[known] > 0.5).mean()) if known.any() else None}
        return row, (sample["image"], probabilities, mask) if show else None

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """The weights and the processor that belongs to them."""
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def _predict(self, model: PreTrainedModel, sample: dict[str, Any]) -> np.ndarray:
        """The `(H, W)` probabilities of one sample, on its own pixels also where the processor resizes."""
        output = model(pixel_values=self.collate([sample])["pixel_values"].to(model.device))
        [result] = self.processor.post_process_image_forgery_localization(output, [sample["mask"].shape])
        return result["probabilities"].cpu().numpy()


def load_processor(recipe: Recipe) -> IflImageProcessor:
    """The processor of the weights that a recipe goes on from, or a new one, with the recipe's changes."""
    if recipe.weights is None:
        return IflImageProcessor(**recipe.processor)
    return IflImageProcessor.from_pretrained(weights_folder(recipe.weights), **recipe.processor)


def load_teacher(name: str, processor: IflImageProcessor) -> PreTrainedModel:
    """A frozen localizer that sees the pixels of another model's processor.

    Raises:
        ValueError: If the teacher expects other pixel values.
    """
    folder = weights_folder(name)
    own = IflImageProcessor.from_pretrained(folder)
    if (own.image_mean, own.image_std) != (processor.image_mean, processor.image_std):
        raise ValueError(f"recipe: the teacher {name} normalises pixels otherwise; set the recipe's processor like its")
    return AutoModelForImageForgeryLocalization.from_pretrained(folder).eval().requires_grad_(False)


def _save_contact_sheet(shown: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], path: Path) -> None:
    from ..reports.contact_sheet import prediction_sheet

    prediction_sheet(shown).save(path)
