"""The two stages of SAFL-Net's semantic suppression: two frozen encoders are aligned, then suppressed in training."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..modeling.safl_net import SaflNetConfig, SaflNetForSemanticAlignment
from ..modeling.safl_net.semantic_safl_net import COLLAPSED, projection_agreement
from .localization import LocalizationTask
from .pretrained import encoder_folder
from .recipe import Recipe
from .task import SampleSource


class SemanticAlignmentTask(LocalizationTask):
    """Stage one: what two semantic encoders see of a picture is projected so that both agree (eq. 1).

    Args:
        recipe: Of method `safl_net`. Its option `semantic_encoders` names E1 and E2: folders, Hub ids or
            `"efficientnet-lite0"`; `config.semantic_encoders` holds their shapes. Masks are not looked at.

    Raises:
        ValueError: If the recipe does not fit semantic suppression.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        _check_options(self, {"semantic_encoders"})

    def build_model(self) -> PreTrainedModel:
        """The readers with random weights, over the frozen encoders."""
        model = SaflNetForSemanticAlignment(_safl_net_config(self.recipe))
        _load_encoders(model, self.recipe)
        return model

    def loss(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 1 by the objective of the configuration."""
        output = model(pixel_values=batch["pixel_values"])
        return output.loss, {**output.loss_terms, "matched": output.matched, "mismatched": output.mismatched}

    def validate(self, model: PreTrainedModel, data: SampleSource, folder: Path | None) -> dict[str, float]:
        """How alike the projections of one picture and of two different pictures are, by the cosine.

        Raises:
            ValueError: If the projections say nothing about the picture.
        """
        indices = torch.arange(self.recipe.validation_samples).split(self.recipe.batch_size)
        batches = (self.collate([data[int(index)] for index in part])["pixel_values"] for part in indices)
        projections = torch.cat([model(pixel_values=batch.to(model.device)).projections for batch in batches], 1)
        matched, mismatched = (value.item() for value in projection_agreement(projections[0], projections[1]))
        if matched - mismatched < COLLAPSED:
            raise ValueError(
                f"the semantic projections have collapsed: cosine {matched:.3f} for one picture, {mismatched:.3f} for "
                "two; choose an alignment_objective with negatives or normalisation, or validate later"
            )
        return {"matched": matched, "mismatched": mismatched}


class SemanticSuppressionTask(LocalizationTask):
    """Stage two: localization that is pushed away from what E1 sees (eq. 2 to 5).

    Args:
        recipe: Of method `safl_net`, with a `semantic_weight` above 0. Its option `alignment` is the folder that stage
            one wrote, `semantic_encoders` names the same two encoders, which that folder does not hold.

    Raises:
        ValueError: If the recipe does not fit semantic suppression.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        _check_options(self, {"alignment", "semantic_encoders"})

    def build_model(self) -> PreTrainedModel:
        """The localizer, with its frozen benchmark beside it."""
        if _safl_net_config(self.recipe).semantic_weight == 0:
            raise ValueError("recipe: task semantic_suppression needs a config.semantic_weight above 0")
        alignment = SaflNetForSemanticAlignment.from_pretrained(self.recipe.options["alignment"])
        _load_encoders(alignment, self.recipe)
        torch.manual_seed(self.recipe.seed)  # the localizer starts as it would without suppression
        model: Any = super().build_model()
        model.attach_semantic_benchmark(alignment)
        return model


def _check_options(task: LocalizationTask, known: set[str]) -> None:
    given = set(task.recipe.options)
    if missing := sorted(known - given):
        raise ValueError(f"recipe: task {task.recipe.task} needs --set options.{missing[0]}=…")
    if unknown := sorted(given - known):
        raise ValueError(f"recipe: task {task.recipe.task} has no option {unknown[0]!r}; it has {sorted(known)}")
    if len(task.recipe.options["semantic_encoders"]) != 2:
        raise ValueError("recipe: options.semantic_encoders names two encoders, as in [FOLDER, efficientnet-lite0]")
    mean, std = (set(values) for values in (task.processor.image_mean, task.processor.image_std))
    if (mean, std) != ({0.5}, {0.5}):  # what the frozen encoders' own normalisation starts from
        raise ValueError("recipe: semantic suppression needs a processor with image_mean and image_std of 0.5")


def _safl_net_config(recipe: Recipe) -> SaflNetConfig:
    config = recipe.build_config()
    if not isinstance(config, SaflNetConfig):
        raise ValueError(f"recipe: task {recipe.task} is SAFL-Net's, and the method is {recipe.method}")
    return config


def _load_encoders(alignment: SaflNetForSemanticAlignment, recipe: Recipe) -> None:
    names: Sequence[str] = recipe.options["semantic_encoders"]
    with TemporaryDirectory() as scratch:
        alignment.load_semantic_encoders([encoder_folder(name, Path(scratch)) for name in names])
