"""The main task: learn where pictures are forged, from synthesized forgeries with their masks."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from ..checkpoints import checkpoint_path, list_checkpoints
from ..image_processing import IflImageProcessor
from ..metrics import pixel_auc, pixel_f1
from ..modeling.auto import AutoModelForImageForgeryLocalization
from .pretrained import encoder_folder, existing_weights
from .recipe import Recipe
from .sources import synthesized_samples
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
        self.processor = IflImageProcessor(**recipe.processor)
        self.teacher = load_teacher(recipe.teacher, self.processor) if recipe.teacher else None

    def build_data(self, folders: Sequence[Path]) -> tuple[SampleSource, SampleSource]:
        """Forgeries synthesized from the photos and cut-outs in the folders."""
        return synthesized_samples(self.recipe, folders, VALIDATION_SIZE)

    def build_model(self) -> PreTrainedModel:
        """The recipe's weights, or its method and shape, freshly initialised but for a pre-trained encoder."""
        recipe = self.recipe
        if recipe.weights is not None:
            known = recipe.weights in list_checkpoints()
            folder = checkpoint_path(recipe.weights) if known else existing_weights(recipe.weights)
            return AutoModelForImageForgeryLocalization.from_pretrained(folder, dtype=torch.float32, **recipe.config)
        model = AutoModelForImageForgeryLocalization.from_config(recipe.build_config())
        if recipe.encoder_weights is not None:
            with TemporaryDirectory() as scratch:
                model.load_encoder_weights(encoder_folder(recipe.encoder_weights, Path(scratch)))
        return model

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """`image` (H, W, 3) uint8 and `mask` (H, W) 0/1 to `pixel_values` and `labels`."""
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
        values: dict[str, list[float | None]] = {"pixel_f1": [], "pixel_auc": [], "authentic_fpr": []}
        shown: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for index in range(self.recipe.validation_samples):
            sample = data[index]
            probabilities, mask = self._predict(model, sample), sample["mask"].astype(bool)
            if len(shown) < SHOWN:
                shown.append((sample["image"], probabilities, mask))
            if mask.any():
                values["pixel_f1"].append(pixel_f1(probabilities, mask))
                values["pixel_auc"].append(pixel_auc(probabilities, mask))
            else:
                values["authentic_fpr"].append(float((probabilities > 0.5).mean()))
        if folder is not None:
            _save_contact_sheet(shown, folder / "validation.png")
        defined = {name: [value for value in column if value is not None] for name, column in values.items()}
        return {name: float(np.mean(column)) for name, column in defined.items() if column}

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """The weights and the processor that belongs to them."""
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def _predict(self, model: PreTrainedModel, sample: dict[str, Any]) -> np.ndarray:
        """The `(H, W)` probabilities of one sample, on its own pixels also where the processor resizes."""
        output = model(pixel_values=self.collate([sample])["pixel_values"].to(model.device))
        [result] = self.processor.post_process_image_forgery_localization(output, [sample["mask"].shape])
        return result["probabilities"].cpu().numpy()


def load_teacher(name: str, processor: IflImageProcessor) -> PreTrainedModel:
    """A frozen localizer that sees the pixels of another model's processor.

    Raises:
        ValueError: If the teacher expects other pixel values.
    """
    folder = checkpoint_path(name) if name in list_checkpoints() else name
    own = IflImageProcessor.from_pretrained(folder)
    if (own.image_mean, own.image_std) != (processor.image_mean, processor.image_std):
        raise ValueError(f"recipe: the teacher {name} normalises pixels otherwise; set the recipe's processor like its")
    return AutoModelForImageForgeryLocalization.from_pretrained(folder).eval().requires_grad_(False)


def _save_contact_sheet(shown: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], path: Path) -> None:
    from ..reports.contact_sheet import prediction_sheet

    prediction_sheet(shown).save(path)
