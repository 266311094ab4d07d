"""What a training run is about: the loop in `engine.py` knows steps and checkpoints, a task knows data and losses."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor
from transformers import PreTrainedModel

from .recipe import Recipe

if TYPE_CHECKING:
    from .sources import Sources

# Imported when a recipe asks for one: each needs packages that the others do not.
_TASKS = {
    "denoising": ".denoising:DenoisingTask",
    "distillation": ".distillation:DistillationTask",
    "face_classification": ".face_classification:FaceClassificationTask",
    "localization": ".localization:LocalizationTask",
    "semantic_alignment": ".semantic_suppression:SemanticAlignmentTask",
    "semantic_suppression": ".semantic_suppression:SemanticSuppressionTask",
}


class SampleSource(Protocol):
    """What a run needs of its data: `source[index]` is a sample, the same whenever and wherever it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class Task(Protocol):
    """One kind of training: what is learnt from which samples by which loss, and how it is judged.

    A task is built from a recipe alone. Its methods get the model that the loop holds; they keep no state that a
    checkpoint would have to save.
    """

    recipe: Recipe

    def __init__(self, recipe: Recipe) -> None: ...

    def build_data(self, sources: "Sources") -> tuple[SampleSource, SampleSource]:
        """The endless series of training samples, and the validation samples, from what a user names."""

    def build_model(self) -> PreTrainedModel:
        """The model as training starts; the loop has seeded torch. Frozen parameters do not require gradients."""

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """A batch for `loss`. Runs in the worker processes."""

    def loss(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, and its terms by name for the log. `model` may be wrapped by accelerate."""

    def validate(self, model: PreTrainedModel, data: SampleSource, folder: Path | None) -> dict[str, float]:
        """Numbers by name; pictures of the state go into `folder`, which is None on all processes but the first.

        The loop has set the model to evaluation with its averaged weights and switched gradients off. All processes
        call this and get the same numbers; `map_over_processes` shares the work.
        """

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write everything that `from_pretrained` needs."""


def build_task(recipe: Recipe) -> Task:
    """The task that a recipe names.

    Raises:
        ValueError: If there is no such task.

    Example:
        >>> type(build_task(Recipe("sumi_ifl", "tiny"))).__name__
        'LocalizationTask'
    """
    if recipe.task not in _TASKS:
        raise ValueError(f"recipe: there is no task {recipe.task!r}; choose one of: {', '.join(_TASKS)}")
    module, _, name = _TASKS[recipe.task].partition(":")
    return getattr(import_module(module, __package__), name)(recipe)
