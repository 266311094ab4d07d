"""The pipelines behind `transformers.pipeline(task)`."""

from .deepfake_detection import DeepfakeDetectionPipeline
from .image_forgery_localization import ImageForgeryLocalizationPipeline

__all__ = ["DeepfakeDetectionPipeline", "ImageForgeryLocalizationPipeline"]
