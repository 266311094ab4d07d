"""`FaceImageProcessor`: how a face comes to a face classifier, from the size of its crop to its pixel values."""

from typing import Any

from .image_processing_ifl import IflImageProcessor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FaceImageProcessor(IflImageProcessor):
    """An `IflImageProcessor` for pictures of one face each, which are resized to a fixed square.

    Args:
        face_margin: Side of the crop that the pipeline gives it, as a multiple of the longer side of the detected box.
        size: Of what the classifier sees, 224×224 by default as for the official code.
        kwargs: Of `IflImageProcessor`. Mean and standard deviation are ImageNet's unless given.

    Raises:
        ValueError: If the margin would cut faces off, or for the reasons of `IflImageProcessor`.

    Example:
        >>> import numpy as np
        >>> tuple(FaceImageProcessor()(np.zeros((90, 80, 3), np.uint8))["pixel_values"].shape)
        (1, 3, 224, 224)
    """

    do_resize = True
    size = {"height": 224, "width": 224}  # noqa: RUF012  (transformers reads class attributes as defaults)
    image_mean = IMAGENET_MEAN
    image_std = IMAGENET_STD

    def __init__(self, *, face_margin: float = 1.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if face_margin < 1:
            raise ValueError(f"face_margin={face_margin} would cut faces off; give 1 or more")
        self.face_margin = face_margin
