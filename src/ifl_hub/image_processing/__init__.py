"""From files and arrays to tensors, without hurting forensic traces: safe loading, face cropping, the processors."""

from .face_cropping import FaceCrop, FaceCropper, NoFaceError
from .image_processing_face import FaceImageProcessor
from .image_processing_ifl import IflImageProcessor
from .loading import ImageLoadError, load_image

__all__ = [
    "FaceCrop",
    "FaceCropper",
    "FaceImageProcessor",
    "IflImageProcessor",
    "ImageLoadError",
    "NoFaceError",
    "load_image",
]
