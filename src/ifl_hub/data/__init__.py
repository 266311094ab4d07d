"""Data: the form on disk, importers, splits, loading; photo pools and forgery synthesis."""

from .datasets import load_forgery_dataset
from .photos import Cutout, PhotoPool
from .schema import DataFormatError, ForgeryRow, read_metadata, write_metadata
from .splits import assign_splits
from .synthesis import DEFAULT_MIXTURE, ForgerySynthesizer

__all__ = [
    "DEFAULT_MIXTURE",
    "Cutout",
    "DataFormatError",
    "ForgeryRow",
    "ForgerySynthesizer",
    "PhotoPool",
    "assign_splits",
    "load_forgery_dataset",
    "read_metadata",
    "write_metadata",
]
