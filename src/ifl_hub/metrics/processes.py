"""One result from several processes: each counts its own images, and the counts are merged exactly."""

import copy
from typing import TypeVar

from .detection import DetectionAccumulator
from .localization import LocalizationAccumulator

Accumulator = TypeVar("Accumulator", LocalizationAccumulator, DetectionAccumulator)


def merged_over_processes(accumulator: Accumulator) -> Accumulator:
    """What all processes have counted together, the same on each of them; the argument is left as it is.

    Works under `accelerate launch` and `torchrun`: wherever a torch process group is up. An image that two processes
    were given (as `accelerate` does to fill up the last batch, unless `even_batches=False`) counts twice.
    """
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return accumulator
    parts: list[Accumulator | None] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, accumulator)
    total = copy.deepcopy(parts[0])
    assert total is not None
    for part in parts[1:]:
        total.merge(part)  # type: ignore[arg-type]
    return total
