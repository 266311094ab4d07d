"""Who does what where several processes were launched together (`accelerate launch`, `torchrun`), on any machines."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: A share may take long, and whoever is done first waits for the others.
_PATIENCE = timedelta(days=30)


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


def own_device() -> int | None:
    """The number of this process's GPU on its machine; None leaves it to the library, as one process can."""
    import torch

    return int(os.environ["LOCAL_RANK"]) if _world_size() > 1 and torch.cuda.is_available() else None


def wait_for_all() -> None:
    """Return once every process has come here."""
    gather([])


def gather(items: Sequence[Item]) -> list[Item]:
    """What all processes hand in, in every process: the first one's items, then the second one's, and so on.

    Example:
        >>> gather(["a", "b"])
        ['a', 'b']
    """
    if _world_size() == 1:
        return list(items)
    import torch.distributed as dist

    if not dist.is_initialized():  # as it is in a training run
        dist.init_process_group("gloo", timeout=_PATIENCE)
    parts: list[Sequence[Item]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def map_over_processes(function: Callable[[int], Result], count: int) -> list[Result]:
    """`[function(0), …, function(count - 1)]` in every process, each index computed by one of them.

    Example:
        >>> map_over_processes(lambda index: index**2, 4)
        [0, 1, 4, 9]
    """
    results = gather([(index, function(index)) for index in own_share(range(count))])
    return [result for _, result in sorted(results, key=lambda pair: pair[0])]


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))
