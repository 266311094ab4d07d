"""One piece of work over all processes of `accelerate launch`, with the result of one process."""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def map_over_processes(function: Callable[[int], Result], count: int) -> list[Result]:
    """`[function(0), …, function(count - 1)]` in every process, each index computed by one of them.

    Example:
        >>> map_over_processes(lambda index: index**2, 4)
        [0, 1, 4, 9]
    """
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    own = [(index, function(index)) for index in range(state.process_index, count, state.num_processes)]
    gathered = gather_object(own) if state.num_processes > 1 else own
    return [result for _, result in sorted(gathered, key=lambda pair: pair[0])]
