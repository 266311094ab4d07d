"""Exponential moving average of a model's weights and buffers; short schedules gain more from it than long ones."""

from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of every floating-point entry of the state dict; other entries are copied.

    The decay is warmed up, min(decay, (1 + n) / (10 + n)), so that the first steps do not linger.

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
            if value.is_floating_point():
                self.average[name].lerp_(value.detach(), 1 - decay)
            else:
                self.average[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """For accelerate's checkpoints."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """For accelerate's checkpoints."""
        self.updates = state["updates"]
        loaded: dict[str, Tensor] = state["average"]
        for name, value in loaded.items():
            self.average[name].copy_(value)
