"""A finer grid from a transformers backbone: strides become dilations, and no weight or name changes.

ResNet's configuration has no field for it, so the convolutions' own attributes are edited: a checkpoint of the plain
network fits the edited one key by key, and every way of building a model (also on the meta device) does the same.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.func import functional_call
from transformers import PreTrainedModel

PROBE_SIZE = 256


def apply_output_stride(backbone: PreTrainedModel, output_stride: int, multi_grid: Sequence[int] | None = None) -> None:
    """Give the backbone's last map one cell for every `output_stride` pixels, in place.

    Args:
        backbone: A `ResNetBackbone` as it was built. Any other backbone is only checked.
        output_stride: Pixels per cell: a power of 2, at least 4.
        multi_grid: Factors for the blocks of the last stage. With them every block has the dilation of its stage, as
            in DeepLabV3. With None a convolution that loses its stride keeps the dilation it had, so that the map is
            the plain network's, computed at more places: each `32 / output_stride`-th cell is equal to it.

    Raises:
        ValueError: If a backbone other than ResNet has another stride.
    """
    if backbone.config.model_type != "resnet":
        stride = measure_stride(backbone)
        if stride != output_stride:
            raise ValueError(
                f"{type(backbone).__name__} has output stride {stride} and only a ResNet can be dilated: "
                f"set output_stride={stride} if it is 8, 16 or 32, or use a ResNet for {output_stride}"
            )
        return
    stride, dilation = 4, 1  # after the stem
    stages = list(backbone.encoder.stages)
    for stage in stages:
        previous, removes_stride = dilation, False
        if any(convolution.stride[0] == 2 for convolution in _convolutions(stage)):
            removes_stride = stride * 2 > output_stride
            stride, dilation = (stride, dilation * 2) if removes_stride else (stride * 2, dilation)
        factors = multi_grid if multi_grid is not None and stage is stages[-1] else [1] * len(stage.layers)
        for block, factor in zip(stage.layers, factors, strict=True):
            for convolution in _convolutions(block):
                keeps_rate = convolution.stride[0] == 2 and multi_grid is None
                rate = factor * (previous if keeps_rate else dilation)
                convolution.dilation, convolution.padding = (
                    (rate, rate),
                    (rate * (convolution.kernel_size[0] // 2),) * 2,
                )
                if removes_stride:
                    convolution.stride = (1, 1)


def _convolutions(module: nn.Module) -> Iterator[nn.Conv2d]:
    return (child for child in module.modules() if isinstance(child, nn.Conv2d))


@torch.no_grad()
def measure_stride(backbone: PreTrainedModel) -> int:
    """Pixels per cell of the last map, found by sending a picture through that has no content and costs nothing."""
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    weightless = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    picture = torch.empty(1, backbone.config.num_channels, PROBE_SIZE, PROBE_SIZE, device="meta")
    last = functional_call(backbone, weightless, (picture,)).feature_maps[-1]
    return PROBE_SIZE // last.shape[-1]
