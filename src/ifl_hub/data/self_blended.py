"""Fake faces made from single real ones, after "Detecting Deepfakes with Self-Blended Images" (CVPR 2022).

A face is blended into a slightly altered copy of itself. What remains to be seen are the traces that all face swaps
share: a blending border, two statistics in one picture, features out of place. A detector trained on them cannot learn
the artefacts of one generator. The paper's facts are followed; where it is silent, the choice is ours and said so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .histories import Step, apply_steps, plan_final, resize
from .photos import PhotoPool
from .workers import one_thread_per_worker

BLENDING_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # full blending is as likely as all others together
_UNSCALED = 1 << 20  # pixels; coordinates are those of the file, so the pool must not shrink it
_ATTEMPTS = 20


@dataclass(frozen=True)
class Face:
    """A picture of a real face and, where known, where the face is.

    Attributes:
        path: The picture. Without landmarks and box it must be cropped to one upright face.
        landmarks: ((x, y), …) in the picture's pixels, at least 3; the face is their convex hull.
        box: (left, top, right, bottom) in the picture's pixels; the face is the ellipse in it. Landmarks come first.

    Raises:
        ValueError: If the landmarks or the box enclose no area.
    """

    path: Path
    landmarks: tuple[tuple[float, float], ...] | None = None
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.landmarks is not None and not _span(self.landmarks) > 0:
            raise ValueError(f"{self.path}: the landmarks enclose no area; give 3 or more (x, y) around the face")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"{self.path}: the box {self.box} encloses no area; give (left, top, right, bottom)")


class SelfBlendedFaces:
    """A seeded, map-style data set of real faces and their self-blended twins, made when they are asked for.

    Samples 2k and 2k + 1 show the same crop of the same face with the same processing of the whole picture; only the
    odd one is blended. So nothing but the blending tells them apart. A sample depends on `(seed, index)`, the faces and
    the size only, whatever worker it is made in.

    Args:
        faces: Real faces.
        size: Side of the square samples in pixels, at least 32.
        seed: Seed of the whole series.
        length: How many samples the series has; it costs nothing.

    Raises:
        ValueError: If there is no face, the size is too small or the seed negative.
        FileNotFoundError: If a picture does not exist.
    """

    def __init__(self, faces: Sequence[Face], size: int = 256, seed: int = 0, length: int = 1_000_000) -> None:
        if size < 32:
            raise ValueError(f"size must be at least 32 pixels, not {size}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, but is {seed}")
        if not faces:
            raise ValueError("self-blending needs at least one face; check the folder or list")
        self.faces = tuple(faces)
        self.size = size
        self.seed = seed
        self.length = length
        self._pool = PhotoPool([face.path for face in self.faces], max_side=_UNSCALED)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Makes one sample.

        Returns:
            `image` (size, size, 3) uint8 RGB; `mask` (size, size) uint8, 1 where blended; `label`, 1 for fake and 0 for
            real; and `record`, a JSON-able account of everything that was done.

        Raises:
            RuntimeError: If the face is too small or thin in its picture to be blended.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}; a larger `length` costs nothing")
        one_thread_per_worker()
        rng = np.random.default_rng([self.seed, index // 2])
        number = int(rng.integers(len(self.faces)))
        face, photo = self.faces[number], self._pool.photo(number)
        crop = _draw_crop(rng, face, photo.shape)
        flipped = bool(rng.random() < 0.5)
        top, left, height, width = crop
        kernel = "area" if height > self.size else "linear"
        image = resize(photo[top : top + height, left : left + width], self.size, self.size, kernel)
        whole = _whole_face(face, crop, self.size)
        if flipped:
            image, whole = image[:, ::-1], whole[:, ::-1]
        image, whole = np.ascontiguousarray(image), np.ascontiguousarray(whole)
        after = plan_final(rng, (0, 0))
        record = {"face": face.path.name, "seed": self.seed, "index": index, "crop": list(crop), "flipped": flipped}
        mask = np.zeros(image.shape[:2], np.uint8)
        if index % 2:
            image, mask, blending = self_blend(rng, image, whole)
            record |= {"blending": blending}
        image = apply_steps(image, after)
        return {"image": image, "mask": mask, "label": index % 2, "record": record | {"after": after}}


def self_blend(
    rng: np.random.Generator, image: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Blends a face into an altered copy of itself: source · M · r + target · (1 − M · r), M the mask, r a ratio.

    Args:
        rng: The source of every choice.
        image: (H, W, 3) uint8 RGB.
        face: (H, W) float32 in [0, 1], the face before it is deformed.

    Returns:
        The blended picture, its mask (H, W) uint8 (1 where M is above a half, whatever the ratio), and a record.

    Raises:
        RuntimeError: If the deformed face has no pixel left.
    """
    steps, altered = _plan_difference(rng), ("source", "target")[int(rng.integers(2))]
    source = apply_steps(image, steps) if altered == "source" else image
    target = apply_steps(image, steps) if altered == "target" else image
    for _ in range(_ATTEMPTS):
        deformed, mask_record = _deform(rng, face)
        placement = _plan_placement(rng, image.shape)
        moved, alpha = _place(source, deformed, placement)
        if (alpha > 0.5).any():
            break
    else:
        raise RuntimeError("the face is too small or thin to be blended; crop closer to it or give its landmarks")
    ratio = float(rng.choice(BLENDING_RATIOS))
    share = (alpha * ratio)[..., None]
    blended = np.rint(moved * share + target * (1 - share)).astype(np.uint8)
    record = {"altered": altered, "steps": steps, "placement": placement, "mask": mask_record, "ratio": ratio}
    return blended, (alpha > 0.5).astype(np.uint8), record


def _draw_crop(rng: np.random.Generator, face: Face, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A square with a margin of 4 to 20 % around the face, inside the picture; the largest if nobody knows where."""
    margin = float(rng.uniform(0.04, 0.2))
    left, top, right, bottom = _bounds(face) or (0.0, 0.0, shape[1], shape[0])
    side = max(1, min(round(max(right - left, bottom - top) * (1 + 2 * margin)), *shape[:2]))
    centre = (top + bottom) / 2, (left + right) / 2
    first = [int(np.clip(round(at - side / 2), 0, room - side)) for at, room in zip(centre, shape[:2], strict=True)]
    return first[0], first[1], side, side


def _span(points: tuple[tuple[float, float], ...]) -> float:
    return min(max(values) - min(values) for values in zip(*points, strict=True)) if points else 0.0


def _bounds(face: Face) -> tuple[float, float, float, float] | None:
    if face.landmarks is None:
        return face.box
    low, high = np.min(face.landmarks, axis=0), np.max(face.landmarks, axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _whole_face(face: Face, crop: tuple[int, int, int, int], size: int) -> np.ndarray:
    """(size, size) float32 mask: hull of the landmarks, ellipse in the box, or the ellipse where most crops have it."""
    import cv2

    top, left, height, width = crop
    scale = np.array([size / width, size / height])
    mask = np.zeros((size, size), np.float32)
    if face.landmarks is not None:
        points = (np.asarray(face.landmarks, np.float64) - [left, top]) * scale
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1.0)
        return mask
    box = face.box or (left + 0.15 * width, top + 0.08 * height, left + 0.85 * width, top + 0.96 * height)
    (x0, y0), (x1, y1) = ((np.reshape(box, (2, 2)) - [left, top]) * scale).tolist()
    rows, columns = np.mgrid[:size, :size] + 0.5
    inside = ((columns - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((rows - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 <= 1
    mask[inside] = 1.0
    return mask


def _plan_difference(rng: np.random.Generator) -> list[Step]:
    """What makes source and target differ: colour, saturation and brightness, then a loss or a gain of detail."""
    gain, offset = 1 + rng.uniform(-0.1, 0.1), rng.uniform(-10, 10) + rng.uniform(-20, 20, 3)
    chroma = 1 + float(rng.uniform(-0.3, 0.3))
    steps: list[Step] = [
        {"op": "gain", "gain": [round(float(gain), 3)] * 3, "offset": [round(float(value), 1) for value in offset]},
        {"op": "lab", "gain": [1.0, round(chroma, 3), round(chroma, 3)], "offset": [0.0, 0.0, 0.0]},
    ]
    if rng.random() < 0.5:
        factor = float(rng.choice([0.5, 0.25]))
        return [*steps, {"op": "resample", "factor": factor, "kernels": ["area", "linear"]}]
    amount, sigma = float(rng.uniform(0.4, 1.2)), float(rng.uniform(0.6, 1.5))
    return [*steps, {"op": "sharpen", "amount": round(amount, 2), "sigma": round(sigma, 2)}]


def _plan_placement(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, float]:
    """Source and mask are shifted by up to 3 % of the width and 1.5 % of the height and scaled by up to 5 %."""
    dx, dy = rng.uniform(-0.03, 0.03) * shape[1], rng.uniform(-0.015, 0.015) * shape[0]
    return {"dx": round(float(dx), 2), "dy": round(float(dy), 2), "scale": round(float(rng.uniform(0.95, 1.05)), 4)}


def _place(image: np.ndarray, mask: np.ndarray, placement: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, placement["scale"])
    matrix[:, 2] += placement["dx"], placement["dy"]
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return moved, cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=0)


def _deform(rng: np.random.Generator, face: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Bends the mask elastically and smooths it twice; what the first smoothing touches is cut off in between.

    So the mask shrinks where the first kernel is the larger one and grows where the second is. The bend of up to 4 % of
    the side, and kernels of up to an eighth of it, are ours.
    """
    import cv2

    height, width = face.shape
    coarse = rng.uniform(-0.04, 0.04, (2, 5, 5)).astype(np.float32)
    shift = [cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in coarse]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    bent = cv2.remap(face, columns + shift[0] * width, rows + shift[1] * height, cv2.INTER_LINEAR)
    kernels = [2 * int(rng.integers(1, max(2, min(height, width) // 16) + 1)) + 1 for _ in range(2)]
    smooth = cv2.GaussianBlur(bent, (kernels[0], kernels[0]), 0, borderType=cv2.BORDER_CONSTANT)
    cut = np.where(smooth < 0.999, 0, smooth).astype(np.float32)
    mask = cv2.GaussianBlur(cut, (kernels[1], kernels[1]), 0, borderType=cv2.BORDER_CONSTANT)
    return np.clip(mask, 0, 1), {"kernels": kernels, "bend": np.round(coarse, 4).tolist()}
