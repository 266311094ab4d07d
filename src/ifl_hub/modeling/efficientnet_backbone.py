"""An EfficientNet for `AutoBackbone`, which knows none: levels as stages, "stem" the one at stride 2."""

import math
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, EfficientNetConfig
from transformers import initialization as init
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from .efficientnet_levels import EfficientNetLevels
from .pretrained import IflPreTrainedModel


@strict
class EfficientNetLevelsConfig(BackboneConfigMixin, EfficientNetConfig):
    """A transformers EfficientNet's configuration, and where the network ends.

    Args:
        last_stride: Of the last stage: a power of 2, at least 4.
        norm_momentum: Share of a new batch in the running statistics of the normalisation.

    Example:
        >>> EfficientNetLevelsConfig(last_stride=16).stage_names
        ['stem', 'stage1', 'stage2', 'stage3']
    """

    model_type = "efficientnet_levels"

    last_stride: int = 32
    norm_momentum: int | float = 0.01

    def __post_init__(self, **kwargs: Any) -> None:
        stages = int(math.log2(self.last_stride)) - 1
        self.stage_names = ["stem", *(f"stage{stage}" for stage in range(1, stages + 1))]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


class EfficientNetLevelsBackbone(BackboneMixin, IflPreTrainedModel):
    """`EfficientNetLevels` behind transformers' interface for backbones.

    Example:
        >>> import torch
        >>> config = EfficientNetLevelsConfig(width_coefficient=0.5, depth_coefficient=0.2, last_stride=8)
        >>> backbone = EfficientNetLevelsBackbone(config)
        >>> [tuple(feature.shape) for feature in backbone(torch.zeros(1, 3, 16, 24)).feature_maps]
        [(1, 24, 2, 3)]
    """

    config_class = EfficientNetLevelsConfig
    base_model_prefix = "backbone"

    def __init__(self, config: EfficientNetLevelsConfig) -> None:
        super().__init__(config)
        self.encoder = EfficientNetLevels(config, config.norm_momentum, config.last_stride)
        self.num_features = list(self.encoder.channels)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # transformers' own for EfficientNet, gammas of N(0, 0.02), leaves a random encoder without a signal.
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.normal_(module.weight, std=math.sqrt(2 / module.weight[0].numel()))

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BackboneOutput:
        """`(B, 3, H, W)`, sides multiples of the last stride, to one map for each of `out_features`."""
        stages = dict(zip(self.stage_names, self.encoder(pixel_values), strict=True))
        return BackboneOutput(feature_maps=tuple(stages[stage] for stage in self.out_features))


AutoConfig.register(EfficientNetLevelsConfig.model_type, EfficientNetLevelsConfig, exist_ok=True)
AutoBackbone.register(EfficientNetLevelsConfig, EfficientNetLevelsBackbone, exist_ok=True)
