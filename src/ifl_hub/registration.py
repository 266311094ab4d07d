"""The one place that touches transformers' registries, run once by `import ifl_hub`."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.pipelines import PIPELINE_REGISTRY

from .checkpoints import DEFAULT_CHECKPOINT, checkpoint_path
from .image_processing import IflImageProcessor
from .modeling.auto import AutoModelForImageForgeryLocalization
from .modeling.diff_forensics import DiffForensicsConfig, DiffForensicsForImageForgeryLocalization
from .modeling.ncl import NclConfig, NclForImageForgeryLocalization
from .modeling.safl_net import SaflNetConfig, SaflNetForImageForgeryLocalization
from .modeling.sumi_ifl import SumiIflConfig, SumiIflForImageForgeryLocalization
from .pipelines import ImageForgeryLocalizationPipeline

LOCALIZATION_MODELS: dict[type[PreTrainedConfig], type[PreTrainedModel]] = {
    DiffForensicsConfig: DiffForensicsForImageForgeryLocalization,
    NclConfig: NclForImageForgeryLocalization,
    SaflNetConfig: SaflNetForImageForgeryLocalization,
    SumiIflConfig: SumiIflForImageForgeryLocalization,
}


def register() -> None:
    """Make every method, the processor and the pipelines known to transformers; safe to call twice."""
    for config_class, model_class in LOCALIZATION_MODELS.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoModel.register(config_class, model_class, exist_ok=True)
        AutoModelForImageForgeryLocalization.register(config_class, model_class, exist_ok=True)
        # One backend for both keys: the same pixels whether or not torchvision is installed.
        AutoImageProcessor.register(
            config_class,
            image_processor_classes={"pil": IflImageProcessor, "torchvision": IflImageProcessor},
            exist_ok=True,
        )
    task = ImageForgeryLocalizationPipeline.task
    if task not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(
            task,
            pipeline_class=ImageForgeryLocalizationPipeline,
            pt_model=AutoModelForImageForgeryLocalization,
            default={"model": (checkpoint_path(DEFAULT_CHECKPOINT), None)},
            type="image",
        )
