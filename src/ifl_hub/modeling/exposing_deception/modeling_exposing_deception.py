"""Exposing the Deception: n networks that look at one face for different clues, and one feature fused from all.

Written from the paper (Ba et al., AAAI 2024) and from facts about its published code, of which nothing is copied.
Equation numbers are the paper's.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from ..inputs import check_inputs
from ..pretrained import IflPreTrainedModel
from .configuration_exposing_deception import ExposingDeceptionConfig
from .losses_exposing_deception import (
    global_information_loss,
    label_cross_entropy,
    local_information_loss,
    weighted_sum,
)

LOSS_TERMS = ("cross_entropy", "local_information", "global_information")


@dataclass
class ExposingDeceptionOutput(ModelOutput):
    """Output of Exposing the Deception; `loss` and `logits` follow transformers' image classification.

    Args:
        loss: Scalar, eq. 13; None without `labels`.
        loss_terms: `cross_entropy` (all that are on, summed) and, where they are on, `local_information` (eq. 8) and
            `global_information` (eq. 12); detached, before weighting.
        logits: `(B, num_labels)` of P_G, the prediction.
        joint_logits: `(B, num_labels)` of P_Z; None where neither information loss is on.
        leave_one_out_logits: `(B, n, num_labels)` of P_{Z without z_i}; None without `use_lil`.
        local_features: `(B, n, d)`, the z_i.
        global_features: `(B, d)`, G.
    """

    loss: Tensor | None = None
    loss_terms: dict[str, Tensor] | None = None
    logits: Tensor = None  # type: ignore[assignment]  # always there; a ModelOutput's fields need defaults
    joint_logits: Tensor | None = None
    leave_one_out_logits: Tensor | None = None
    local_features: Tensor = None  # type: ignore[assignment]
    global_features: Tensor = None  # type: ignore[assignment]


def _build_block(config: ExposingDeceptionConfig) -> PreTrainedModel:
    from .blocks_exposing_deception import build_block  # imports networks that most models do not have

    return build_block(config)


class ExposingDeceptionFusion(nn.Sequential):
    """The fusion layer f_g, `(B, n d)` -> `(B, d)`: linear layers with normalisation, ReLU and dropout in between."""

    def __init__(self, config: ExposingDeceptionConfig, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for width in config.fusion_hidden_sizes:
            layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.fusion_dropout)]
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, outputs))


class ExposingDeceptionLossWeighting(nn.Module):
    """A learned variance for every term of eq. 13; as a logarithm above the floor it has a gradient everywhere."""

    def __init__(self, terms: int, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.log_variances = nn.Parameter(torch.empty(terms))

    def forward(self, losses: Sequence[Tensor]) -> Tensor:
        return weighted_sum(losses, self.floor + self.log_variances.float().exp())


class ExposingDeceptionPreTrainedModel(IflPreTrainedModel):
    """Weight initialisation and what transformers needs to know about the method."""

    config: ExposingDeceptionConfig
    base_model_prefix = "exposing_deception"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear):  # PyTorch's own, as in the published code
            bound = 1 / math.sqrt(module.in_features)
            init.uniform_(module.weight, -bound, bound)
            init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, ExposingDeceptionLossWeighting):
            init.constant_(module.log_variances, math.log(1 - module.floor))  # variances of 1


class ExposingDeceptionForImageClassification(ExposingDeceptionPreTrainedModel):
    """Tells real faces from fake ones; with labels it also computes its objective (eq. 13).

    Example:
        >>> from ifl_hub import ExposingDeceptionConfig
        >>> model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny()).eval()
        >>> output = model(torch.zeros(2, 3, 64, 64), labels=torch.tensor([0, 1]))
        >>> tuple(output.logits.shape), tuple(output.leave_one_out_logits.shape), sorted(output.loss_terms)
        ((2, 2), (2, 3, 2), ['cross_entropy', 'global_information', 'local_information'])
    """

    def __init__(self, config: ExposingDeceptionConfig) -> None:
        super().__init__(config)
        count, labels = config.num_local_blocks, config.num_labels
        self.local_blocks = nn.ModuleList(_build_block(config) for _ in range(count))
        width = _feature_width(config)
        self.standardize = nn.BatchNorm1d(count * width, affine=False) if config.standardize_features else nn.Identity()
        self.fusion = ExposingDeceptionFusion(config, count * width, width)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(width, labels)
        if config.use_lil or config.use_gil:
            self.joint_classifier = nn.Linear(count * width, labels)
        if config.use_lil:
            self.leave_one_out_classifiers = nn.ModuleList(nn.Linear((count - 1) * width, labels) for _ in range(count))
        if config.loss_weighting == "auto":
            self.loss_weighting = ExposingDeceptionLossWeighting(len(config.loss_names), config.loss_variance_floor)
        _first_layers(self.local_blocks[0], config.frozen_layers)  # says where there are not so many
        self.post_init()
        self.train(self.training)

    def train(self, mode: bool = True) -> "ExposingDeceptionForImageClassification":
        """Switch between training and evaluation, but for the frozen layers, which stay in evaluation."""
        super().train(mode)
        for block in self.local_blocks:
            for layer in _first_layers(block, self.config.frozen_layers):
                layer.eval().requires_grad_(False)
        return self

    def load_encoder_weights(self, id_or_path: str | Path | Sequence[str | Path]) -> None:
        """Start the blocks from trained weights, such as `"microsoft/resnet-34"`.

        Args:
            id_or_path: A Hub id or a folder of a model of the blocks' family, for all blocks; or n of them, one each.
                Equal blocks are fine: their heads are random, and so they part. A block may be the first layers of an
                EfficientNet, whose top layer then keeps its random weights.

        Raises:
            ValueError: If there are neither one nor n, or the weights do not fit the blocks.
        """
        sources = [id_or_path] * len(self.local_blocks) if isinstance(id_or_path, str | Path) else list(id_or_path)
        if len(sources) != len(self.local_blocks):
            raise ValueError(
                f"{len(sources)} weights for {len(self.local_blocks)} blocks; give one for all or one each"
            )
        states = {source: _trained_state(source) for source in dict.fromkeys(sources)}
        for source, block in zip(sources, self.local_blocks, strict=True):
            _load_block(block, states[source], str(source))

    def local_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """The last feature map of every block, n of `(B, d, h, w)`, whose means are the local features."""
        return [block(pixel_values=pixel_values).last_hidden_state for block in self.local_blocks]

    def classify_maps(self, maps: Sequence[Tensor]) -> ExposingDeceptionOutput:
        """From the blocks' maps to every prediction; no field that needs labels is filled in."""
        joint = self.standardize(torch.cat([features.mean((2, 3)) for features in maps], dim=1))
        local_features = joint.unflatten(1, (len(maps), -1))
        global_features = self.fusion(joint)
        joint_logits = leave_one_out_logits = None
        if self.config.use_lil or self.config.use_gil:
            joint_logits = self.joint_classifier(joint)
        if self.config.use_lil:
            leave_one_out_logits = self._leave_one_out(local_features)
        return ExposingDeceptionOutput(
            logits=self.classifier(self.dropout(global_features)),
            joint_logits=joint_logits,
            leave_one_out_logits=leave_one_out_logits,
            local_features=local_features,
            global_features=global_features,
        )

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> ExposingDeceptionOutput:
        """Classify faces.

        Args:
            pixel_values: `(B, 3, H, W)`, each one face, from the checkpoint's processor.
            labels: `(B,)` integers {0 real, 1 fake}, or `(B, num_labels)` probabilities after mixup.

        Raises:
            ValueError: If a shape does not fit.
        """
        check_inputs(pixel_values, None, self.config.backbone.num_channels)
        output = self.classify_maps(self.local_maps(pixel_values))
        if self.config.mirrored_view and not self.training:
            mirrored = self.classify_maps(self.local_maps(pixel_values.flip(-1)))
            output = replace(output, logits=(output.logits + mirrored.logits) / 2)
        if labels is None:
            return output
        _check_labels(labels, output.logits)
        terms = self._terms(output, labels)
        return replace(  # and not an assignment: a ModelOutput keeps the order in which its fields were set
            output,
            loss=self._objective(terms),
            loss_terms={name: term.detach() for name, term in terms.items()},
        )

    def _leave_one_out(self, local_features: Tensor) -> Tensor:
        """`(B, n, num_labels)`: head i sees all local features but the i-th."""
        count = len(self.local_blocks)
        others = [[j for j in range(count) if j != i] for i in range(count)]
        predictions = [
            head(local_features[:, kept].flatten(1))
            for head, kept in zip(self.leave_one_out_classifiers, others, strict=True)
        ]
        return torch.stack(predictions, dim=1)

    def _terms(self, output: ExposingDeceptionOutput, labels: Tensor) -> dict[str, Tensor]:
        """L_CE, L_LIL (eq. 8) and L_GIL (eq. 12), those that are on."""
        config = self.config
        terms = {"cross_entropy": self._cross_entropies(output, labels)}
        if output.joint_logits is None:
            return terms
        joint = output.joint_logits.detach() if config.detach_joint else output.joint_logits
        if output.leave_one_out_logits is not None:
            terms["local_information"] = local_information_loss(joint, output.leave_one_out_logits, **config.kl_options)
        if config.use_gil:
            terms["global_information"] = global_information_loss(
                joint, self._aggregated_logits(output), **config.kl_options
            )
        return terms

    def _cross_entropies(self, output: ExposingDeceptionOutput, labels: Tensor) -> Tensor:
        """Of P_G and, for the heads that the information losses compare, of P_Z and of each leave-one-out head."""
        predictions = [output.logits]
        if self.config.auxiliary_ce:
            predictions += [] if output.joint_logits is None else [output.joint_logits]
            predictions += [] if output.leave_one_out_logits is None else output.leave_one_out_logits.unbind(1)
        return torch.stack([label_cross_entropy(logits, labels) for logits in predictions]).sum()

    def _aggregated_logits(self, output: ExposingDeceptionOutput) -> Tensor:
        """The logits of P_G through which L_GIL trains: all of the model, or the aggregation only."""
        if not self.config.gil_stop_gradient_to_local:
            return output.logits
        return self.classifier(self.dropout(self.fusion(output.local_features.flatten(1).detach())))

    def _objective(self, terms: dict[str, Tensor]) -> Tensor:
        """Eq. 13, with learned or with fixed weights."""
        if self.config.loss_weighting == "auto":
            return self.loss_weighting(list(terms.values()))
        weights = dict(zip(LOSS_TERMS, self.config.loss_weights, strict=True))
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def _feature_width(config: ExposingDeceptionConfig) -> int:
    """d, the channels of a block's last map."""
    side = getattr(config.backbone, "image_size", None) or 224
    with torch.device("meta"):
        block = _build_block(config).eval()
        features = block(pixel_values=torch.empty(1, config.backbone.num_channels, side, side)).last_hidden_state
    if features.ndim != 4:
        raise ValueError(
            f"backbone_config: {config.backbone.model_type!r} gives {features.ndim - 1}-dimensional features, and a "
            "local information block needs maps (B, d, h, w); use a convolutional network such as 'resnet-34'"
        )
    return features.shape[1]


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    soft = labels.is_floating_point()
    if labels.shape != (logits.shape if soft else logits.shape[:1]):
        batch, num_labels = logits.shape
        raise ValueError(
            f"labels must be ({batch},) integers or ({batch}, {num_labels}) probabilities, got {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )


def _trained_state(id_or_path: str | Path) -> dict[str, Tensor]:
    return AutoModel.from_pretrained(str(id_or_path)).state_dict()


def _layers(block: nn.Module) -> list[nn.Module]:
    """The stem of a block, and the layers of the only list that the networks of transformers keep them in."""
    body = next(module for module in block.modules() if isinstance(module, nn.ModuleList))
    return [next(block.children()), *body]


def _first_layers(block: nn.Module, count: int) -> list[nn.Module]:
    layers = _layers(block) if count else []
    if count > len(layers):
        raise ValueError(f"frozen_layers={count}, but a {type(block).__name__} of these sizes has {len(layers)} layers")
    return layers[:count]


def _is_cut_off(name: str, block: nn.Module) -> bool:
    """Whether a weight belongs to a layer of EfficientNet that comes after the block's last."""
    if name.startswith("encoder.top_"):
        return isinstance(block.get_submodule("encoder.top_conv"), nn.Identity)
    layer = re.match(r"encoder\.blocks\.(\d+)\.", name)
    return layer is not None and int(layer[1]) >= len(_layers(block)) - 1


def _load_block(block: nn.Module, state: dict[str, Tensor], source: str) -> None:
    own = block.state_dict()
    kept = {name: value for name, value in state.items() if not _is_cut_off(name, block)}
    gates = [name for name in kept if ".squeeze_excite." in name and name not in own]
    if any(kept[name].any() for name in gates if name.endswith("expand.weight")):
        raise ValueError(f"{source} uses squeeze-and-excitation: set the backbone's squeeze_expansion_ratio")
    fitting = {name: value for name, value in kept.items() if name not in gates}
    if len(kept) < len(state):
        fitting |= {name: value for name, value in own.items() if name.startswith("encoder.top_")}
    if {name: value.shape for name, value in fitting.items()} != {name: value.shape for name, value in own.items()}:
        raise ValueError(
            f"{source} does not hold the weights of a {type(block).__name__} of these sizes: give "
            "config.backbone_config the values of that checkpoint's config.json, or name another checkpoint"
        )
    block.load_state_dict(fitting)


__all__ = [
    "ExposingDeceptionForImageClassification",
    "ExposingDeceptionOutput",
    "ExposingDeceptionPreTrainedModel",
]
