"""The pipelines behind `transformers.pipeline(task)`."""

from .image_forgery_localization import ImageForgeryLocalizationPipeline

__all__ = ["ImageForgeryLocalizationPipeline"]
