"""Data: photo pools, forgery synthesis."""

from .photos import Cutout, PhotoPool
from .synthesis import DEFAULT_MIXTURE, ForgerySynthesizer

__all__ = ["DEFAULT_MIXTURE", "Cutout", "ForgerySynthesizer", "PhotoPool"]
