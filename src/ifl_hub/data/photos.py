"""The pictures a synthesizer draws from: authentic photos, and objects cut out of photos.

A training run asks for a thousand crops of the same few hundred photos, in several worker processes. So photos are
decoded once per process, on first use, kept as `uint8` arrays within a memory budget, and never sent between processes.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..image_processing.loading import load_image

_CACHE_BYTES = 1 << 30
_EXACT_MATCH = 2.0  # mean grey levels by which a cut-out may differ from the place it was cut from


@dataclass(frozen=True)
class Cutout:
    """An object with an alpha channel, and the photo it was cut from if that photo is in the pool.

    Attributes:
        path: An RGBA picture; what is transparent is not the object.
        donor: The photo of the pool that the object was cut from, at the same scale, or None.
    """

    path: Path
    donor: Path | None = None


@dataclass(frozen=True)
class CutObject:
    """A decoded cut-out: its pixels and, where it was found again, its place in its donor.

    Attributes:
        name: The file's name, for records.
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) float32 in [0, 1].
        donor: Index of the donor photo in the pool, or None.
        box: (top, left) of the object in the donor, or None where the donor does not contain it.
    """

    name: str
    image: np.ndarray
    alpha: np.ndarray
    donor: int | None
    box: tuple[int, int] | None

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take."""
        return self.image.nbytes + self.alpha.nbytes


class _KeptPhoto(NamedTuple):
    pixels: np.ndarray
    scale: float

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes


class PhotoPool:
    """Photos and cut-outs, decoded lazily and cached per process.

    Args:
        photos: Picture files, read as `load_image` does: upright 8-bit RGB.
        cutouts: RGBA pictures; a cut-out's donor must be one of `photos` or None.
        max_side: Larger photos are area-downscaled once, so that their longer side has this many pixels.

    Raises:
        ValueError: If there is no photo, a donor is not in the pool, or (on first use) a file cannot be decoded.
        FileNotFoundError: If a file does not exist.
    """

    def __init__(self, photos: Sequence[Path], cutouts: Sequence[Cutout] = (), max_side: int = 1600) -> None:
        if not photos:
            raise ValueError("a photo pool needs at least one photo; check the folder or pattern that was listed")
        if max_side < 1:
            raise ValueError(f"max_side must be at least 1 pixel, not {max_side}")
        self.photos = tuple(Path(photo) for photo in photos)
        self.cutouts = tuple(cutouts)
        self.max_side = max_side
        for path in (*self.photos, *(cutout.path for cutout in self.cutouts)):
            if not Path(path).is_file():
                raise FileNotFoundError(f"{path} does not exist; list only files that do")
        indices = {photo: index for index, photo in enumerate(self.photos)}
        self._donors = [_donor_index(cutout, indices) for cutout in self.cutouts]
        self._objects: dict[int, list[int]] = {}
        for index, donor in enumerate(self._donors):
            if donor is not None:
                self._objects.setdefault(donor, []).append(index)
        self._cache: OrderedDict[tuple[str, int], Any] = OrderedDict()

    @classmethod
    def from_files(cls, paths: Iterable[Path], folder: Path) -> "PhotoPool":
        """Sorts pictures into photos and cut-outs: a cut-out is a PNG with transparent pixels.

        Args:
            paths: Picture files.
            folder: Their folder. If it has a `metadata.jsonl`, a line with `file_name` and `donor` says from which
                photo an object was cut; a donor that is not among the paths counts as unknown.

        Raises:
            ValueError: If there is no photo or `metadata.jsonl` is not made of JSON objects.
        """
        photos: list[Path] = []
        cutouts: list[Path] = []
        for path in paths:
            (cutouts if is_cutout(path) else photos).append(path)
        donors, known = _read_donors(folder), set(photos)
        wanted = [donors.get(path) for path in cutouts]
        pairs = zip(cutouts, wanted, strict=True)
        return cls(photos, [Cutout(path, donor if donor in known else None) for path, donor in pairs])

    def __len__(self) -> int:
        return len(self.photos)

    def __repr__(self) -> str:
        return f"PhotoPool({len(self.photos)} photos, {len(self.cutouts)} cutouts, max_side={self.max_side})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict()}

    def photo(self, index: int) -> np.ndarray:
        """The photo as a read-only (H, W, 3) uint8 RGB array, its longer side at most `max_side`."""
        return self._kept(index).pixels

    def cutout(self, index: int) -> CutObject:
        """The cut-out, with its place in its donor where it was found again."""
        return self._cached(("cutout", index), lambda: self._decode_cutout(index))

    def objects_in(self, photo: int) -> list[int]:
        """Indices of the cut-outs that were taken from this photo."""
        return list(self._objects.get(photo, ()))

    @property
    def known_objects(self) -> list[int]:
        """Indices of the cut-outs whose donor is in the pool."""
        return [index for index, donor in enumerate(self._donors) if donor is not None]

    def _kept(self, index: int) -> _KeptPhoto:
        return self._cached(("photo", index), lambda: self._decode_photo(index))

    def _cached(self, key: tuple[str, int], decode: Callable[[], Any]) -> Any:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        value = self._cache[key] = decode()
        while len(self._cache) > 1 and sum(entry.nbytes for entry in self._cache.values()) > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return value

    def _decode_photo(self, index: int) -> _KeptPhoto:
        picture = Image.fromarray(load_image(self.photos[index]).pixels)
        scale = min(1.0, self.max_side / max(picture.size))
        pixels = np.array(_shrunk(picture, scale))
        pixels.flags.writeable = False
        return _KeptPhoto(pixels, scale)

    def _decode_cutout(self, index: int) -> CutObject:
        path, donor = self.cutouts[index].path, self._donors[index]
        picture = _read_cutout(path)
        scale = min(1.0, self.max_side / max(picture.size)) if donor is None else self._kept(donor).scale
        rgba = np.asarray(_shrunk(picture, scale))
        image, alpha = np.ascontiguousarray(rgba[..., :3]), rgba[..., 3].astype(np.float32) / 255
        if not (alpha > 0.5).any():
            raise ValueError(f"cut-out {path} is wholly transparent; remove it from the pool")
        box = None if donor is None else _locate(image, alpha, self.photo(donor))
        return CutObject(path.name, image, alpha, donor, box)


def is_cutout(path: Path) -> bool:
    """Whether a picture is an object cut out of a photo: a PNG with transparent pixels."""
    if path.suffix.lower() != ".png":
        return False
    with Image.open(path) as picture:
        return picture.mode in ("RGBA", "LA") and picture.getchannel("A").getextrema()[0] == 0


def _read_donors(folder: Path) -> dict[Path, Path]:
    listing = folder / "metadata.jsonl"
    if not listing.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {folder / line["file_name"]: folder / line["donor"] for line in lines if line.get("donor")}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{listing}: a line is no JSON object with file_name and donor ({error}); mend it") from error


def _donor_index(cutout: Cutout, indices: dict[Path, int]) -> int | None:
    if cutout.donor is None:
        return None
    if Path(cutout.donor) not in indices:
        raise ValueError(
            f"{cutout.donor}, donor of cut-out {cutout.path}, is not in the pool; add it or pass donor=None"
        )
    return indices[Path(cutout.donor)]


def _read_cutout(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: not a readable cut-out ({error}); remove it from the pool") from error


def _shrunk(picture: Image.Image, scale: float) -> Image.Image:
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture if scale == 1.0 else picture.resize((width, height), Image.Resampling.BOX)


def _locate(image: np.ndarray, alpha: np.ndarray, donor: np.ndarray) -> tuple[int, int] | None:
    """Where in its donor an object lies: an exhaustive search over its opaque pixels, None unless they really agree."""
    import cv2

    if image.shape[0] > donor.shape[0] or image.shape[1] > donor.shape[1]:
        return None
    opaque = (alpha > 0.5).astype(np.uint8)
    green, donor_green = np.ascontiguousarray(image[..., 1]), np.ascontiguousarray(donor[..., 1])
    error = cv2.matchTemplate(donor_green, green, cv2.TM_SQDIFF, mask=opaque)
    top, left = (int(v) for v in np.unravel_index(int(np.argmin(error)), error.shape))
    found = donor[top : top + image.shape[0], left : left + image.shape[1]].astype(np.int16)
    difference = float(np.abs(found - image)[opaque > 0].mean())
    return (top, left) if difference <= _EXACT_MATCH else None
