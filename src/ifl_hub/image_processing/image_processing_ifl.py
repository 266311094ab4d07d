"""`IflImageProcessor`: the preprocessing that travels with a checkpoint, and the way back to the original pixels.

One PIL/NumPy backend serves every installation, because a resampler that differs in the last bit is a different
forensic signal. By default nothing is resized or padded: the pixels the camera wrote are the pixels the model sees.
"""

import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import ChannelDimension, PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils import ModelOutput, TensorType

from .loading import load_image
from .masks import IGNORED, to_label_map
from .scoring import ScoreReduction, ScoreSource, calibrate, check_choice, reduce_to_score


class IflImageProcessorKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]  # a TypedDict mypy cannot see
    """What a call may override, beyond transformers' own.

    size_divisor: Pad right and bottom until height and width are multiples of it (and equal within a batch).
    return_original_sizes: Also return `original_sizes`, the `(height, width)` of every image.
    """

    size_divisor: int | None
    return_original_sizes: bool | None


class IflImageProcessor(PilBackend):
    """Turns images and masks into model inputs, and logits into maps on the original pixel grid.

    Images of any kind (`load_image` lists them; EXIF orientation is applied) become RGB, are scaled to [0, 1] and
    normalised. Sizes change in one of two ways or, by default, not at all: `do_resize` with a fixed `size`
    (`{"height": …, "width": …}`), or `size_divisor`, which pads right and bottom by reflection.

    Args:
        tile_size: Side in pixels of the tiles that the pipeline cuts large pictures into; 0 never tiles.
        tile_overlap: Pixels of context that neighbouring tiles share.
        threshold: Operating point of the mask: a pixel is forged where its probability exceeds it.
        score_threshold: Operating point of the label: an image is forged if its score exceeds it.
        score_source: What gives the score: the model's `"detection_head"`, or the `"map"`, which can tell more and is
            the source in any case where the model has no head.
        score_reduction: How a map becomes a score, one of `ScoreReduction`.
        temperature: The map's log-odds are divided by it, so that its probabilities mean what they say. It moves no
            pixel across 0.5 and changes no order: masks at 0.5 and areas under curves stay what they are.
        score_temperature: The same for the score, whose log-odds lose `score_bias` first.
        score_bias: Log-odds of an uncalibrated score that mean "as likely forged as not".
        kwargs: transformers' own settings and those of `IflImageProcessorKwargs`.

    Raises:
        ValueError: If the settings contradict each other.

    Example:
        >>> import numpy as np
        >>> image, mask = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)
        >>> batch = IflImageProcessor(size_divisor=16)(image, mask)
        >>> tuple(batch["pixel_values"].shape), tuple(batch["labels"].shape)
        ((1, 3, 32, 32), (1, 32, 32))
    """

    valid_kwargs = IflImageProcessorKwargs
    do_resize = False
    resample = PILImageResampling.BILINEAR
    do_convert_rgb = True
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    image_mean = (0.5, 0.5, 0.5)
    image_std = (0.5, 0.5, 0.5)
    size_divisor = None
    return_original_sizes = False

    def __init__(
        self,
        *,
        tile_size: int = 512,
        tile_overlap: int = 64,
        threshold: float = 0.5,
        score_threshold: float = 0.5,
        score_source: str = "detection_head",
        score_reduction: str = "top_1_percent_mean",
        temperature: float = 1.0,
        score_temperature: float = 1.0,
        score_bias: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("score_source", score_source, get_args(ScoreSource))
        check_choice("score_reduction", score_reduction, get_args(ScoreReduction))
        for name, value in (("temperature", temperature), ("score_temperature", score_temperature)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name}={value} cannot divide log-odds; choose a positive number, 1 changes nothing")
        for name, value in (("threshold", threshold), ("score_threshold", score_threshold)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value} is no probability; choose between 0 and 1")
        self.tile_size = tile_size
        self.tile_overlap = tile_overlap
        self.threshold = threshold
        self.score_threshold = score_threshold
        self.score_source = score_source
        self.score_reduction = score_reduction
        self.temperature = temperature
        self.score_temperature = score_temperature
        self.score_bias = score_bias
        _check_size_mode(self.do_resize, self.size, self.size_divisor)

    def preprocess(self, images: Any, segmentation_maps: Any = None, **kwargs: Any) -> BatchFeature:
        """Images, and their masks if given, to model inputs.

        Args:
            images: One image or a list, of anything `load_image` reads. With `do_rescale=False` arrays are taken as
                they are, else float arrays in [0, 1] count as 0 to 255.
            segmentation_maps: One mask per image, of the size of the upright image; `to_label_map` says how values
                are read.
            kwargs: Overrides of the processor's settings. `return_tensors` is "pt" unless given.

        Returns:
            `pixel_values` `(B, 3, H, W)` float32; with masks also `labels` `(B, H, W)` int64 of 0 authentic,
            1 forged, 255 ignored and padding; with `return_original_sizes` also `original_sizes` `(B, 2)`.

        Raises:
            ValueError: If counts or sizes of images and masks differ, a mask has no single reading, or images of
                different sizes are neither resized nor padded.
        """
        kwargs.setdefault("return_tensors", "pt")
        return super().preprocess(images, segmentation_maps, **kwargs)

    def process_image(
        self,
        image: Any,
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        do_rescale: bool | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """One image of any kind to `(3, H, W)`: uint8 RGB, or an array's own values if they are not to be rescaled."""
        if not do_convert_rgb:
            raise ValueError("the models see RGB: leave do_convert_rgb=True")
        if hasattr(image, "ndim"):
            image = np.asarray(image)
            if input_data_format == ChannelDimension.FIRST and image.ndim == 3:
                image = np.moveaxis(image, 0, 2)
            if do_rescale is False:
                return super().process_image(image, True, input_data_format and ChannelDimension.LAST)
        return np.moveaxis(load_image(image).pixels, 2, 0)

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON-able; `auto_map` only where the class itself is remote code, which is saved beside it."""
        values = super().to_dict()
        if self._auto_class is None:
            values.pop("auto_map", None)
        return values

    def _validate_preprocess_kwargs(self, **kwargs: Any) -> None:
        _check_size_mode(kwargs.get("do_resize"), kwargs.get("size"), kwargs.get("size_divisor"))
        for name in ("do_center_crop", "pad_size"):
            if kwargs.get(name):
                raise ValueError(f"{name} would drop or move evidence; use size_divisor to pad, or do_resize with size")
        super()._validate_preprocess_kwargs(**kwargs)

    def _preprocess_image_like_inputs(self, images: Any, segmentation_maps: Any = None, **kwargs: Any) -> BatchFeature:
        pictures = [self.process_image(image, **kwargs) for image in _flatten(images, single_ndims=3)]
        labels = None
        if segmentation_maps is not None:
            maps = _flatten(segmentation_maps, single_ndims=2)
            labels = _read_masks(maps, [(p.shape[1], p.shape[2]) for p in pictures])
        return self._preprocess(pictures, labels, **kwargs)

    def _preprocess(
        self,
        images: list[np.ndarray],
        labels: list[np.ndarray] | None = None,
        *,
        size: SizeDict | None = None,
        size_divisor: int | None = None,
        do_resize: bool = False,
        do_pad: bool | None = None,
        resample: PILImageResampling = PILImageResampling.BILINEAR,
        return_original_sizes: bool | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        original_sizes = [(image.shape[1], image.shape[2]) for image in images]
        if do_resize and size is not None:
            images = [self.resize(image, size, resample) for image in images]
            labels = labels and [_resize_labels(label, (size.height, size.width)) for label in labels]
        images = [self._rescale_and_normalize(image, **kwargs) for image in images]
        if do_pad or (do_pad is None and size_divisor):
            padded = _padded_size([image.shape[1:] for image in images], size_divisor or 1)
            images = [_pad(image, padded, mode="symmetric") for image in images]
            labels = labels and [_pad(label, padded, mode="constant", constant_values=IGNORED) for label in labels]
        data: dict[str, Any] = {"pixel_values": images}
        if labels is not None:
            data["labels"] = [label.astype(np.int64) for label in labels]
        if return_original_sizes:
            data["original_sizes"] = original_sizes
        if return_tensors is not None:
            _check_equal_shapes(images)
            data = {key: np.stack(values) for key, values in data.items()}
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _rescale_and_normalize(
        self,
        image: np.ndarray,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        image_mean: Sequence[float] = (0.5, 0.5, 0.5),
        image_std: Sequence[float] = (0.5, 0.5, 0.5),
        **kwargs: Any,
    ) -> np.ndarray:
        if do_rescale:
            image = self.rescale(image, rescale_factor)
        if do_normalize:
            image = self.normalize(image, image_mean, image_std)
        return image.astype(np.float32, copy=False)

    def restore_logits(self, logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Undo what this processor did to the size: crop the padding away, or resize back bilinearly.

        Args:
            logits: `(…, H, W)` at the size of `pixel_values`, with two or more leading dimensions if resized.
            size: `(height, width)` of the original image.

        Returns:
            float32 `(…, height, width)`.

        Raises:
            ValueError: If the map is smaller than the image although nothing was resized.
        """
        logits = logits.float()
        if self.do_resize:
            return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        if logits.shape[-2] < size[0] or logits.shape[-1] < size[1]:
            raise ValueError(
                f"a map of {tuple(logits.shape[-2:])} cannot be cropped to an image of {size}; give target_sizes as "
                "(height, width), and set do_resize and size on the processor itself rather than in the call"
            )
        return logits[..., : size[0], : size[1]]

    def post_process_image_forgery_localization(
        self,
        outputs: ModelOutput,
        target_sizes: Sequence[tuple[int, int]] | torch.Tensor | None = None,
        threshold: float | None = 0.5,
    ) -> list[dict[str, Any]]:
        """Logits to maps on the original pixel grid, one dict per image.

        Args:
            outputs: What a localization model returned: `logits` `(B, 1, H, W)`, `image_logits` `(B, 1)` or None.
            target_sizes: `(height, width)` of every original image (`original_sizes`); None keeps the logits' size.
            threshold: A pixel is forged where its probability exceeds it; None is the checkpoint's own.

        Returns:
            Dicts of `probabilities` `(height, width)` float32, `mask` `(height, width)` bool tensor and `score`, the
            probability that the image is forged, as `image_score` reads it off `image_logits` or the map.

        Raises:
            ValueError: If the number of target sizes is not the batch size.
        """
        logits = outputs.logits.detach()
        threshold = self.threshold if threshold is None else threshold
        sizes = [logits.shape[-2:]] * len(logits) if target_sizes is None else target_sizes
        if len(sizes) != len(logits):
            raise ValueError(f"{len(sizes)} target_sizes for {len(logits)} images; give one (height, width) per image")
        image_logits = getattr(outputs, "image_logits", None)
        results = []
        for index, size in enumerate(sizes):
            size = (int(size[0]), int(size[1]))
            own = logits[index : index + 1]
            own = own.float() if target_sizes is None else self.restore_logits(own, size)
            probabilities = (own[0, 0] / self.temperature).sigmoid()
            image_logit = None if image_logits is None else float(image_logits[index].detach().float())
            score = self.image_score(probabilities.cpu().numpy(), image_logit)
            results.append({"probabilities": probabilities, "mask": probabilities > threshold, "score": score})
        return results

    def image_score(self, probabilities: np.ndarray, image_logit: float | None = None) -> float:
        """P(image is forged), calibrated by `score_temperature` and `score_bias`.

        Args:
            probabilities: The map `(H, W)` float in [0, 1], calibrated already.
            image_logit: Of a detection head. Without one, or where `score_source` is the map, it is `score_reduction`
                of the map.

        Returns:
            In [0, 1]. Without calibration, the sigmoid of the logit or the reduced map itself.

        Example:
            >>> processor = IflImageProcessor(score_temperature=2.0, score_bias=1.0)
            >>> processor.image_score(np.zeros((2, 2)), image_logit=1.0)
            0.5
        """
        if image_logit is None or self.score_source == "map":
            score = reduce_to_score(probabilities, self.score_reduction)
            return calibrate(score, self.score_temperature, self.score_bias)
        return float(torch.tensor((image_logit - self.score_bias) / self.score_temperature).sigmoid())


def _check_size_mode(do_resize: bool | None, size: SizeDict | None, size_divisor: int | None) -> None:
    if do_resize and size_divisor:
        raise ValueError("do_resize and size_divisor exclude each other: resize to a fixed size, or pad to a divisor")
    if do_resize and (size is None or not size.height or not size.width):
        raise ValueError('do_resize needs a fixed size: {"height": …, "width": …}')
    if size_divisor is not None and size_divisor < 1:
        raise ValueError(f"size_divisor={size_divisor} is no divisor; give 1 or more, such as 32")


def _check_equal_shapes(images: list[np.ndarray]) -> None:
    shapes = sorted({image.shape[1:] for image in images})
    if len(shapes) > 1:
        raise ValueError(
            f"images of different sizes ({', '.join(f'{h}x{w}' for h, w in shapes[:3])}…) make no tensor; set "
            "size_divisor to pad them, do_resize with size, or return_tensors=None for lists"
        )


def _flatten(images: Any, single_ndims: int) -> list[Any]:
    """One image, a batch array or nested lists, as a flat list; `single_ndims` is the rank of one image."""
    if isinstance(images, list | tuple):
        return [image for item in images for image in _flatten(item, single_ndims)]
    rank = getattr(images, "ndim", None)
    if rank == single_ndims + 1 and not (rank == 3 and images.shape[2] in (1, 2, 3, 4)):
        return list(images)
    return [images]


def _read_masks(maps: list[Any], sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    if len(maps) != len(sizes):
        raise ValueError(f"{len(maps)} segmentation maps for {len(sizes)} images; give one per image, in their order")
    labels = [to_label_map(mask, f"segmentation map {index}") for index, mask in enumerate(maps)]
    for index, (label, size) in enumerate(zip(labels, sizes, strict=True)):
        if label.shape != size:
            turned = " (turned: masks belong to the upright image, after EXIF orientation)"
            raise ValueError(
                f"segmentation map {index} is {label.shape[0]}x{label.shape[1]} but its image is {size[0]}x{size[1]}"
                + (turned if label.shape == size[::-1] else "; masks are never resized to fit")
            )
    return labels


def _resize_labels(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(label).resize(size[::-1], PILImageResampling.NEAREST))


def _padded_size(shapes: list[tuple[int, ...]], divisor: int) -> tuple[int, int]:
    height, width = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def _pad(array: np.ndarray, size: tuple[int, int], **how: Any) -> np.ndarray:
    """Pad the last two axes on the right and at the bottom."""
    missing = [(0, size[0] - array.shape[-2]), (0, size[1] - array.shape[-1])]
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + missing, **how)
