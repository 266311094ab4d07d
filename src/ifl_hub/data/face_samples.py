"""Real and fake faces of a data set as training samples, and the name of the video that each frame comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from ..image_processing.image_processing_face import middle_of
from ..image_processing.loading import load_image
from .histories import Step, apply_steps, draw_grid, plan_gain, plan_jpeg, plan_noise, resize
from .schema import ForgeryRow
from .workers import one_thread_per_worker

VideoKey = tuple[str, str, str]


def video_key(row: ForgeryRow) -> VideoKey:
    """(data set, method, video) of a frame: what must be averaged, and drawn, together.

    The method is the column `method` where there is one, else the forgery type. An id alone names several videos in
    common data sets, and groups join videos that share a face; folder and group together name one video where frames
    lie in a folder a video, and where the group is the video.

    Example:
        >>> row = ForgeryRow("Deepfakes/000_003/0001.png", None, "forged", "ffpp", "face-swap", "000")
        >>> video_key(row)
        ('ffpp', 'face-swap', 'Deepfakes/000_003: 000')
    """
    folder = PurePosixPath(row.file_name).parent
    return row.source, str(row.extra.get("method") or row.forgery_type), f"{folder}: {row.group}"


@dataclass(frozen=True)
class FaceAugmentation:
    """Random changes of a face, each with its probability; the defaults are those of the official code.

    Args:
        flip: Mirror left to right.
        placement: Shift by up to 10 %, scale by up to 20 % and turn by up to 10 degrees.
        colour: Contrast, brightness and the balance of the channels.
        grey: No colour at all.
        blur: A Gaussian of 0.4 to 1 pixels.
        noise: Gaussian, 1 to 5 grey levels.
        jpeg: One compression, quality 60 to 100.

    Raises:
        ValueError: If a probability is not one.
    """

    flip: float = 0.5
    placement: float = 0.5
    colour: float = 0.7
    grey: float = 0.2
    blur: float = 0.05
    noise: float = 0.1
    jpeg: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability and must lie in 0..1, not {value}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy.

        Args:
            image: (H, W, 3) uint8 RGB.
            rng: The source of every choice.
        """
        if rng.random() < self.flip:
            image = image[:, ::-1]
        if rng.random() < self.placement:
            image = _place(np.ascontiguousarray(image), rng)
        steps: list[Step] = []
        if rng.random() < self.colour:
            steps.append(plan_gain(rng, 0.2, 30.0))
        if rng.random() < self.blur:
            steps.append({"op": "blur", "sigma": float(rng.uniform(0.4, 1.0))})
        if rng.random() < self.noise:
            steps.append(plan_noise(rng, 1.0, 5.0))
        if rng.random() < self.jpeg:
            steps.append(plan_jpeg(rng, 60, 100, draw_grid(rng)))
        image = apply_steps(np.array(image, order="C"), steps)
        if rng.random() < self.grey:
            image = np.repeat(np.rint(image @ [0.299, 0.587, 0.114]).astype(np.uint8)[..., None], 3, axis=2)
        return image


class LabelledFaces:
    """An endless, seeded series of augmented faces: every epoch shows each face, real ones as often as needed.

    A sample depends on `(seed, index)` and the rows only, whatever worker it is made in.

    Args:
        folder: Where the rows' pictures lie.
        rows: Faces with their labels, one face a picture.
        size: Side of the samples in pixels; pictures are squeezed to it.
        seed: Seed of the whole series.
        oversample: How often an epoch shows a real face; `"auto"` as often as makes up for their number.
        augmentation: None for the pictures as they are, in their own order.
        cut_middle: Whether samples are the middle of the pictures, not resampled, in place of the whole.

    Raises:
        ValueError: If one of the two labels has no row.
    """

    def __init__(
        self,
        folder: Path,
        rows: Sequence[ForgeryRow],
        size: int,
        seed: int = 0,
        oversample: int | Literal["auto"] = 1,
        augmentation: FaceAugmentation | None = None,
        cut_middle: bool = False,
    ) -> None:
        real = sum(row.label == "authentic" for row in rows)
        if not 0 < real < len(rows):
            raise ValueError(f"{folder}: {real} of {len(rows)} faces are real; both real and fake ones are needed")
        self.folder = folder
        self.rows = list(rows)
        self.size = size
        self.seed = seed
        self.augmentation = augmentation
        self.cut_middle = cut_middle
        times = max(1, round((len(rows) - real) / real)) if oversample == "auto" else oversample
        self.epoch = [
            number for number, row in enumerate(rows) for _ in range(times if row.label == "authentic" else 1)
        ]

    def __len__(self) -> int:
        return len(self.epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`image` (size, size, 3) uint8 RGB, `label` 1 for fake and 0 for real, `index`, and its `row`."""
        one_thread_per_worker()
        epoch, position = divmod(index, len(self.epoch))
        number = self.epoch[position] if self.augmentation is None else self._order(epoch)[position]
        row = self.rows[number]
        pixels = load_image(self.folder / row.file_name).pixels
        image = resize_face(middle_of(pixels, self.size, self.size) if self.cut_middle else pixels, self.size)
        if self.augmentation is not None:
            image = self.augmentation(image, np.random.default_rng([self.seed, 1, index]))
        return {"image": image, "label": int(row.label == "forged"), "index": index, "row": row}

    def _order(self, epoch: int) -> list[int]:
        return _shuffled(tuple(self.epoch), self.seed, epoch)


def resize_face(pixels: np.ndarray, size: int) -> np.ndarray:
    """A picture squeezed to a square of `size` pixels, averaging where it shrinks."""
    return resize(pixels, size, size, "area" if min(pixels.shape[:2]) > size else "linear")


@lru_cache(maxsize=8)
def _shuffled(numbers: tuple[int, ...], seed: int, epoch: int) -> list[int]:
    return np.random.default_rng([seed, 0, epoch]).permutation(numbers).tolist()


def _place(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import cv2

    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-10, 10)), float(rng.uniform(0.8, 1.2)))
    matrix[:, 2] += rng.uniform(-0.1, 0.1, 2) * (width, height)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
