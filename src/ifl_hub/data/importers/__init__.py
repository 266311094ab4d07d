"""Importers: other people's data sets, as they lie on disk, into the form of `schema`.

One entry of `LAYOUTS` a layout; whoever adds one adds nothing anywhere else.
"""

from .copying import ImportReport, import_dataset
from .layout import Layout, MaskFile, Masks, NamedFiles, Pictures, PolygonMask, Sample, Skipped
from .registry import LAYOUTS, find_layout

__all__ = [
    "LAYOUTS",
    "ImportReport",
    "Layout",
    "MaskFile",
    "Masks",
    "NamedFiles",
    "Pictures",
    "PolygonMask",
    "Sample",
    "Skipped",
    "find_layout",
    "import_dataset",
]
