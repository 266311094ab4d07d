"""Configuration of SUMI-IFL: defaults are the paper's; where it is silent, the docstring says what we chose."""

import math
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import EfficientNetConfig
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig

from ..configuration import IflConfig
from ..efficientnet_levels import EFFICIENTNET_LITE0

_MINIMA = {
    1: (
        *("num_channels", "base_channels", "num_levels", "blocks_per_level", "stem_stride", "latent_channels"),
        *("attention_reduction", "spatial_kernel_size"),
    ),
    0: (
        *("channel_increment", "num_reasoning_blocks", "positive_weight"),
        *("sufficiency_weight", "sufficiency_ce_weight", "minimality_weight", "auxiliary_weight"),
    ),
}


@strict
class SumiIflConfig(IflConfig):
    """Everything that decides what a SUMI-IFL model computes.

    The paper (Sheng et al., AAAI 2025) fixes three U-Nets of five levels with three blocks at each scale, eq. 6 and
    eq. 15 with its weights. It leaves widths, normalisation, latent width, noise ratio and the family of the latent
    distributions open; those defaults are ours.

    Args:
        num_channels: Channels of the input image.
        base_channels: Width of the first U-Net level (not given in the paper).
        channel_increment: Width added by each further level (not given in the paper).
        num_levels: Resolutions of each U-Net; each level halves the size of the one above.
        blocks_per_level: Attention blocks at each level of the encoder, and again of the decoder. Every skip
            connection carries one more.
        attention_reduction: Squeeze ratio inside the channel and the pixel gate.
        spatial_kernel_size: Odd kernel of the spatial gate.
        hidden_act: Activation inside the blocks, a name in transformers' `ACT2FN`.
        norm: Normalisation inside the blocks: none, or group normalisation.
        branch_order: The three branches in the order of eq. 6; the middle one is weighted by gamma.
        stem_stride: 1 keeps every feature at full resolution as in the paper. A stride `s` folds `s`×`s` pixels into
            channels first (no pixel is lost) and upsamples the logits at the end: `s`² times less work.
        trunk_config: Configuration of a transformers EfficientNet whose first levels every branch reads beside the
            pixels. None, as in the paper, has no such trunk: it is our addition, for the sake of pre-trained weights
            (`load_encoder_weights`). A `squeeze_expansion_ratio` of 0 leaves squeeze-and-excitation out.
        trunk_stride: Pixels per cell of the trunk's last level: 2, 4, 8, 16 or 32.
        trunk_norm_momentum: Share of a new batch in the running statistics of the trunk's normalisation.
        fusion_parametrization: `"sigmoid"` keeps gamma of eq. 6 in (0, 1), a convex combination; `"raw"` learns it
            unbounded.
        fusion_init: Initial gamma; 1/3 weighs the branches equally.
        leave_one_out: Weights of the fusion without one branch: rescaled to sum to 1, or left as they are (`"zero"`).
        latent_channels: Channels of the concise feature Z.
        num_reasoning_blocks: Residual blocks of the reasoning network.
        minimality_distribution: Family of p(z|f) and q(z|m) in eq. 13: per-pixel diagonal Gaussian, Gaussian of unit
            variance, or a categorical over channels (`"softmax"`, nothing is sampled).
        minimality_reduction: Mean over pixels and channels, or channels summed (`"channel_sum"`).
        minimality_stop_gradient: `"mask"` treats q(z|m) as constant in eq. 13.
        minimality_weight: lambda_2 of eq. 15.
        sufficiency_reduction: How eq. 5 combines the three divergences; `"exp_of_sum"` follows from eq. 4.
        sufficiency_head: Which head predicts P_F: the shared reasoning network and predictor, or an own 1×1
            convolution (`"auxiliary"`, which needs `sufficiency_ce_weight` > 0).
        sufficiency_stop_gradient: `"leave_one_out"` treats P_{F without f_i} as constant, so that no branch is
            rewarded for sabotaging the others; `"none"` is the literal gradient of eq. 5; `"full"` treats P_F as
            constant.
        sufficiency_temperature: Divides the logits before the divergences.
        sufficiency_ce_weight: Weight of a cross-entropy on the predictions without one branch (0 in the paper).
        sufficiency_weight: lambda_1 of eq. 15.
        mask_noise_ratio: Share of mask pixels inverted before the mask encoder (gamma in the paper's Fig. 4).
        mask_noise_region: Where those pixels are drawn from: the whole mask or its forged part.
        auxiliary_weight: lambda_3 of eq. 15.
        positive_weight: Weight of forged pixels in the cross-entropies of eq. 11 and 14 (1 in the paper).

    Raises:
        ValueError: If a value is impossible or two values contradict each other.

    Example:
        >>> from ifl_hub import SumiIflConfig
        >>> SumiIflConfig().num_levels
        5
        >>> SumiIflConfig.preset("cmfnet").base_channels
        96
    """

    model_type = "sumi_ifl"
    # A list, because Trainer adds another one to it.
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "loss_terms",
        "auxiliary_logits",
        "fusion_weights",
        "branch_divergences",
    ]

    num_channels: int = 3
    base_channels: int = 32
    channel_increment: int = 16
    num_levels: int = 5
    blocks_per_level: int = 3
    attention_reduction: int = 4
    spatial_kernel_size: int = 7
    hidden_act: str = "prelu"
    norm: Literal["none", "group"] = "none"
    branch_order: list[str] | tuple[str, ...] = ("channel", "spatial", "pixel")
    stem_stride: int = 1
    trunk_config: dict | PreTrainedConfig | None = None
    trunk_stride: int = 16
    trunk_norm_momentum: int | float = 0.01
    fusion_parametrization: Literal["sigmoid", "raw"] = "sigmoid"
    fusion_init: int | float = 1 / 3
    leave_one_out: Literal["renormalize", "zero"] = "renormalize"
    latent_channels: int = 32
    num_reasoning_blocks: int = 2
    minimality_distribution: Literal["gaussian", "gaussian_unit", "softmax"] = "gaussian"
    minimality_reduction: Literal["mean", "channel_sum"] = "mean"
    minimality_stop_gradient: Literal["none", "mask"] = "none"
    minimality_weight: int | float = 1.0
    sufficiency_reduction: Literal["exp_of_sum", "mean_of_exp", "sum_of_exp", "pixel"] = "exp_of_sum"
    sufficiency_head: Literal["predictor", "auxiliary"] = "predictor"
    sufficiency_stop_gradient: Literal["none", "leave_one_out", "full"] = "leave_one_out"
    sufficiency_temperature: int | float = 1.0
    sufficiency_ce_weight: int | float = 0.0
    sufficiency_weight: int | float = 0.1
    mask_noise_ratio: int | float = 0.2
    mask_noise_region: Literal["all", "foreground"] = "all"
    auxiliary_weight: int | float = 0.1
    positive_weight: int | float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.trunk_config, dict):
            self.trunk_config = _trunk_config(self.trunk_config)
        self.id2label: dict[int, str] = self.id2label or {0: "authentic", 1: "forged"}
        super().__post_init__(**kwargs)
        self.label2id: dict[str, int] = self.label2id or {label: index for index, label in self.id2label.items()}
        if sorted(self.branch_order) != ["channel", "pixel", "spatial"]:
            raise ValueError(
                f"branch_order must hold 'channel', 'spatial' and 'pixel' once each, got {list(self.branch_order)}"
            )
        if self.fusion_parametrization == "sigmoid" and not 0 < self.fusion_init < 1:
            raise ValueError(
                f"fusion_init must lie in (0, 1) under the sigmoid parametrization, got {self.fusion_init}; "
                "use fusion_parametrization='raw' for other values"
            )
        if self.sufficiency_head == "auxiliary" and self.sufficiency_ce_weight <= 0:
            raise ValueError("sufficiency_head='auxiliary' has no other supervision: set sufficiency_ce_weight > 0")
        if not 0 <= self.mask_noise_ratio <= 1:
            raise ValueError(f"mask_noise_ratio must lie in [0, 1], got {self.mask_noise_ratio}")
        if self.spatial_kernel_size % 2 == 0:
            raise ValueError(f"spatial_kernel_size must be odd, got {self.spatial_kernel_size}")
        if self.hidden_act not in ACT2FN:
            raise ValueError(f"hidden_act must be one of {', '.join(sorted(ACT2FN))}; got {self.hidden_act!r}")
        if self.sufficiency_temperature <= 0:
            raise ValueError(f"sufficiency_temperature must be above 0, got {self.sufficiency_temperature}")
        if self.trunk_stride not in (2, 4, 8, 16, 32):
            raise ValueError(f"trunk_stride must be 2, 4, 8, 16 or 32, got {self.trunk_stride}")
        if not 0 < self.trunk_norm_momentum <= 1:
            raise ValueError(f"trunk_norm_momentum must lie in (0, 1], got {self.trunk_norm_momentum}")
        for minimum, names in _MINIMA.items():
            for name in names:
                if getattr(self, name) < minimum:
                    raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        if self.trunk_config is not None and self.stem_stride & (self.stem_stride - 1):
            raise ValueError(f"beside a trunk, stem_stride must be a power of 2, got {self.stem_stride}")

    @property
    def level_channels(self) -> list[int]:
        """Width of each U-Net level, finest first."""
        return [self.base_channels + level * self.channel_increment for level in range(self.num_levels)]

    @property
    def size_divisor(self) -> int:
        """The model pads its input to a multiple of this many pixels and crops the logits back."""
        unet = self.stem_stride * 2 ** (self.num_levels - 1)
        return unet if self.trunk_config is None else math.lcm(unet, self.trunk_stride)

    @classmethod
    def preset(cls, name: Literal["paper", "cmfnet"], **overrides: Any) -> "SumiIflConfig":
        """A named shape: `"paper"` (the defaults), or `"cmfnet"`, the widths of the network whose blocks SUMI-IFL uses.

        CMFNet (arXiv 2206.02748): 96, 144 and 192 channels on three levels, two blocks a level, gamma0 = sigmoid(1),
        the pixel branch in the middle slot.
        """
        presets: dict[str, dict[str, Any]] = {
            "paper": {},
            "cmfnet": {
                "base_channels": 96,
                "channel_increment": 48,
                "num_levels": 3,
                "blocks_per_level": 2,
                "fusion_init": 0.7310585786300049,
                "branch_order": ("channel", "pixel", "spatial"),
            },
        }
        if name not in presets:
            raise ValueError(f"no preset is called {name!r}; there are: {', '.join(presets)}")
        return cls(**{**presets[name], **overrides})

    @classmethod
    def small(cls, **overrides: Any) -> "SumiIflConfig":
        """The shape of the shipped weights: about 1.2 M parameters, trained on one CPU core within the hour.

        EfficientNet-Lite0 up to stride 16 as a trunk, which the paper's network does not have, a quarter of the
        resolution and group normalisation are what make that possible; the rest of the method stays.
        """
        shape = {
            "stem_stride": 4,
            "trunk_config": dict(EFFICIENTNET_LITE0),
            "trunk_stride": 16,
            "base_channels": 24,
            "channel_increment": 6,
            "num_levels": 3,
            "blocks_per_level": 1,
            "norm": "group",
            "latent_channels": 24,
            "num_reasoning_blocks": 1,
        }
        return cls(**{**shape, **overrides})

    @classmethod
    def tiny(cls, **overrides: Any) -> "SumiIflConfig":
        """For tests: some ten thousand parameters, any input from 1 px."""
        shape = {
            "base_channels": 4,
            "channel_increment": 2,
            "num_levels": 3,
            "blocks_per_level": 1,
            "latent_channels": 4,
            "num_reasoning_blocks": 1,
        }
        return cls(**{**shape, **overrides})


def _trunk_config(values: dict[str, Any]) -> EfficientNetConfig:
    model_type = values.get("model_type", "efficientnet")
    if model_type != "efficientnet":
        raise ValueError(f"trunk_config must be of an 'efficientnet', got {model_type!r}")
    return EfficientNetConfig(**{name: value for name, value in values.items() if name != "model_type"})


__all__ = ["SumiIflConfig"]
