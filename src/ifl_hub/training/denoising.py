"""Self-supervised pre-training of DiffForensics: predict the noise that was added to a picture (Algorithm 1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from ..image_processing import IflImageProcessor
from ..modeling.diff_forensics import DiffForensicsForPreTraining
from ..processes import map_over_processes
from .pretrained import existing_weights
from .recipe import Recipe
from .sources import Sources, synthesized_samples
from .task import SampleSource

SHOWN = 4  # validation samples on the sheet
GAP = 4


class DenoisingTask:
    """Trains the decoder of DiffForensics, and its encoder unless that is frozen.

    Pictures are diffused in the space of the recipe's processor. Forged samples count like authentic ones, without
    their masks: the paper pre-trains on all pictures of its data sets.

    Args:
        recipe: Its `options` may hold `scheduler`, arguments of `SimplexDDPMScheduler`, such as `noise_type`.

    Raises:
        ValueError: If an option is unknown.
    """

    def __init__(self, recipe: Recipe) -> None:
        from ..modeling.diff_forensics.scheduling_simplex_ddpm import SimplexDDPMScheduler

        unknown = set(recipe.options) - {"scheduler"}
        if unknown:
            raise ValueError(f"recipe: denoising has no option {', '.join(sorted(unknown))}; it has: scheduler")
        self.recipe = recipe
        self.processor = IflImageProcessor(**recipe.processor)
        try:
            self.scheduler = SimplexDDPMScheduler(**recipe.options.get("scheduler", {}))
        except TypeError as error:
            raise ValueError(f"recipe: options.scheduler: {error}") from None

    def build_data(self, sources: Sources) -> tuple[SampleSource, SampleSource]:
        """Crops of the photos in the folders, some of them forged."""
        return synthesized_samples(self.recipe, sources.only_pictures(self.recipe.task), self.recipe.crop_size)

    def build_model(self) -> PreTrainedModel:
        """The recipe's weights, or a fresh model around a pre-trained encoder."""
        recipe = self.recipe
        if recipe.weights is not None:
            weights = existing_weights(recipe.weights)
            return DiffForensicsForPreTraining.from_pretrained(weights, dtype=torch.float32, **recipe.config)
        model = DiffForensicsForPreTraining(recipe.build_config())
        if recipe.encoder_weights is not None:
            model.load_encoder_weights(existing_weights(recipe.encoder_weights))
        return model

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """`image` (H, W, 3) uint8 to `pixel_values`, x_0."""
        pixels = self.processor([sample["image"] for sample in samples], return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels.contiguous(memory_format=torch.channels_last)}

    def loss(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the noise (eq. 1) at timesteps drawn from the whole schedule."""
        clean = batch["pixel_values"]
        steps = torch.randint(self.scheduler.config["num_train_timesteps"], (len(clean),), device=clean.device)
        noise = self.scheduler.sample_noise(clean.shape, device=clean.device)
        output = model(self.scheduler.add_noise(clean, noise, steps), steps, labels=noise)
        return output.loss, output.loss_terms

    def validate(self, model: PreTrainedModel, data: SampleSource, folder: Path | None) -> dict[str, float]:
        """The loss, and that of each quarter of the schedule; sample i always gets the same timestep and noise."""
        count, total = self.recipe.validation_samples, self.scheduler.config["num_train_timesteps"]
        shown_every = max(1, count // SHOWN)

        def judge(index: int) -> tuple[int, float, tuple[Tensor, ...] | None]:
            """Quarter and loss of one sample, and what the sheet shows of it."""
            step = (2 * index + 1) * total // (2 * count)
            clean = self.collate([data[index]])["pixel_values"].to(model.device)
            noise = self.scheduler.sample_noise(clean.shape, torch.Generator().manual_seed(index), clean.device)
            steps = torch.tensor([step], device=clean.device)
            noisy = self.scheduler.add_noise(clean, noise, steps)
            output = model(noisy, steps, labels=noise)
            is_shown = index % shown_every == shown_every // 2
            pictures = tuple(tensor.cpu() for tensor in (clean, noisy, noise, output.predicted_noise))
            return 4 * step // total + 1, output.loss.item(), pictures if is_shown else None

        rows = map_over_processes(judge, count)
        errors: dict[int, list[float]] = {}
        for quarter, error, _ in rows:
            errors.setdefault(quarter, []).append(error)
        if folder is not None:
            _sheet([pictures for _, _, pictures in rows if pictures is not None][:SHOWN]).save(
                folder / "validation.png"
            )
        quarters = {f"quarter_{quarter}": float(np.mean(values)) for quarter, values in errors.items()}
        return {"denoising": float(np.mean([error for values in errors.values() for error in values])), **quarters}

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """The weights, the processor in whose space pictures were diffused, and the schedule."""
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        self.scheduler.save_pretrained(folder / "scheduler")


def _sheet(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """A row for each sample: picture, noisy picture, true noise, predicted noise; each stretched to its own range."""
    return Image.fromarray(np.concatenate([np.concatenate([_tile(tensor) for tensor in row], 1) for row in rows], 0))


def _tile(tensor: Tensor) -> np.ndarray:
    values = tensor[0].float().permute(1, 2, 0).cpu().numpy()
    low, high = np.quantile(values, (0.005, 0.995))
    grey = (np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255).round().astype(np.uint8)
    return np.pad(grey, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)
