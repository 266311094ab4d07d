"""Weights that FSDP shares out: every process holds a part of each tensor. Without FSDP, a part is the whole."""

import os
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

_INSTEAD = "launch with training_scripts/accelerate/fsdp.yaml"


def own_part(value: Tensor) -> Tensor:
    """What this process holds of a tensor; writing to it writes to the tensor."""
    return value.to_local() if isinstance(value, DTensor) else value


def whole(value: Tensor) -> Tensor:
    """All of a tensor, in every process; all of them must ask together."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def fill(value: Tensor, content: Tensor) -> None:
    """Write all of a tensor; every process must, together and with the same content."""
    if isinstance(value, DTensor):
        content = distribute_tensor(content.to(value.device), value.device_mesh, value.placements)
    value.copy_(content)


def refuse_deepspeed() -> None:
    """Say what to use instead of DeepSpeed, whose engine steps the optimizer and casts the weights by itself.

    Raises:
        ValueError: If this run was launched with DeepSpeed.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        raise ValueError(f"a run under DeepSpeed could not be continued exactly; {_INSTEAD}, which shares out the same")


def is_sharded(accelerator: "Accelerator") -> bool:
    """Whether FSDP shares the weights out.

    Raises:
        ValueError: If it is FSDP's first version, which hides the single tensors.
    """
    from accelerate.utils import DistributedType

    if accelerator.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise ValueError(f"FSDP has to be of version 2 here; {_INSTEAD}")
    return accelerator.is_fsdp2


def prepare_sharded(accelerator: "Accelerator", model: Any, optimizer: Any) -> tuple[Any, Any]:
    """What `accelerator.prepare` returns for a model whose losses may leave parameters out.

    Raises:
        ValueError: If this PyTorch cannot do that.
    """
    # accelerate asks for the embeddings of tokens, and transformers raises where there are none.
    model.get_input_embeddings = model.get_output_embeddings = lambda: None
    model, optimizer = accelerator.prepare(model, optimizer)
    if not hasattr(model, "set_reduce_scatter_unused_params"):
        raise ValueError("FSDP needs PyTorch 2.13 or newer, where losses may leave parameters out; use ddp.yaml")
    model.set_reduce_scatter_unused_params(True)  # as DDP's find_unused_parameters
    return model, optimizer
