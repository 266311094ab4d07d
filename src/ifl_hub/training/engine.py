"""The training loop: accelerate, progress bar, validation, checkpoints that a second run continues from.

A sample depends on its index and the seed alone, so a run that continues at step n draws exactly the samples that an
uninterrupted run would have drawn.
"""

import dataclasses
import json
import logging
import math
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm.auto import tqdm
from transformers import AutoConfig, PreTrainedModel

from ..checkpoints import checkpoint_path, list_checkpoints
from ..files import file_sha256, write_atomically
from ..image_processing import IflImageProcessor
from ..metrics import pixel_auc, pixel_f1
from ..modeling.auto import AutoModelForImageForgeryLocalization
from .ema import WeightAverage
from .pretrained import encoder_folder
from .recipe import Recipe

logger = logging.getLogger(__name__)
LOG_EVERY = 20
POLY_POWER = 0.9
SHOWN = 12  # validation samples on the contact sheet


class SampleSource(Protocol):
    """What the loop needs of its data: `source[index]` -> dict with `image` (H, W, 3) uint8 and `mask` (H, W) 0/1."""

    def __getitem__(self, index: int) -> dict[str, Any]: ...


def build_model(recipe: Recipe) -> PreTrainedModel:
    """A model of the recipe's method and shape, freshly initialised but for a pre-trained encoder."""
    config_class = type(AutoConfig.for_model(recipe.method))
    make = config_class if recipe.shape == "paper" else getattr(config_class, recipe.shape, None)
    if make is None:
        raise ValueError(f"recipe: {config_class.__name__} has no shape {recipe.shape!r}; use 'paper' or 'small'")
    torch.manual_seed(recipe.seed)  # every process starts from the same weights
    model = AutoModelForImageForgeryLocalization.from_config(make(**recipe.config))
    if recipe.encoder_weights is not None:
        with TemporaryDirectory() as scratch:
            model.load_encoder_weights(encoder_folder(recipe.encoder_weights, Path(scratch)))
    return model


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


def build_optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters that are trained."""
    groups = _parameter_groups(model, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


class LocalizationTrainer:
    """Runs one recipe.

    Args:
        recipe: What to do.
        train_data: Endless by index: step `n` uses indices `n * batch_size` onwards.
        validation_data: Indices `0 .. recipe.validation_samples - 1` are the fixed validation set.
        output_dir: Gets `checkpoint-*` (to continue from), `log.jsonl`, `validation.png` and, at the end, `final/`, a
            folder for `from_pretrained`.
        num_workers: Processes that make samples.
    """

    def __init__(
        self,
        recipe: Recipe,
        train_data: SampleSource,
        validation_data: SampleSource,
        output_dir: Path,
        num_workers: int = 1,
    ) -> None:
        from accelerate import Accelerator
        from accelerate.utils import set_seed

        self.recipe = recipe
        self.train_data = train_data
        self.validation_data = validation_data
        self.output_dir = output_dir
        self.num_workers = num_workers
        self.accelerator = Accelerator(mixed_precision=recipe.mixed_precision)
        self.processor = IflImageProcessor(**recipe.processor)
        model = build_model(recipe)
        set_seed(recipe.seed, device_specific=True)
        optimizer = build_optimizer(model, recipe)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        self.model, self.optimizer = self.accelerator.prepare(model.to(memory_format=torch.channels_last), optimizer)
        self.teacher = load_teacher(recipe.teacher, self.processor) if recipe.teacher else None
        self.average = WeightAverage(self.bare_model, recipe.ema_decay) if recipe.ema_decay else None
        self.accelerator.register_for_checkpointing(self.schedule, *filter(None, [self.average]))

    @property
    def bare_model(self) -> PreTrainedModel:
        """The model without accelerate's wrappers."""
        return self.accelerator.unwrap_model(self.model)

    def run(self) -> Path:
        """Train, continuing from the newest checkpoint in `output_dir`, and return the folder of the final weights."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        step = self._resume()
        started, first_step = time.perf_counter(), step
        recent: list[dict[str, float]] = []
        with tqdm(
            total=self.recipe.steps, initial=step, unit="step", disable=not self.accelerator.is_main_process
        ) as bar:
            for batch in self._batches(step):
                recent.append(self._train_step(batch))
                step += 1
                bar.update()
                if step % LOG_EVERY == 0 or step == self.recipe.steps:
                    row = {name: float(np.mean([entry[name] for entry in recent])) for name in recent[-1]}
                    recent.clear()
                    self._log({"step": step, "seconds": time.perf_counter() - started, **row})
                    bar.set_postfix({name: f"{value:.3f}" for name, value in row.items() if name != "learning_rate"})
                if step % self.recipe.validation_every == 0 or step == self.recipe.steps:
                    scores = self.validate()
                    self._log({"step": step, **scores})
                    bar.write(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
                    self._save_checkpoint(step)
        return self._save_final(time.perf_counter() - started, step - first_step)

    def _train_step(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        self.model.train()
        output = self.model(**batch)
        loss, terms = output.loss, output.loss_terms
        if self.teacher is not None:
            terms = {**terms, "teacher": self._teacher_loss(self.teacher, output.logits, batch["pixel_values"])}
            loss = loss + self.recipe.teacher_weight * terms["teacher"]
        self.accelerator.backward(loss)
        if self.recipe.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        learning_rate = self.schedule.get_last_lr()[0]
        self.schedule.step()
        if self.average:
            self.average.update(self.bare_model)
        values = {name: term.item() for name, term in terms.items()}
        return {"loss": loss.item(), **values, "learning_rate": learning_rate}

    def _teacher_loss(self, teacher: PreTrainedModel, logits: torch.Tensor, pixel_values: torch.Tensor) -> torch.Tensor:
        """Cross-entropy with what the teacher sees in the same pixels, which is softer than the mask."""
        with torch.no_grad(), self.accelerator.autocast():
            seen = teacher.to(pixel_values.device)(pixel_values=pixel_values).logits
        return F.binary_cross_entropy_with_logits(logits.float(), torch.sigmoid(seen.float()))

    def validate(self) -> dict[str, float]:
        """Mean per-image F1 at 0.5 and AUC of the forged samples, and the false-alarm area of the authentic ones."""
        values: dict[str, list[float | None]] = {"pixel_f1": [], "pixel_auc": [], "authentic_fpr": []}
        shown: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        with self._averaged_weights():
            self.bare_model.eval()
            for index in range(self.recipe.validation_samples):
                sample = self.validation_data[index]
                probabilities, mask = self._predict(sample), sample["mask"].astype(bool)
                if len(shown) < SHOWN:
                    shown.append((sample["image"], probabilities, mask))
                if mask.any():
                    values["pixel_f1"].append(pixel_f1(probabilities, mask))
                    values["pixel_auc"].append(pixel_auc(probabilities, mask))
                else:
                    values["authentic_fpr"].append(float((probabilities > 0.5).mean()))
        if self.accelerator.is_main_process:
            self._save_contact_sheet(shown)
        defined = {name: [value for value in column if value is not None] for name, column in values.items()}
        return {name: float(np.mean(column)) for name, column in defined.items() if column}

    @torch.no_grad()
    def _predict(self, sample: dict[str, Any]) -> np.ndarray:
        """The `(H, W)` probabilities of one sample, on its own pixels also where the processor resizes."""
        pixel_values = self._collate([sample])["pixel_values"].to(self.accelerator.device)
        with self.accelerator.autocast():
            output = self.bare_model(pixel_values=pixel_values)
        [result] = self.processor.post_process_image_forgery_localization(output, [sample["mask"].shape])
        return result["probabilities"].cpu().numpy()

    def _batches(self, first_step: int) -> Iterator[dict[str, torch.Tensor]]:
        recipe, world = self.recipe, self.accelerator.num_processes
        stride = recipe.batch_size * world
        data: Dataset = Subset(self.train_data, range(first_step * stride, recipe.steps * stride))  # type: ignore[arg-type]
        loader = DataLoader(
            data,
            recipe.batch_size,
            num_workers=self.num_workers,
            collate_fn=self._collate,
            # A generator of its own: a new loader would otherwise draw from the state that a checkpoint has restored.
            generator=torch.Generator().manual_seed(recipe.seed),
        )
        return iter(self.accelerator.prepare(loader))

    def _collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        images = [sample["image"] for sample in samples]
        masks = [sample["mask"] for sample in samples]
        batch = self.processor(images, segmentation_maps=masks, return_tensors="pt")
        return {
            "pixel_values": batch["pixel_values"].contiguous(memory_format=torch.channels_last),
            "labels": batch["labels"],
        }

    def _learning_rate_factor(self, step: int) -> float:
        warmup, total = self.recipe.warmup_steps, self.recipe.steps
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, total - warmup)
        if self.recipe.schedule == "poly":
            return max(0.0, 1 - progress) ** POLY_POWER
        return 0.5 * (1 + math.cos(math.pi * progress))

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Swap the averaged weights in, and the trained ones back."""
        if self.average is None:
            yield
            return
        trained = {name: value.detach().clone() for name, value in self.bare_model.state_dict().items()}
        self.bare_model.load_state_dict(self.average.average)
        try:
            yield
        finally:
            self.bare_model.load_state_dict(trained)

    def _resume(self) -> int:
        recorded = self.output_dir / "recipe.json"
        if recorded.exists() and json.loads(recorded.read_text())["fingerprint"] != self.recipe.fingerprint():
            raise ValueError(f"{self.output_dir} holds a run of another recipe: choose another --out or remove it")
        if self.accelerator.is_main_process:
            content = {"fingerprint": self.recipe.fingerprint(), **dataclasses.asdict(self.recipe)}
            write_atomically(recorded, json.dumps(content, indent=2).encode())
        checkpoints = sorted(self.output_dir.glob("checkpoint-*"))
        if not checkpoints:
            return 0
        self.accelerator.load_state(str(checkpoints[-1]))
        logger.info("continuing from %s", checkpoints[-1])
        return int(checkpoints[-1].name.removeprefix("checkpoint-"))

    def _save_checkpoint(self, step: int) -> None:
        """Write to a temporary name, rename, then drop the older ones: there is always a complete checkpoint."""
        temporary = self.output_dir / f".checkpoint-{step:07d}"
        self.accelerator.save_state(str(temporary))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            target = temporary.rename(self.output_dir / temporary.name.removeprefix("."))
            for other in set(self.output_dir.glob("checkpoint-*")) - {target}:
                shutil.rmtree(other)

    def _save_final(self, seconds: float, steps: int) -> Path:
        final = self.output_dir / "final"
        if self.accelerator.is_main_process:
            with self._averaged_weights():
                self.bare_model.save_pretrained(final)
            self.processor.save_pretrained(final)
            summary = {
                "recipe": dataclasses.asdict(self.recipe),
                "steps_this_run": steps,
                "seconds_this_run": round(seconds),
                "processes": self.accelerator.num_processes,
                "hardware": f"{self.accelerator.device.type}, {torch.get_num_threads()} threads, {platform.machine()}",
                "torch": torch.__version__,
                "weights_sha256": file_sha256(final / "model.safetensors"),
            }
            write_atomically(final / "training_summary.json", json.dumps(summary, indent=2).encode())
        self.accelerator.wait_for_everyone()
        return final

    def _save_contact_sheet(self, shown: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        from ..reports.contact_sheet import prediction_sheet

        prediction_sheet(shown).save(self.output_dir / "validation.png")

    def _log(self, row: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            with (self.output_dir / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def _parameter_groups(model: PreTrainedModel, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases, activations and scalars."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
