"""ifl-hub: image forgery localization on the Hugging Face ecosystem.

Importing the package registers its models, image processor and pipelines with transformers. Configs, models,
processor and pipelines are imported at once; everything that needs an optional dependency is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .checkpoints import checkpoint_path, list_checkpoints
from .image_processing import FaceCropper, FaceImageProcessor, IflImageProcessor
from .modeling.auto import AutoModelForImageForgeryLocalization
from .modeling.diff_forensics import (
    DiffForensicsConfig,
    DiffForensicsForImageForgeryLocalization,
    DiffForensicsForPreTraining,
)
from .modeling.exposing_deception import ExposingDeceptionConfig, ExposingDeceptionForImageClassification
from .modeling.ncl import NclConfig, NclForImageForgeryLocalization, NclLoss
from .modeling.outputs import ImageForgeryLocalizationOutput
from .modeling.safl_net import (
    SaflNetConfig,
    SaflNetForImageForgeryLocalization,
    SaflNetForSemanticAlignment,
)
from .modeling.sumi_ifl import SumiIflConfig, SumiIflForImageForgeryLocalization
from .pipelines import DeepfakeDetectionPipeline, ImageForgeryLocalizationPipeline
from .registration import register

if TYPE_CHECKING:
    from .data import ForgerySynthesizer, load_forgery_dataset
    from .metrics import load_metric
    from .modeling.diff_forensics.scheduling_simplex_ddpm import SimplexDDPMScheduler
    from .modeling.diff_forensics.simplex_noise import SimplexNoise

__version__ = "0.1.0"

__all__ = [
    "AutoModelForImageForgeryLocalization",
    "DeepfakeDetectionPipeline",
    "DiffForensicsConfig",
    "DiffForensicsForImageForgeryLocalization",
    "DiffForensicsForPreTraining",
    "ExposingDeceptionConfig",
    "ExposingDeceptionForImageClassification",
    "FaceCropper",
    "FaceImageProcessor",
    "ForgerySynthesizer",
    "IflImageProcessor",
    "ImageForgeryLocalizationOutput",
    "ImageForgeryLocalizationPipeline",
    "NclConfig",
    "NclForImageForgeryLocalization",
    "NclLoss",
    "SaflNetConfig",
    "SaflNetForImageForgeryLocalization",
    "SaflNetForSemanticAlignment",
    "SimplexDDPMScheduler",
    "SimplexNoise",
    "SumiIflConfig",
    "SumiIflForImageForgeryLocalization",
    "checkpoint_path",
    "list_checkpoints",
    "load_forgery_dataset",
    "load_metric",
]

_LAZY = {
    "ForgerySynthesizer": ".data",
    "SimplexDDPMScheduler": ".modeling.diff_forensics.scheduling_simplex_ddpm",
    "SimplexNoise": ".modeling.diff_forensics.simplex_noise",
    "load_forgery_dataset": ".data",
    "load_metric": ".metrics",
}

register()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
