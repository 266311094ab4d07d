"""From files and arrays to tensors, without hurting forensic traces: safe loading and the image processor."""

from .image_processing_ifl import IflImageProcessor
from .loading import ImageLoadError, load_image

__all__ = ["IflImageProcessor", "ImageLoadError", "load_image"]
