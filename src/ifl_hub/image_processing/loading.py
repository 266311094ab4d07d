"""Safe loading: whatever a person calls "a picture" becomes RGB pixels on the upright grid, or one clear error.

Forensic traces live in single pixels, so nothing here resamples, re-encodes or guesses: what is lost on the way to
8-bit RGB (depth, alpha, further frames) is written into the notes, which travel into the report.
"""

import io
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

#: Pictures above this are refused: 200-megapixel phone photos pass, and decoding stays below 1 GB of RGB.
MAX_MEGAPIXELS = 256
#: Photo formats only: Pillow's other readers are not worth their attack surface (EPS starts an interpreter).
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "GIF", "BMP", "PPM")
_MAX_DOWNLOAD_BYTES = 512 * 2**20
_DOWNLOAD_TIMEOUT_S = 30
#: What to do to a picture as stored, by its EXIF orientation; 1 is upright already.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_pillow_guard = threading.Lock()


class ImageLoadError(ValueError):
    """A picture that cannot be read; the message is one line that names the file and says what to do."""


@dataclass(frozen=True)
class LoadedImage:
    """A picture as the models see it.

    Args:
        pixels: `(H, W, 3)` uint8 RGB, upright (EXIF orientation applied), every other pixel value as stored.
        name: The path or URL it came from, or what it was ("array", "PIL image").
        notes: What a reader of the result must know, such as "animated (12 frames): first frame only".
    """

    pixels: np.ndarray
    name: str
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def load_image(source: Any) -> LoadedImage:
    """Read one picture from a path, an http(s) URL, encoded bytes, a PIL image or an array.

    Args:
        source: `str` or `Path` (a URL when it starts with http:// or https://), `bytes`, `PIL.Image.Image`, or an
            array `(H, W)`, `(H, W, 1|2|3|4)` or `(1|3|4, H, W)`: uint8, uint16, bool, or float in [0, 1] or [0, 255].

    Returns:
        The upright RGB pixels with the notes of what was lost: 16-bit and float values are rescaled to 8 bits (never
        clipped), transparency is composited on white, of several frames only the first is read.

    Raises:
        ImageLoadError: If it is missing, empty, not a picture, damaged, or larger than `MAX_MEGAPIXELS`.

    Example:
        >>> import numpy as np
        >>> load_image(np.zeros((4, 6), dtype=np.uint16)).pixels.shape
        (4, 6, 3)
    """
    if isinstance(source, LoadedImage):
        return source
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or "PIL image"
        return _from_pillow(source, str(name))
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return _from_pillow(open_picture(_download(source), source), source)
    if isinstance(source, str | Path):
        return _from_pillow(open_picture(_read_file(Path(source)), str(source)), str(source))
    if isinstance(source, bytes):
        return _from_pillow(open_picture(source, "bytes"), "bytes")
    if isinstance(source, np.ndarray) or hasattr(source, "__array__"):
        return _from_array(np.asarray(source))
    raise ImageLoadError(
        f"cannot read a picture from {type(source).__name__}; give a path, a URL, a PIL image or an array"
    )


def _read_file(path: Path) -> bytes:
    if path.is_dir():
        raise ImageLoadError(f"{path}: is a folder; name the pictures in it")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageLoadError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ImageLoadError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


def _download(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "ifl-hub"})
    try:
        with urllib.request.urlopen(request, timeout=_DOWNLOAD_TIMEOUT_S) as response:
            data = bytes(response.read(_MAX_DOWNLOAD_BYTES + 1))
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ImageLoadError(f"{url}: cannot be downloaded ({reason}); download it and give the file") from error
    if len(data) > _MAX_DOWNLOAD_BYTES:
        raise ImageLoadError(f"{url}: larger than {_MAX_DOWNLOAD_BYTES >> 20} MiB; download it and give the file")
    return data


def open_picture(data: bytes, name: str) -> Image.Image:
    """Read the header of an encoded picture and none of its pixels: size, format, mode, metadata, JPEG tables.

    Args:
        data: The file's bytes.
        name: What error messages call it.

    Raises:
        ImageLoadError: If it is empty, no picture of `FORMATS`, or larger than `MAX_MEGAPIXELS`.
    """
    if not data:
        raise ImageLoadError(f"{name}: the file is empty (0 bytes); get the original again")
    try:
        with _own_size_limit():
            image = Image.open(io.BytesIO(data), formats=_available_formats())
    except Exception as error:  # damaged headers make Pillow's readers raise nearly anything
        raise ImageLoadError(
            f"{name}: not a picture this program can read; give a JPEG, PNG, TIFF, WebP, GIF or BMP file"
        ) from error
    _check_megapixels(image, name)
    return image


def _check_megapixels(image: Image.Image, name: str) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise ImageLoadError(
            f"{name}: {image.width}x{image.height} is {megapixels:.0f} megapixels, the limit is {MAX_MEGAPIXELS}; "
            "crop the part in question"
        )


def _available_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@contextmanager
def _own_size_limit() -> Iterator[None]:
    """Pillow's guard stops at 179 megapixels, below what phones take: ours replaces it while a header is read."""
    with _pillow_guard:
        previous = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = previous


def _from_pillow(image: Image.Image, name: str) -> LoadedImage:
    _check_megapixels(image, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of metadata, not of pixels
            notes = _frame_notes(image)
            stored_orientation = _orientation(image)
            image.load()
            orientation = _orientation(image)  # Pillow turns TIFFs while decoding, and PNG may carry EXIF at its end
            if orientation in UPRIGHT:
                image = image.transpose(UPRIGHT[orientation])
            pixels, depth_notes = _to_rgb(image)
    except ImageLoadError as error:
        raise ImageLoadError(f"{name}: {error}") from error
    except Exception as error:  # a damaged body makes Pillow's decoders raise nearly anything
        raise ImageLoadError(f"{name}: damaged or truncated ({error}); get the original again") from error
    if stored_orientation in UPRIGHT or orientation in UPRIGHT:
        notes.append("EXIF orientation applied")
    return LoadedImage(pixels, name, tuple(notes + depth_notes))


def _frame_notes(image: Image.Image) -> list[str]:
    try:
        frames = getattr(image, "n_frames", 1)
    except Exception:  # a damaged later frame must not hide a sound first one
        return ["later frames are damaged: first frame only"]
    if frames <= 1:
        return []
    if image.format in ("TIFF", "MPO"):
        return [f"{frames} pictures in one file: first picture only"]
    return [f"animated ({frames} frames): first frame only"]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF means no orientation
        return 1


def _to_rgb(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """`(H, W, 3)` uint8 pixels of a decoded PIL image of any mode, and what was lost."""
    if image.mode.startswith("I") or image.mode == "F":
        grey, notes = _to_eight_bits(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2), notes
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        return _composite(np.asarray(image.convert("RGBA")))
    notes = [f"{image.mode} converted to RGB without its colour profile"] if image.mode == "CMYK" else []
    try:
        return np.array(image.convert("RGB")), notes
    except ValueError as error:
        raise ImageLoadError(f"colour mode {image.mode} is not supported; save it as RGB") from error


def _composite(rgba: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Put `(H, W, 4)` uint8 on white; opaque pixels keep their values exactly."""
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[..., :3]), []
    on_white = Image.alpha_composite(Image.new("RGBA", rgba.shape[1::-1], "white"), Image.fromarray(rgba))
    return np.array(on_white.convert("RGB")), ["transparency composited on white"]


def _to_eight_bits(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Rescale values of any depth to uint8, by what their type or range says they are; nothing is clipped."""
    if values.dtype == np.uint8:
        return values, []
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255, []
    if not np.isfinite(values).all():
        raise ImageLoadError("holds NaN or infinite values; replace them before asking")
    low, high = float(values.min()), float(values.max())
    floating = np.issubdtype(values.dtype, np.floating)
    fraction: np.ndarray
    if floating and low >= 0 and high <= 1:
        fraction, depth = values.astype(np.float32, copy=False), "float"
    elif low >= 0 and high <= 255 and values.dtype != np.uint16:
        return np.rint(values).astype(np.uint8), []
    elif low >= 0 and high <= 65535 and not floating:
        fraction, depth = values / np.float32(65535), "16-bit"
    else:
        fraction, depth = (values - low) / max(high - low, np.finfo(np.float64).tiny), f"values {low:g} to {high:g}"
    return np.rint(fraction * np.float32(255)).astype(np.uint8), [f"{depth} rescaled to 8 bits"]


def _from_array(values: np.ndarray) -> LoadedImage:
    if values.ndim == 3 and values.shape[2] not in (1, 2, 3, 4) and values.shape[0] in (1, 3, 4):
        values = np.moveaxis(values, 0, 2)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4) or values.size == 0:
        raise ImageLoadError(f"array of shape {values.shape} is not a picture; give (H, W), (H, W, 3) or (H, W, 4)")
    if values.dtype.kind not in "biuf":
        raise ImageLoadError(f"array of {values.dtype} is not a picture; give uint8, uint16, bool or float")
    if values.shape[0] * values.shape[1] > MAX_MEGAPIXELS * 1e6:
        raise ImageLoadError(f"array of shape {values.shape} exceeds {MAX_MEGAPIXELS} megapixels; crop it")
    try:
        values, notes = _to_eight_bits(values)
    except ImageLoadError as error:
        raise ImageLoadError(f"array: {error}") from error
    if values.shape[2] in (1, 2):
        values = np.concatenate([values[..., :1]] * 3 + [values[..., 1:]], axis=2)
    if values.shape[2] == 4:
        values, alpha_notes = _composite(np.ascontiguousarray(values))
        notes = notes + alpha_notes
    return LoadedImage(np.ascontiguousarray(values), "array", tuple(notes))
