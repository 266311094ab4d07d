"""Augmentation of real forgeries that moves picture and mask together and, by default, touches no pixel value.

What localizes a forgery are traces of single pixels. Mirroring, quarter turns and crops keep them. Rescaling, blurring
and compressing rub them out or lay others over them: enlarging pictures by half before a first network cost it 0.04 to
0.17 of AUC. So these are off unless asked for, as when a network is to withstand social networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..image_processing.loading import load_image
from ..image_processing.masks import IGNORED, to_label_map
from .histories import apply_steps, draw_grid, draw_kernel, plan_jpeg, resize
from .workers import one_thread_per_worker


class Rows(Protocol):
    """A map-style data set with an `image` and a `mask` a row, such as `load_forgery_dataset` returns."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Augmentation:
    """Random changes that picture and label map undergo alike.

    Args:
        crop_size: Side of the square crop, or (height, width), in pixels; None for whole pictures. Smaller pictures are
            padded at the right and bottom: black, and ignored by losses.
        forged_crops: Share of the crops that hold at least one forged pixel if the picture has any.
        flip: Mirror left to right, half of the time.
        quarter_turns: Turn by a multiple of 90 degrees; a crop that is not square only by 180.
        rescale: Share of the pictures that are rescaled by 0.7 to 1.4 first. It resamples, so it wipes out traces.
        blur: Share of the pictures that are blurred with a Gaussian of 0.4 to 1.2 pixels. It wipes out traces.
        jpeg: Share of the pictures that are compressed at a quality of 70 to 95. It adds a trace everywhere.

    Raises:
        ValueError: If a share is not in 0..1 or the crop has no pixel.

    Example:
        >>> image, labels = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
        >>> labels[3, 50] = 1
        >>> crop, crop_labels = Augmentation(32, forged_crops=1.0)(image, labels, np.random.default_rng(0))
        >>> crop.shape, int(crop_labels.sum())
        ((32, 32, 3), 1)
    """

    crop_size: int | tuple[int, int] | None = None
    forged_crops: float = 0.5
    flip: bool = True
    quarter_turns: bool = True
    rescale: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        for name in ("forged_crops", "rescale", "blur", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share and must lie in 0..1, not {getattr(self, name)}")
        if self._crop is not None and min(self._crop) < 1:
            raise ValueError(f"crop_size must be at least 1 pixel each way, not {self.crop_size}")

    def __call__(
        self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augments one picture.

        Args:
            image: (H, W, 3) uint8 RGB.
            labels: (H, W) uint8: 0 authentic, 1 forged, 255 ignored.
            rng: The source of every choice.

        Returns:
            New arrays of the same kinds and of one common size.

        Raises:
            ValueError: If picture and labels differ in size.
        """
        if image.shape[:2] != labels.shape:
            raise ValueError(
                f"the picture is {image.shape[1]}x{image.shape[0]} and its mask {labels.shape[1]}x{labels.shape[0]}; "
                "`ifl-hub data check` finds such pairs"
            )
        if rng.random() < self.rescale:
            image, labels = _rescale(image, labels, float(rng.uniform(0.7, 1.4)), draw_kernel(rng))
        if self._crop is not None:
            image, labels = _crop(image, labels, *self._crop, rng, rng.random() < self.forged_crops)
        if self.flip and rng.random() < 0.5:
            image, labels = image[:, ::-1], labels[:, ::-1]
        if self.quarter_turns:
            turns = int(rng.integers(4))
            if self._crop is not None and self._crop[0] != self._crop[1]:
                turns = 2 * (turns % 2)
            image, labels = np.rot90(image, turns), np.rot90(labels, turns)
        steps: list[dict[str, Any]] = []
        if rng.random() < self.blur:
            steps.append({"op": "blur", "sigma": float(rng.uniform(0.4, 1.2))})
        if rng.random() < self.jpeg:
            steps.append(plan_jpeg(rng, 70, 95, draw_grid(rng)))
        return apply_steps(np.array(image, order="C"), steps), np.array(labels, order="C")

    @property
    def _crop(self) -> tuple[int, int] | None:
        return (self.crop_size, self.crop_size) if isinstance(self.crop_size, int) else self.crop_size


class AugmentedSamples:
    """Real pictures as an endless, seeded series of augmented samples, in the form that training wants.

    Every epoch shows each picture once, in an order of its own. A sample depends on `(seed, index)` and the rows only,
    whatever worker it is made in.

    Args:
        rows: Pictures and masks as `load_forgery_dataset` returns them: PIL images or arrays. A mask may be None
            where `label` is "authentic".
        augmentation: What happens to each.
        seed: Seed of the whole series.
        epochs: How many times the rows are gone through; it costs nothing.

    Raises:
        ValueError: If there is no row or the seed is negative.
    """

    def __init__(self, rows: Rows, augmentation: Augmentation, seed: int = 0, epochs: int = 1_000_000) -> None:
        if len(rows) == 0:
            raise ValueError("there is no picture to augment; check the split that was asked for")
        if seed < 0:
            raise ValueError(f"seed must not be negative, but is {seed}")
        self.rows = rows
        self.augmentation = augmentation
        self.seed = seed
        self.epochs = epochs
        self._order: tuple[int, Sequence[int]] = (-1, ())

    def __len__(self) -> int:
        return len(self.rows) * self.epochs

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Makes one sample.

        Returns:
            `image` (H, W, 3) uint8 RGB; `mask` (H, W) uint8, 1 where forged and 255 where ignored; and `row`, the
            number of the row that it shows.

        Raises:
            ValueError: If a forged picture has no mask, or picture and mask differ in size.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}; more `epochs` cost nothing")
        one_thread_per_worker()
        number = self._row_number(*divmod(index, len(self.rows)))
        row = self.rows[number]
        image = load_image(row["image"]).pixels
        rng = np.random.default_rng([self.seed, index])
        augmented, labels = self.augmentation(image, label_map_of(row, image.shape[:2], number), rng)
        return {"image": augmented, "mask": labels, "row": number}

    def _row_number(self, epoch: int, place: int) -> int:
        if self._order[0] != epoch:
            shuffled = np.random.default_rng([self.seed, epoch, 1]).permutation(len(self.rows))
            self._order = (epoch, shuffled.tolist())
        return self._order[1][place]


def label_map_of(row: Mapping[str, Any], size: tuple[int, ...], number: int) -> np.ndarray:
    """The label map of a row: its mask, or zeros where an authentic picture has none.

    Raises:
        ValueError: If a forged picture has no mask.
    """
    if row["mask"] is not None:
        return to_label_map(row["mask"], f"mask of row {number}")
    if row.get("label") != "authentic":
        raise ValueError(
            f"row {number} has neither a mask nor the label authentic; `ifl-hub data check` finds such rows"
        )
    return np.zeros(size, np.uint8)


def _rescale(image: np.ndarray, labels: np.ndarray, factor: float, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    """Resamples the picture and gives each new pixel the label of the old pixel that its centre falls in."""
    height, width = (max(1, round(side * factor)) for side in labels.shape)
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip((height, width), labels.shape, strict=True)
    )
    return resize(image, height, width, kernel), labels[rows][:, columns]


def _crop(
    image: np.ndarray, labels: np.ndarray, height: int, width: int, rng: np.random.Generator, wants_forged: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A window at a uniformly drawn place, or one around a uniformly drawn forged pixel; padded if need be."""
    low, high = [0, 0], [max(labels.shape[0] - height, 0), max(labels.shape[1] - width, 0)]
    forged = np.flatnonzero(labels == 1) if wants_forged else np.zeros(0, int)
    if forged.size:
        pixel = divmod(int(forged[rng.integers(forged.size)]), labels.shape[1])
        low = [max(0, at - side + 1) for at, side in zip(pixel, (height, width), strict=True)]
        high = [min(most, at) for most, at in zip(high, pixel, strict=True)]
    top, left = (int(rng.integers(first, last + 1)) for first, last in zip(low, high, strict=True))
    window = np.s_[top : top + height, left : left + width]
    image, labels = image[window], labels[window]
    missing = (0, height - labels.shape[0]), (0, width - labels.shape[1])
    if missing != ((0, 0), (0, 0)):
        image = np.pad(image, (*missing, (0, 0)))
        labels = np.pad(labels, missing, constant_values=IGNORED)
    return image, labels
