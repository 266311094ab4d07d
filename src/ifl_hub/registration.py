"""The one place that touches transformers' registries, run once by `import ifl_hub`."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .checkpoints import DEFAULT_CHECKPOINT, DEFAULT_FACE_CHECKPOINT, checkpoint_path
from .image_processing import FaceImageProcessor, IflImageProcessor
from .modeling.auto import AutoModelForImageForgeryLocalization
from .modeling.diff_forensics import DiffForensicsConfig, DiffForensicsForImageForgeryLocalization
from .modeling.exposing_deception import ExposingDeceptionConfig, ExposingDeceptionForImageClassification
from .modeling.ncl import NclConfig, NclForImageForgeryLocalization
from .modeling.safl_net import SaflNetConfig, SaflNetForImageForgeryLocalization
from .modeling.sumi_ifl import SumiIflConfig, SumiIflForImageForgeryLocalization
from .pipelines import DeepfakeDetectionPipeline, ImageForgeryLocalizationPipeline
from .pipelines.base import IflPipeline

LOCALIZATION_MODELS: dict[type[PreTrainedConfig], type[PreTrainedModel]] = {
    DiffForensicsConfig: DiffForensicsForImageForgeryLocalization,
    NclConfig: NclForImageForgeryLocalization,
    SaflNetConfig: SaflNetForImageForgeryLocalization,
    SumiIflConfig: SumiIflForImageForgeryLocalization,
}
FACE_CLASSIFICATION_MODELS: dict[type[PreTrainedConfig], type[PreTrainedModel]] = {
    ExposingDeceptionConfig: ExposingDeceptionForImageClassification,
}


def register() -> None:
    """Make every method, the processors and the pipelines known to transformers; safe to call twice."""
    for config_class, model_class in LOCALIZATION_MODELS.items():
        _register_method(config_class, model_class, AutoModelForImageForgeryLocalization, IflImageProcessor)
    for config_class, model_class in FACE_CLASSIFICATION_MODELS.items():
        _register_method(config_class, model_class, AutoModelForImageClassification, FaceImageProcessor)
    _register_pipeline(
        ImageForgeryLocalizationPipeline, AutoModelForImageForgeryLocalization, checkpoint_path(DEFAULT_CHECKPOINT)
    )
    _register_pipeline(
        DeepfakeDetectionPipeline, AutoModelForImageClassification, checkpoint_path(DEFAULT_FACE_CHECKPOINT)
    )


def _register_method(
    config_class: type[PreTrainedConfig],
    model_class: type[PreTrainedModel],
    auto_class: Any,
    processor_class: type[IflImageProcessor],
) -> None:
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    for auto in (AutoModel, auto_class):
        auto.register(config_class, model_class, exist_ok=True)
    # One backend for both keys: the same pixels whether or not torchvision is installed.
    backends = dict.fromkeys(("pil", "torchvision"), processor_class)
    AutoImageProcessor.register(config_class, image_processor_classes=backends, exist_ok=True)


def _register_pipeline(pipeline_class: type[IflPipeline], auto_class: Any, default: str) -> None:
    if pipeline_class.task not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(
            pipeline_class.task,
            pipeline_class=pipeline_class,
            pt_model=auto_class,
            default={"model": (default, None)},
            type="image",
        )
