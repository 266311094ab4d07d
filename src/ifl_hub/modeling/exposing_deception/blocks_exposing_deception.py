"""The networks that can be a local information block, each fit to be trained from random weights as well."""

import copy
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, EfficientNetModel, MobileNetV1Model, PreTrainedModel
from transformers import initialization as init

from .configuration_exposing_deception import ExposingDeceptionConfig


class _SoundInitialisation(PreTrainedModel):
    """For networks whose initial weights in transformers pass no signal on: they are meant to be loaded."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)


class ExposingDeceptionEfficientNet(_SoundInitialisation, EfficientNetModel):
    """EfficientNet as a block.

    A `squeeze_expansion_ratio` of 0 drops squeeze-and-excitation, as Lite models do, a `hidden_dim` of 0 the top layer.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.pooler = nn.AdaptiveAvgPool2d(1)  # the stock one refuses maps wider than the network's last layer
        if config.hidden_dim == 0:
            self.encoder.top_conv = self.encoder.top_bn = self.encoder.top_activation = nn.Identity()
        if config.squeeze_expansion_ratio == 0:
            for block in self.encoder.blocks:
                block.squeeze_excite = nn.Identity()


class ExposingDeceptionMobileNetV1(_SoundInitialisation, MobileNetV1Model):
    """MobileNetV1 as a block."""


_BLOCKS: dict[str, type[PreTrainedModel]] = {
    "efficientnet": ExposingDeceptionEfficientNet,
    "mobilenet_v1": ExposingDeceptionMobileNetV1,
}


def build_block(config: ExposingDeceptionConfig) -> PreTrainedModel:
    """One local information block f_i."""
    own = copy.deepcopy(config.backbone)
    block = _BLOCKS[own.model_type](own) if own.model_type in _BLOCKS else AutoModel.from_config(own)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = config.backbone_norm_momentum
    return block
