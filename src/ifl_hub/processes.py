"""Who does what where several processes were launched together (`accelerate launch`, `torchrun`), on any machines.

With one process nothing here needs accelerate.
"""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def process_rank() -> int:
    """This process's number; 0 where there is only one, or for the first, which writes what all have found."""
    return int(os.environ.get("RANK", 0))


def own_share(items: Sequence[Item]) -> Sequence[Item]:
    """The items that this process is to do; all processes together do each once.

    Example:
        >>> own_share(["a", "b", "c"])
        ['a', 'b', 'c']
    """
    return items[process_rank() :: _world_size()]


def wait_for_all() -> None:
    """Return once every process has come here."""
    if _world_size() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()  # by itself it sees one process on a CPU


def map_over_processes(function: Callable[[int], Result], count: int) -> list[Result]:
    """`[function(0), …, function(count - 1)]` in every process, each index computed by one of them.

    Example:
        >>> map_over_processes(lambda index: index**2, 4)
        [0, 1, 4, 9]
    """
    own = [(index, function(index)) for index in own_share(range(count))]
    if _world_size() > 1:
        from accelerate.utils import gather_object

        own = gather_object(own)
    return [result for _, result in sorted(own, key=lambda pair: pair[0])]


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))
