"""`FaceImageProcessor`: how a face comes to a face classifier, from the size of its crop to its pixel values."""

from typing import Any

import numpy as np

from .image_processing_ifl import IflImageProcessor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FaceImageProcessor(IflImageProcessor):
    """An `IflImageProcessor` for pictures of one face each, which are resized to a fixed square.

    Args:
        face_margin: Side of the crop that the pipeline gives it, as a multiple of the longer side of the detected box.
        size: Of what the classifier sees, 224×224 by default as for the official code.
        cut_middle: Whether the classifier sees the middle of the crop at its own resolution, which keeps the traces of
            fine detail, in place of the whole. Crops smaller than `size` are enlarged.
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

    def __init__(self, *, face_margin: float = 1.3, cut_middle: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if face_margin < 1:
            raise ValueError(f"face_margin={face_margin} would cut faces off; give 1 or more")
        self.face_margin = face_margin
        self.cut_middle = cut_middle

    def process_image(self, image: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """As `IflImageProcessor`'s, of the middle alone with `cut_middle`: `(3, H, W)`."""
        channels = super().process_image(image, *args, **kwargs)
        if not self.cut_middle:
            return channels
        return middle_of(channels.transpose(1, 2, 0), self.size["height"], self.size["width"]).transpose(2, 0, 1)


def middle_of(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture; a side that is shorter stays as it is.

    Args:
        pixels: `(H, W, …)`.
        height: Of what is cut out, in pixels.
        width: Likewise.

    Example:
        >>> middle_of(np.arange(20).reshape(4, 5), 2, 9).tolist()
        [[5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]
    """
    top, left = (max(0, (have - want) // 2) for have, want in zip(pixels.shape[:2], (height, width), strict=True))
    return pixels[top : top + height, left : left + width]
