"""How data sets colour their masks, and what that means. A mask that a rule does not fit is refused, not bent."""

import io
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...image_processing.masks import IGNORED, to_label_map

MaskRule = Literal["white", "black", "any", "green"]
_MAX_ARRAY_BYTES = 1 << 30
#: Columbia's four colours: the regions of two cameras, each in a bright tone beside their border and a darker one else.
_COLUMBIA = np.array([(255, 0, 0), (200, 0, 0), (0, 255, 0), (0, 200, 0)], np.int32)
_COLUMBIA_IS_GREEN = np.array([False, False, True, True])
_COLUMBIA_DISTANCE = 150  # in RGB; a JPEG edge between the four colours is nearer to one of them


def read_mask(path: Path, rule: MaskRule) -> NDArray[np.bool_]:
    """Read a mask file.

    Args:
        path: A picture, or an `.npz` with one array.
        rule: What is forged: `"white"` on black; `"black"` on white; `"any"` value above 0 (maps of several levels or
            instances); `"green"` of Columbia's red and green edge masks.

    Returns:
        `(H, W)`, True where forged.

    Raises:
        ValueError: If the file is no mask in the sense of the rule.
        OSError: If it cannot be read.
    """
    if path.suffix.lower() == ".npz":
        values = _read_array(path)
        return values > 0 if rule == "any" else _two_levels(values, path, rule)
    with Image.open(path) as picture:
        picture.load()
        if rule == "green":
            return _green(np.asarray(picture.convert("RGB")), path)
        if rule == "any":
            return _above_zero(picture, path)
        return _two_levels(picture, path, rule)


def _two_levels(mask: Image.Image | np.ndarray, path: Path, rule: MaskRule) -> NDArray[np.bool_]:
    labels = to_label_map(mask, path.name)
    if (labels == IGNORED).any():
        raise ValueError(f"{path.name}: has values 0, 1 and 255, which may mean anything; save it as 0 and 255")
    return (labels == 1) != (rule == "black")


def _above_zero(picture: Image.Image, path: Path) -> NDArray[np.bool_]:
    values = np.asarray(picture.convert("RGB") if picture.mode in ("P", "RGBA", "CMYK") else picture)
    if values.ndim == 3 and not (values == values[..., :1]).all():
        raise ValueError(f"{path.name}: is coloured; save it as black (authentic) and white (forged)")
    return (values if values.ndim == 2 else values[..., 0]) > 0


def _green(values: np.ndarray, path: Path) -> NDArray[np.bool_]:
    distances = np.linalg.norm(values[..., None, :].astype(np.int32) - _COLUMBIA, axis=-1)
    if (distances.min(axis=-1) > _COLUMBIA_DISTANCE).mean() > 0.01:
        raise ValueError(f"{path.name}: is not a mask of red and green")
    green: NDArray[np.bool_] = _COLUMBIA_IS_GREEN[distances.argmin(axis=-1)]
    return green


def _read_array(path: Path) -> np.ndarray:
    """The single array of an `.npz`, without pickles and within a bound of memory."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) != 1 or entries[0].file_size > _MAX_ARRAY_BYTES:
            raise ValueError(f"{path.name}: holds {len(entries)} arrays; one of at most 1 GiB is a mask")
        values = np.load(io.BytesIO(archive.read(entries[0])), allow_pickle=False)
    values = np.squeeze(values)
    if values.ndim != 2:
        raise ValueError(f"{path.name}: an array of shape {values.shape} is no mask; give (H, W)")
    return values
