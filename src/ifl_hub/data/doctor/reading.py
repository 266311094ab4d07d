"""Opens every file once and keeps what the checks need: a few hundred bytes of facts, never the pixels."""

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image

from ...image_processing.loading import ImageLoadError, load_image, open_picture
from ...image_processing.masks import IGNORED, to_label_map
from ..schema import Label
from .findings import Finding, finding
from .inventory import Inventory, Item

THUMBNAIL = 32  # pixels each way
_BLOCKS = ("exif", "icc_profile", "xmp", "photoshop", "comment")
_LOADERS_NAME = "PIL image: "  # what load_image calls a picture without a file

#: How a mask tells forged from authentic: 0 and 255, as it should be; 0 and one other value; a palette whose colours
#: only paint class indices; colours; grey values between; or in no way that has one reading.
MaskCoding = Literal["white", "levels", "painted", "coloured", "grey", "unclear"]


@dataclass(frozen=True)
class ImageFacts:
    """What the checks know about a picture.

    Attributes:
        size: (height, width) upright, in pixels.
        orientation: EXIF orientation, 1 where there is none.
        format: Pillow's name of the format.
        mode: Pillow's mode, such as "RGB".
        tables: Fingerprint of the JPEG quantisation tables; "none" for other formats.
        sampling: Chroma subsampling, such as "4:2:0"; "none" for other formats.
        blocks: Which kinds of metadata there are, such as ("exif", "icc_profile").
        sha256: Of the file.
        thumbnail: (32, 32) uint8, grey, each pixel the mean of its part of the picture.
    """

    size: tuple[int, int]
    orientation: int
    format: str
    mode: str
    tables: str
    sampling: str
    blocks: tuple[str, ...]
    sha256: str
    thumbnail: np.ndarray

    @property
    def stored_size(self) -> tuple[int, int]:
        """(height, width) before the EXIF orientation is applied; orientations from 5 on swap them."""
        height, width = self.size
        return (width, height) if self.orientation >= 5 else (height, width)


@dataclass(frozen=True)
class MaskFacts:
    """What the checks know about a mask.

    Attributes:
        size: (height, width) as stored, in pixels.
        orientation: EXIF orientation, 1 where there is none.
        format: Pillow's name of the format.
        coding: How it tells forged from authentic.
        coverage: Share of the pixels that are forged, in [0, 1]; None where the coding is no mask.
        frame: Likewise, of the outermost row or column on each side.
    """

    size: tuple[int, int]
    orientation: int
    format: str
    coding: MaskCoding
    coverage: float | None = None
    frame: float | None = None


@dataclass(frozen=True)
class Case:
    """A picture of the inventory with what its files showed.

    Attributes:
        item: What the data set says about it.
        image: None where it cannot be read.
        mask: None where there is none or it cannot be read.
    """

    item: Item
    image: ImageFacts | None
    mask: MaskFacts | None

    @property
    def label(self) -> Label | None:
        """As stated, else as the mask says, else None."""
        if self.item.label is not None or self.mask is None or self.mask.coverage is None:
            return self.item.label
        return "forged" if self.mask.coverage > 0 else "authentic"


def read_cases(inventory: Inventory, progress: bool = False) -> tuple[list[Case], list[Finding]]:
    """Reads and decodes every file of an inventory once.

    Args:
        inventory: What there is to read.
        progress: Whether to show a bar, where there is a terminal.

    Returns:
        A case for each item, in the same order; and findings about files that cannot be read.
    """
    from tqdm import tqdm

    names = {
        "image": inventory.images,
        "mask": [name for name in inventory.masks if (inventory.folder / name).is_file()],
    }
    facts: dict[str, dict[str, Any]] = {"image": {}, "mask": {}}
    findings: list[Finding] = []
    with tqdm(
        total=sum(map(len, names.values())), desc="reading", unit="file", disable=None if progress else True
    ) as bar:
        for kind, read in (("image", read_image), ("mask", read_mask)):
            reasons = {}
            for name in names[kind]:
                try:
                    facts[kind][name] = read((inventory.folder / name).read_bytes())
                except (ImageLoadError, OSError, MemoryError) as error:
                    reasons[name] = _reason(error)
                bar.update()
            findings += _unreadable(kind, reasons)
    cases = [Case(item, facts["image"].get(item.image), facts["mask"].get(item.mask or "")) for item in inventory.items]
    return cases, findings


def _unreadable(kind: str, reasons: dict[str, str]) -> list[Finding]:
    return finding(
        f"unreadable-{kind}",
        list(reasons),
        f"{{files}} that cannot be read, the first: {next(iter(reasons.values()), '')}",
        {"reasons": reasons},
    )


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "does not fit into memory; crop it"
    return str(error).replace(_LOADERS_NAME, "").removeprefix(": ")


def read_image(data: bytes) -> ImageFacts:
    """The facts of an encoded picture.

    Raises:
        ImageLoadError: If it is no picture, damaged, or too large.
    """
    picture = open_picture(data, "")
    orientation = _orientation(picture)
    loaded = load_image(picture)
    grey = Image.fromarray(loaded.pixels).convert("L")
    return ImageFacts(
        size=loaded.size,
        orientation=max(orientation, _orientation(picture)),  # TIFF loses it in decoding, PNG may carry it at its end
        format=str(picture.format),
        mode=picture.mode,
        tables=_tables(picture),
        sampling=_sampling(picture),
        blocks=tuple(name for name in _BLOCKS if picture.info.get(name)),
        sha256=hashlib.sha256(data).hexdigest(),
        thumbnail=np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)),
    )


def _orientation(picture: Image.Image) -> int:
    try:
        value = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF means no orientation
        return 1
    return value if 1 <= value <= 8 else 1


def _tables(picture: Image.Image) -> str:
    tables = getattr(picture, "quantization", None)
    if not tables:
        return "none"
    content = repr([list(tables[number]) for number in sorted(tables)])
    return f"{zlib.crc32(content.encode()):08x}"


def _sampling(picture: Image.Image) -> str:
    layers = getattr(picture, "layer", None)
    if not layers:
        return "none"
    return " ".join(f"{layer[1]}x{layer[2]}" for layer in layers)


def read_mask(data: bytes) -> MaskFacts:
    """The facts of an encoded mask.

    Raises:
        ImageLoadError: If it is no picture, damaged, or too large.
    """
    picture = open_picture(data, "")
    size, orientation = (picture.height, picture.width), _orientation(picture)
    try:
        picture.load()
    except Exception as error:  # a damaged body makes Pillow's decoders raise nearly anything
        raise ImageLoadError(f"damaged or truncated ({error}); get the original again") from error
    values, coding = read_coding(picture)
    if coding in ("coloured", "unclear"):
        return MaskFacts(size, orientation, str(picture.format), coding)
    forged = values > 0 if coding == "levels" else to_label_map(picture) == 1
    border = np.concatenate([forged[0], forged[-1], forged[:, 0], forged[:, -1]])
    return MaskFacts(size, orientation, str(picture.format), coding, float(forged.mean()), float(border.mean()))


def read_coding(picture: Image.Image) -> tuple[np.ndarray, MaskCoding]:
    """How a decoded mask tells forged from authentic.

    Returns:
        `(H, W)` values of its one channel (of the first of several), and the coding.
    """
    if picture.mode == "P" and "transparency" not in picture.info:
        colours = np.asarray(picture.convert("RGB"))
        if not _is_grey(colours):
            return np.asarray(picture), "painted" if _is_black_and_white(picture) else "coloured"
        return colours[..., 0], _grey_coding(picture, colours[..., 0])
    values = np.asarray(picture.convert("RGBA") if picture.mode == "P" else picture)
    if values.ndim == 2:
        return values, _grey_coding(picture, values)
    has_alpha = values.shape[2] in (2, 4) and picture.mode != "CMYK"
    colours = values[..., :-1] if has_alpha else values
    if not _is_grey(colours):
        return values[..., 0], "coloured"
    if has_alpha and (values[..., -1] != values[0, 0, -1]).any():
        return values[..., 0], "unclear"
    return values[..., 0], _grey_coding(picture, values[..., 0])


def _is_grey(colours: np.ndarray) -> bool:
    return bool((colours == colours[..., :1]).all())


def _grey_coding(picture: Image.Image, values: np.ndarray) -> MaskCoding:
    if values.dtype == np.bool_:
        return "white"
    if values.dtype == np.uint8:
        occurring = set(np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist())
    else:
        occurring = set(np.unique(values).tolist())
    if occurring <= {0, 255}:
        return "white"
    if len(occurring - {0}) == 1 and min(occurring) >= 0:
        return "levels"
    try:
        to_label_map(picture)
    except ValueError:
        return "unclear"
    return "grey"


def _is_black_and_white(picture: Image.Image) -> bool:
    """Whether a mask has one reading, in which nothing is ignored."""
    try:
        return bool((to_label_map(picture) != IGNORED).all())
    except ValueError:
        return False
