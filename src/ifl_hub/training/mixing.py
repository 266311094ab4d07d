"""Several sources of samples as one: each gets its share, every sample still depends on its index alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .task import SampleSource

BLOCK = 1024  # samples in which every source has its share to the nearest sample


class MixedSamples:
    """An endless, seeded series that draws from several endless series.

    Within each block of `BLOCK` samples the sources have exactly their shares, in an order of its own; sample n of
    a source is never skipped nor shown twice, so that sources that go through their pictures in epochs still do.

    Args:
        sources: Each endless by index.
        weights: How often each is drawn; they need not sum to 1.
        seed: Seed of the order.

    Raises:
        ValueError: If there is no source, or a weight is not positive.

    Example:
        >>> class Letters:
        ...     def __init__(self, letter):
        ...         self.letter = letter
        ...     def __len__(self):
        ...         return 10**9
        ...     def __getitem__(self, index):
        ...         return {"name": f"{self.letter}{index}"}
        >>> mixed = MixedSamples([Letters("a"), Letters("b")], [3, 1])
        >>> sorted(mixed[index]["name"] for index in range(1024))[-3:]
        ['b97', 'b98', 'b99']
        >>> sum(mixed[index]["name"][0] == "a" for index in range(1024))
        768
    """

    def __init__(self, sources: Sequence[SampleSource], weights: Sequence[float], seed: int = 0) -> None:
        if not sources or len(sources) != len(weights) or not min(weights) > 0:
            raise ValueError(f"{len(sources)} sources need as many weights above 0, got {list(weights)}")
        self.sources = list(sources)
        self.seed = seed
        ends = np.cumsum(weights) / sum(weights) * BLOCK
        self.counts = np.diff(ends.round().astype(int), prepend=0)
        if not self.counts.all():
            raise ValueError(f"weights {list(weights)}: the smallest is no sample in {BLOCK}; raise it or leave it out")
        self._block: tuple[int, np.ndarray, np.ndarray] = (-1, self.counts, self.counts)

    def __len__(self) -> int:
        return min(len(source) // int(count) for source, count in zip(self.sources, self.counts, strict=True)) * BLOCK

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The sample, as its source makes it."""
        block, place = divmod(index, BLOCK)
        if self._block[0] != block:
            self._block = (block, *self._plan(block))
        _, order, rank = self._block
        source = int(order[place])
        return self.sources[source][block * int(self.counts[source]) + int(rank[place])]

    def _plan(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Which source each place of a block is for, and how many places of that source come before it."""
        order = np.random.default_rng([self.seed, block]).permutation(
            np.repeat(np.arange(len(self.counts)), self.counts)
        )
        rank = np.empty_like(order)
        for source, count in enumerate(self.counts):
            rank[order == source] = np.arange(count)
        return order, rank
