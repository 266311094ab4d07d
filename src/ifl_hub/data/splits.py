"""Splits that leak nothing: whole groups, each to the split that a hash of its name says.

A hash and not a shuffle: the answer for a group depends on nothing but its name and the seed, so pictures that come
later never move those that are there.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from .schema import SPLITS, DataFormatError, ForgeryRow, Split

DEFAULT_SHARES: Mapping[Split, float] = MappingProxyType({"train": 0.8, "validation": 0.1, "test": 0.1})


def split_of_group(group: str, shares: Mapping[Split, float] = DEFAULT_SHARES, seed: int = 0) -> Split:
    """The split of a group.

    Args:
        group: Its name.
        shares: Relative size of each split; they need not sum to 1.
        seed: Another seed, another split.

    Raises:
        DataFormatError: If a share is negative, none is positive, or one belongs to an unknown split.

    Example:
        >>> split_of_group("pla0005"), split_of_group("pla0005", {"test": 1})
        ('train', 'test')
    """
    _check_shares(shares)
    digest = hashlib.sha256(f"{seed}|{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * sum(shares.values())
    wanted: list[Split] = [split for split in SPLITS if shares.get(split, 0) > 0]
    for split in wanted[:-1]:
        place -= shares[split]
        if place < 0:
            return split
    return wanted[-1]


def assign_splits(
    rows: Sequence[ForgeryRow], shares: Mapping[Split, float] = DEFAULT_SHARES, seed: int = 0
) -> list[ForgeryRow]:
    """The rows with their splits set, in the same order; rows of one group always share one.

    The shares hold for groups on average, so with few groups, or groups of very different size, counts of pictures
    differ from them.

    Raises:
        DataFormatError: As `split_of_group`.
    """
    _check_shares(shares)
    return [replace(row, split=split_of_group(row.group, shares, seed)) for row in rows]


def _check_shares(shares: Mapping[Split, float]) -> None:
    if unknown := sorted(set(shares) - set(SPLITS)):
        raise DataFormatError(f"unknown split {unknown[0]!r}; there are: {', '.join(SPLITS)}")
    values = list(shares.values())
    if not all(math.isfinite(value) and value >= 0 for value in values) or not sum(values) > 0:
        raise DataFormatError(f"shares of splits must be at least 0 and one must be positive, not {dict(shares)}")
