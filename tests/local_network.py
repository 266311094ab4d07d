"""A real localization network that sees only a few pixels around each output pixel: what tiling can be exact for."""

from itertools import pairwise

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from ifl_hub import ImageForgeryLocalizationOutput


class LocalNetworkConfig(PreTrainedConfig):
    """`depth` convolutions of 3x3: an output pixel depends on input pixels at most `depth` away."""

    model_type = "ifl_test_local_network"
    depth: int = 3
    width: int = 4
    has_image_head: bool = False
    uses_global_mean: bool = False


class LocalNetwork(PreTrainedModel):
    config: LocalNetworkConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config):
        super().__init__(config)
        widths = [3] + [config.width] * (config.depth - 1) + [1]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, nn.Conv2d):
            fan_in = module.in_channels * 9
            init.normal_(module.weight, std=(4 / fan_in) ** 0.5)
            init.normal_(module.bias, std=0.5)

    def forward(self, pixel_values, labels=None):
        features = pixel_values
        for layer in self.layers[:-1]:
            features = torch.tanh(layer(features))
        logits = self.layers[-1](features)
        if self.config.uses_global_mean:
            logits = logits + pixel_values.mean(dim=(1, 2, 3), keepdim=True)
        image_logits = logits.amax(dim=(2, 3)) if self.config.has_image_head else None
        return ImageForgeryLocalizationOutput(logits=logits, image_logits=image_logits)


def build(seed: int = 0, **config) -> LocalNetwork:
    torch.manual_seed(seed)
    return LocalNetwork(LocalNetworkConfig(**config)).eval()
