"""Exponential moving average of a model's weights and buffers; short schedules gain more from it than long ones."""

from typing import Any

import torch
from torch import Tensor, nn

from .sharding import fill, own_part, whole


class WeightAverage:
    """Average of every floating-point entry of the state dict; other entries are copied.

    The decay is warmed up, min(decay, (1 + n) / (10 + n)), so that the first steps do not linger. Where FSDP shares the
    weights out, each process averages its own parts.

    Example:
        >>> from torch import nn
        >>> model = nn.Linear(1, 1)
        >>> average = WeightAverage(model, decay=0.999)
        >>> average.update(model)
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in model.state_dict().items():
            average, present = own_part(self.average[name]), own_part(value.detach())
            if value.is_floating_point():
                average.lerp_(present, 1 - decay)
            else:
                average.copy_(present)

    def state_dict(self) -> dict[str, Any]:
        """For accelerate's checkpoints, of which the first process writes this part; all of them must ask together."""
        return {"updates": self.updates, "average": {name: whole(value) for name, value in self.average.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """For accelerate's checkpoints, of which every process reads this part."""
        self.updates = state["updates"]
        loaded: dict[str, Tensor] = state["average"]
        for name, value in loaded.items():
            fill(self.average[name], value)
