"""The training loop: accelerate, progress bar, validation, checkpoints that a second run continues from.

A sample depends on its index and the seed alone, so a run that continues at step n draws exactly the samples that an
uninterrupted run would have drawn.
"""

import copy
import dataclasses
import json
import logging
import math
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..files import file_sha256, write_atomically
from .ema import WeightAverage
from .recipe import Recipe
from .selection import Selection
from .sharding import is_sharded, prepare_sharded, refuse_deepspeed, whole
from .sources import Sources
from .task import SampleSource, Task, build_task
from .tracking import checked_trackers, track_picture
from .training_report import write_report

logger = logging.getLogger(__name__)
LOG_EVERY = 20
POLY_POWER = 0.9


def run_recipe(recipe: Recipe, sources: Sources, output_dir: Path, num_workers: int = 1) -> Path:
    """Train as a recipe says, on what a user names, and return the folder of the final weights.

    Run it again to continue after an interruption.

    Raises:
        ValueError: If the recipe, the sources or an earlier run in `output_dir` do not fit each other.
        FileNotFoundError: If a folder does not exist.
    """
    task = build_task(recipe)
    train_data, validation_data = task.build_data(sources)
    return Trainer(task, train_data, validation_data, output_dir, num_workers).run()


def build_optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters that are trained."""
    groups = _parameter_groups(model, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


class Trainer:
    """Runs one recipe.

    Args:
        task: What is learnt, with its recipe.
        train_data: Endless by index: with one process, step `n` uses indices `n * batch_size * accumulation_steps`
            onwards.
        validation_data: For the task's `validate`.
        output_dir: Gets `checkpoint-*` (to continue from), `log.jsonl`, the task's pictures, `best-*` where the recipe
            names a metric and, at the end, `final/`, a folder for `from_pretrained`, and `training_report.md`.
        num_workers: Processes that make samples.
    """

    def __init__(
        self,
        task: Task,
        train_data: SampleSource,
        validation_data: SampleSource,
        output_dir: Path,
        num_workers: int = 1,
    ) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.utils import set_seed

        refuse_deepspeed()
        self.task = task
        self.recipe = recipe = task.recipe
        self.train_data = train_data
        self.validation_data = validation_data
        self.output_dir = output_dir
        self.num_workers = num_workers
        self.accelerator = Accelerator(
            mixed_precision=recipe.mixed_precision,
            log_with=checked_trackers(recipe.trackers) or None,
            project_dir=output_dir,
            # Some losses leave a head without a gradient, as NCL's do in a batch of authentic pictures.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        if self.accelerator.device.type == "cpu" and recipe.mixed_precision != "no" and not _computes_bfloat16():
            logger.warning("this processor computes bfloat16 in software: --set mixed_precision=no is much faster")
        torch.use_deterministic_algorithms(recipe.deterministic)
        torch.manual_seed(recipe.seed)  # every process starts from the same weights
        model = task.build_model()
        set_seed(recipe.seed, device_specific=True)
        if recipe.activation_checkpointing:
            model.activation_checkpointing_enable()
        optimizer = build_optimizer(model, recipe)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        self.whole_model: PreTrainedModel | None = None
        if is_sharded(self.accelerator):
            self.whole_model = copy.deepcopy(model).to(self.accelerator.device)
            self.model, self.optimizer = prepare_sharded(self.accelerator, model, optimizer)
        else:
            model = model.to(memory_format=torch.channels_last)
            self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        if recipe.compile:
            self.model = torch.compile(self.model, backend="inductor" if recipe.compile is True else recipe.compile)
        self.average = WeightAverage(self.bare_model, recipe.ema_decay) if recipe.ema_decay else None
        self.selection = Selection(recipe.metric, recipe.patience) if recipe.metric else None
        stateful = filter(None, [self.average, self.selection])
        self.accelerator.register_for_checkpointing(self.schedule, *stateful)

    @property
    def bare_model(self) -> PreTrainedModel:
        """The model without accelerate's wrappers."""
        return self.accelerator.unwrap_model(self.model)

    def run(self) -> Path:
        """Train, continuing from the newest checkpoint in `output_dir`, and return the folder of the final weights."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        step = self._resume()
        if self.recipe.trackers:
            run = {"name": self.output_dir.name, "resume": "allow"}  # a run that goes on goes on there as well
            self.accelerator.init_trackers("ifl-hub", init_kwargs={"trackio": run})
        started, first_step = time.perf_counter(), step
        recent: list[dict[str, float]] = []
        with tqdm(
            total=self.recipe.steps, initial=step, unit="step", disable=not self.accelerator.is_main_process
        ) as bar:
            for batches in () if self._is_over else self._batches(step):
                recent.append(self._train_step(batches))
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
                    self._keep_best(step, scores)
                    self._save_checkpoint(step)
                    if self._is_over:
                        logger.info("no better %s for %d validations", self.recipe.metric, self.recipe.patience)
                        break
        final = self._save_final(time.perf_counter() - started, step - first_step)
        self.accelerator.end_training()
        return final

    def time_steps(self, count: int) -> float:
        """Median seconds of the first steps, samples included; writes nothing."""
        batches, seconds = self._batches(0), []
        for _ in range(count):
            started = time.perf_counter()
            self._train_step(next(batches))
            seconds.append(time.perf_counter() - started)
        return float(np.median(seconds))

    @property
    def _is_over(self) -> bool:
        return self.selection is not None and self.selection.is_over

    def _train_step(self, batches: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """One step of the optimizer, over as many batches as the recipe adds up; the means of their losses."""
        self.model.train()
        rows = []
        for number, batch in enumerate(batches, 1):
            with nullcontext() if number == len(batches) else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    loss, terms = self.task.loss(self.model, batch)
                self.accelerator.backward(loss / len(batches))
            rows.append({"loss": loss.item(), **{name: float(term.item()) for name, term in terms.items()}})
        if self.recipe.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        learning_rate = float(self.schedule.get_last_lr()[0])
        self.schedule.step()
        if self.average:
            self.average.update(self.bare_model)
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} | {
            "learning_rate": learning_rate
        }

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The task's numbers for the averaged weights."""
        folder = self.output_dir if self.accelerator.is_main_process else None
        with self._averaged_model() as model, self.accelerator.autocast():
            return self.task.validate(model.eval(), self.validation_data, folder)

    def _batches(self, first_step: int) -> Iterator[list[dict[str, Tensor]]]:
        """This process's batches of each step from `first_step` on."""
        recipe, world = self.recipe, self.accelerator.num_processes
        stride = recipe.batch_size * world * recipe.accumulation_steps
        data: Dataset = Subset(self.train_data, range(first_step * stride, recipe.steps * stride))  # type: ignore[arg-type]
        loader = DataLoader(
            data,
            recipe.batch_size,
            num_workers=self.num_workers,
            collate_fn=self.task.collate,
            # A generator of its own: a new loader would otherwise draw from the state that a checkpoint has restored.
            generator=torch.Generator().manual_seed(recipe.seed),
        )
        batches = iter(self.accelerator.prepare(loader))
        while group := list(islice(batches, recipe.accumulation_steps)):
            yield group

    def _learning_rate_factor(self, step: int) -> float:
        warmup, total = self.recipe.warmup_steps, self.recipe.steps
        if step < warmup:
            return (step + 1) / warmup
        if self.recipe.schedule == "halving":
            return 0.5 ** ((step - warmup) // self.recipe.halving_steps)
        progress = (step - warmup) / max(1, total - warmup)
        if self.recipe.schedule == "poly":
            return max(0.0, 1 - progress) ** POLY_POWER
        return 0.5 * (1 + math.cos(math.pi * progress))

    @contextmanager
    def _averaged_model(self) -> Iterator[PreTrainedModel]:
        """The model with the averaged weights, those of the first process; afterwards it has the trained ones again.

        A model whose weights are shared out computes in all processes together or not at all: a whole one stands in.
        """
        model = self.whole_model or self.bare_model
        trained = {name: value.detach().clone() for name, value in self.bare_model.state_dict().items()}
        weights = self.average.average if self.average else trained
        model.load_state_dict({name: whole(value) for name, value in weights.items()})
        if self.accelerator.num_processes > 1:  # batch statistics differ from process to process
            for value in model.state_dict().values():
                torch.distributed.broadcast(value, 0)
        try:
            yield model
        finally:
            if model is not self.whole_model:
                model.load_state_dict(trained)

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

    def _keep_best(self, step: int, scores: dict[str, float]) -> None:
        """Where these scores are the best so far: write the weights, whole or not at all, and drop the oldest."""
        if self.selection is None or not self.selection.update(step, scores):
            return
        with self._averaged_model() as model:
            if self.accelerator.is_main_process:
                temporary, target = (self.output_dir / f"{dot}best-{step:07d}" for dot in (".", ""))
                for folder in (temporary, target):  # of a run that was interrupted since
                    shutil.rmtree(folder, ignore_errors=True)
                self.task.save(model, temporary)
                temporary.rename(target)
                for other in sorted(self.output_dir.glob("best-*"))[: -self.recipe.keep_best]:
                    shutil.rmtree(other)

    def _save_weights(self, folder: Path) -> None:
        """The best weights where a metric says which those are, else the last ones, averaged if the recipe averages."""
        with self._averaged_model() as model:
            if self.selection is not None and self.accelerator.is_main_process:
                shutil.copytree(self.output_dir / f"best-{self.selection.best_step:07d}", folder, dirs_exist_ok=True)
            elif self.accelerator.is_main_process:
                self.task.save(model, folder)

    def _save_final(self, seconds: float, steps: int) -> Path:
        final = self.output_dir / "final"
        self._save_weights(final)
        if self.accelerator.is_main_process:
            summary = {
                "recipe": dataclasses.asdict(self.recipe),
                "steps_this_run": steps,
                "best_step": self.selection.best_step if self.selection else None,
                "seconds_this_run": round(seconds),
                "processes": self.accelerator.num_processes,
                "hardware": _hardware(self.accelerator.device),
                "torch": torch.__version__,
                "weights_sha256": file_sha256(final / "model.safetensors"),
            }
            write_atomically(final / "training_summary.json", json.dumps(summary, indent=2).encode())
            write_report(self.output_dir)
        self.accelerator.wait_for_everyone()
        return final

    def _log(self, row: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            with (self.output_dir / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self.accelerator.log({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
            if "loss" not in row:  # a validation, which leaves a picture
                track_picture(self.accelerator, self.output_dir / "validation.png", int(row["step"]))


def _hardware(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{name}, {torch.get_num_threads()} threads, {platform.machine()}"


def _computes_bfloat16() -> bool:
    """Whether the processor has what PyTorch needs for bfloat16; without it, it takes some ten times as long."""
    flags = Path("/proc/cpuinfo")
    return not flags.is_file() or any(name in flags.read_text() for name in ("avx512", " bf16"))


def _parameter_groups(model: PreTrainedModel, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases, activations and scalars."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
