"""Data: the form on disk, importers, splits, loading; photo pools, forgery synthesis and augmentation."""

from .augmentation import Augmentation, AugmentedSamples
from .datasets import load_forgery_dataset
from .photos import Cutout, PhotoPool
from .schema import DataFormatError, ForgeryRow, read_metadata, write_metadata
from .self_blended import Face, SelfBlendedFaces
from .splits import assign_splits
from .synthesis import DEFAULT_MIXTURE, ForgerySynthesizer

__all__ = [
    "DEFAULT_MIXTURE",
    "Augmentation",
    "AugmentedSamples",
    "Cutout",
    "DataFormatError",
    "Face",
    "ForgeryRow",
    "ForgerySynthesizer",
    "PhotoPool",
    "SelfBlendedFaces",
    "assign_splits",
    "load_forgery_dataset",
    "read_metadata",
    "write_metadata",
]
