"""Data: photo pools, forgery synthesis."""

from .synthesis import ForgerySynthesizer

__all__ = ["ForgerySynthesizer"]
