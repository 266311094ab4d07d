"""What a JPEG file says about its last compression, read from its header: tables, quality, subsampling."""

import functools
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}


@dataclass(frozen=True)
class JpegFacts:
    """How a JPEG file was compressed the last time.

    Args:
        tables: The quantisation tables `(8, 8)` in the order of their numbers, luma first.
        quality: The quality in 1..100 of libjpeg whose luma table is nearest.
        standard: Whether all tables are exactly those of that quality, as libjpeg scales the standard's examples.
        sampling: Of the chroma, such as "4:2:0"; "grey" for one channel, else the factors as they stand.
        progressive: Whether the file is coded in several scans.
    """

    tables: tuple[NDArray[np.int64], ...]
    quality: int
    standard: bool
    sampling: str
    progressive: bool


def read_jpeg_facts(image: Image.Image) -> JpegFacts | None:
    """The facts of an opened file, whose pixels need not be decoded; None for other formats.

    They are those of the last compression only, and the quality is a guess where the tables are not the standard's.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (16, 16)).save(file, "JPEG", quality=83, subsampling="4:2:0")
        >>> facts = read_jpeg_facts(Image.open(file))
        >>> facts.quality, facts.standard, facts.sampling
        (83, True, '4:2:0')
    """
    found = getattr(image, "quantization", None)
    if not found:
        return None
    tables = [np.asarray(found[number], np.int64) for number in sorted(found)]
    quality = int(np.abs(_standard_tables()[:, 0] - tables[0]).sum(1).argmin()) + 1
    expected = _standard_tables()[quality - 1]
    return JpegFacts(
        tables=tuple(table.reshape(8, 8) for table in tables),
        quality=quality,
        standard=len(tables) <= 2 and all(map(np.array_equal, tables, expected)),
        sampling=_sampling(getattr(image, "layer", [])),
        progressive=bool(image.info.get("progressive")),
    )


def _sampling(layers: list[tuple[int, int, int, int]]) -> str:
    factors = [(layer[1], layer[2]) for layer in layers]
    if len(factors) == 1:
        return "grey"
    if len(factors) == 3 and factors[1] == factors[2] == (1, 1) and factors[0] in _SAMPLINGS:
        return _SAMPLINGS[factors[0]]
    return " ".join(f"{horizontal}x{vertical}" for horizontal, vertical in factors)


@functools.cache
def _standard_tables() -> NDArray[np.int64]:
    """Luma and chroma tables `(100, 2, 64)` of qualities 1 to 100, as the installed encoder writes them."""
    tables = []
    for quality in range(1, 101):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as image:
            tables.append([image.quantization[number] for number in (0, 1)])  # type: ignore[attr-defined]
    return np.asarray(tables, np.int64)
