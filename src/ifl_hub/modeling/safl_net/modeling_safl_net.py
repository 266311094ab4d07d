"""SAFL-Net: EfficientNet levels -> feature pyramid -> mask and image label; two plug-ins only in training.

A re-implementation from the paper (Sun et al., ICCV 2023), which has no public code. Equation numbers are the paper's.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoBackbone, AutoModel
from transformers import initialization as init
from transformers.configuration_utils import PreTrainedConfig

from ...image_processing.masks import IGNORED
from ..efficientnet_levels import EfficientNetLevels
from ..inputs import check_inputs
from ..moved_copies import moved_copies
from ..outputs import ImageForgeryLocalizationOutput
from ..padding import pad_reflect
from ..pretrained import IflPreTrainedModel
from ..self_similarity import self_similarity
from .configuration_safl_net import SaflNetConfig
from .losses_safl_net import (
    boundary_loss,
    classification_loss,
    consistency_loss,
    contrast_loss,
    forged_share,
    localization_loss,
)

if TYPE_CHECKING:
    from .semantic_safl_net import SaflNetForSemanticAlignment, SaflNetSemanticBenchmark

DECODER_STRIDE = 4
PLUG_IN_STRIDES = (4, 8, 16, 32)
#: Sides along which each view of a picture is flipped: none, both (half a turn), one.
VIEWS: tuple[tuple[int, ...], ...] = ((), (-2, -1), (-1,), (-2,))


@dataclass
class SaflNetOutput(ImageForgeryLocalizationOutput):
    """Output of SAFL-Net: the common fields and the boundary map.

    Args:
        loss: Scalar, eq. 9; None without `labels`.
        loss_terms: `localization`, `classification` and, where they are on, `boundary` (eq. 8), `consistency` (eq. 2)
            and `contrast` (eq. 4); detached, before weighting.
        logits: `(B, 1, H, W)`.
        image_logits: `(B, 1)`.
        boundary_logits: `(B, 1, H, W)`, where the outline of a forged region runs; None without `labels`, because the
            boundary guidance module takes part in training only.
    """

    boundary_logits: Tensor | None = None


class SaflNetResiduals(nn.Module):
    """High-pass residuals as a level of their own, `(B, 3, H, W)` -> `(B, C, H/4, W/4)`.

    Noise and compression traces are faint beside the picture's content; three fixed filters a colour remove the
    content first. Not in the paper.
    """

    FILTERS = (
        ((0.0, 0.0, 0.0), (1.0, -2.0, 1.0), (0.0, 0.0, 0.0)),
        ((0.0, 1.0, 0.0), (0.0, -2.0, 0.0), (0.0, 1.0, 0.0)),
        ((-0.5, 1.0, -0.5), (1.0, -2.0, 1.0), (-0.5, 1.0, -0.5)),
    )
    GAIN = 10.0  # a step of 12 grey levels becomes 1 before the clip

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filters", torch.tensor(self.FILTERS)[:, None].repeat(3, 1, 1, 1))
        half = max(2, channels // 2)
        self.layers = nn.Sequential(
            SaflNetConvolution(9, half, 3),
            SaflNetConvolution(half, half, 3, stride=2),
            SaflNetConvolution(half, channels, 3, stride=2),
            SaflNetConvolution(channels, channels, 3),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        filters = self.get_buffer("filters").to(pixels.dtype)
        residuals = F.conv2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), filters, groups=3)
        return self.layers((residuals * self.GAIN).clamp(-3, 3))


class SaflNetCopies(nn.Module):
    """What the picture shows twice, `(B, 2, H/4, W/4)` -> `(B, C, H/4, W/4)`, to be added to the decoder's features.

    A copied region has the statistics of its surroundings, so no other level can see it. Not in the paper.

    Args:
        evidence: `(B, 3, H, W)` to how alike each place is to another, and how much speaks for such a copy.
        usual: What of the latter authentic pictures seldom reach.
        channels: Width of the first layer.
        width: Of the decoder.
    """

    def __init__(self, evidence: Callable[[Tensor], Tensor], usual: float, channels: int, width: int) -> None:
        super().__init__()
        self.evidence, self.usual = evidence, usual
        self.layers = nn.Sequential(SaflNetConvolution(2, channels, 3), SaflNetConvolution(channels, width, 3))
        self.gain = nn.Parameter(torch.full((width,), 0.1))  # a decoder that was trained without it stays what it was

    def search(self, pixels: Tensor) -> Tensor:
        """The evidence in `(B, 3, H, W)`, on the decoder's grid."""
        evidence = self.evidence(pixels) / pixels.new_tensor([1.0, self.usual]).float().view(1, 2, 1, 1)
        return F.avg_pool2d(evidence, DECODER_STRIDE).to(pixels.dtype)

    def forward(self, evidence: Tensor) -> Tensor:
        return self.gain.view(1, -1, 1, 1) * self.layers(evidence)


class SaflNetConvolution(nn.Sequential):
    """Convolution, batch normalisation, ReLU; the size stays, or is divided by the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class SaflNetDecoder(nn.Module):
    """Feature pyramid: levels to one width, summed from deep to fine, brought to stride 4, and read together."""

    def __init__(self, config: SaflNetConfig, channels: Sequence[int]) -> None:
        super().__init__()
        width = config.decoder_channels
        # A level finer than the decoder's grid is folded into channels: nothing of it is lost.
        self.folds = tuple(max(1, DECODER_STRIDE // stride) for stride in config.level_strides)
        self.lateral = nn.ModuleList(
            nn.Conv2d(count * fold**2, width, 1) for count, fold in zip(channels, self.folds, strict=True)
        )
        self.smooth = nn.ModuleList(SaflNetConvolution(width, width, 3) for _ in channels)
        self.residuals = SaflNetResiduals(config.residual_channels) if config.residual_channels else None
        self.copies: SaflNetCopies | None = None
        self.moved_copies: SaflNetCopies | None = None
        if config.copy_channels:
            self.copies = SaflNetCopies(self_similarity, 10.0, config.copy_channels, width)
            self.moved_copies = SaflNetCopies(moved_copies, 20.0, config.copy_channels, width)
        self.mix = SaflNetConvolution(width * len(channels) + config.residual_channels, width, 1)
        self.refine = SaflNetConvolution(width, width, 3)
        self.classifier = nn.Conv2d(width, 1, 1)

    @property
    def searches(self) -> list[SaflNetCopies]:
        """What looks for copies; empty if nothing does."""
        return [search for search in (self.copies, self.moved_copies) if search is not None]

    def find_copies(self, pixels: Tensor) -> list[Tensor]:
        """What each search finds in `(B, 3, H, W)`: `(B, 2, H/4, W/4)`."""
        return [search.search(pixels) for search in self.searches]

    def forward(self, features: Sequence[Tensor], pixels: Tensor, evidence: Sequence[Tensor]) -> Tensor:
        folded = [F.pixel_unshuffle(f, fold) if fold > 1 else f for f, fold in zip(features, self.folds, strict=True)]
        levels = [lateral(feature) for lateral, feature in zip(self.lateral, folded, strict=True)]
        for fine in reversed(range(len(levels) - 1)):
            levels[fine] = levels[fine] + _resize(levels[fine + 1], levels[fine])
        grid = F.avg_pool2d(pixels[:, :1], DECODER_STRIDE)
        gathered = [_resize(smooth(level), grid) for smooth, level in zip(self.smooth, levels, strict=True)]
        if self.residuals is not None:
            gathered.append(self.residuals(pixels))
        mixed = self.mix(torch.cat(gathered, 1))
        for search, found in zip(self.searches, evidence, strict=True):
            mixed = mixed + search(found)
        return self.classifier(self.refine(mixed))


class SaflNetDifferenceConvolution(nn.Module):
    """The constrained convolution of eq. 6: in every slice of the kernel the centre is 1 and all weights sum to 0.

    A constant map becomes 0, so only differences pass. The constraint is a function of a free parameter, applied in
    every forward pass: an additive projection, exact, without a division that could be by 0.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel**2 - 1))

    def constrained_weight(self) -> Tensor:
        """`(C_out, C_in, k, k)` float32."""
        free = self.weight.float()
        around = free - free.mean(-1, keepdim=True) - 1 / free.shape[-1]  # sums to -1
        half = free.shape[-1] // 2
        slices = torch.cat([around[..., :half], torch.ones_like(around[..., :1]), around[..., half:]], -1)
        return slices.unflatten(-1, (self.kernel, self.kernel))

    def forward(self, hidden: Tensor) -> Tensor:
        margin = self.dilation * (self.kernel // 2)
        # Zeros beyond the border would make every border a difference.
        padded = F.pad(hidden, (margin,) * 4, mode="replicate")
        # In bfloat16 the slices would sum to some hundredths.
        with torch.autocast(hidden.device.type, enabled=False):
            return F.conv2d(padded.float(), self.constrained_weight(), dilation=self.dilation).to(hidden.dtype)


class SaflNetBoundaryGuidance(nn.Module):
    """The boundary guidance module: a difference block on each of four levels, fused into one outline (section 3.3)."""

    def __init__(self, config: SaflNetConfig, channels: Sequence[int]) -> None:
        super().__init__()
        width, kernel = config.boundary_channels, config.boundary_kernel_size
        self.difference, self.convolutions = nn.ModuleList(), nn.ModuleList()
        for count, dilation in zip(channels, config.boundary_dilations, strict=True):
            if config.boundary_block == "difference":
                self.difference.append(SaflNetDifferenceConvolution(count, width, kernel, dilation))
            else:
                margin = dilation * (kernel // 2)
                self.difference.append(nn.Conv2d(count, width, kernel, padding=margin, dilation=dilation, bias=False))
            self.convolutions.append(
                nn.Sequential(
                    nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
            )
        self.mix = SaflNetConvolution(4 * width, width, 1)
        self.classifier = nn.Conv2d(width, 1, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        outlines = [
            convolution(difference(feature))
            for difference, convolution, feature in zip(self.difference, self.convolutions, features, strict=True)
        ]
        return self.classifier(self.mix(torch.cat([_resize(outline, outlines[0]) for outline in outlines], 1)))


class SaflNetProjection(nn.Sequential):
    """Proj of the paper's Fig. 3: pooled features to a short vector, `(B, C, h, w)` -> `(B, d)`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs)
        )


class SaflNetPreTrainedModel(IflPreTrainedModel):
    """Weight initialisation and what transformers needs to know about the method."""

    config: SaflNetConfig
    base_model_prefix = "safl_net"
    supports_gradient_checkpointing = True
    _no_split_modules = ("EfficientNetLevel", "SaflNetDecoder", "SaflNetBoundaryGuidance")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # transformers' own for EfficientNet, gammas of N(0, 0.02), leaves a random encoder without a signal.
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            init.normal_(module.weight, std=math.sqrt(2 / fan_in) if module.out_channels > 1 else 0.01)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=math.sqrt(1 / module.in_features) if module.out_features > 1 else 0.01)
        elif isinstance(module, SaflNetDifferenceConvolution):
            init.normal_(module.weight, std=math.sqrt(1 / module.weight[0].numel()))
        elif isinstance(module, SaflNetCopies):
            init.constant_(module.gain, 0.1)
        elif isinstance(module, SaflNetResiduals):
            init.copy_(module.filters, torch.tensor(module.FILTERS)[:, None].repeat(3, 1, 1, 1))


class SaflNetForImageForgeryLocalization(SaflNetPreTrainedModel):
    """SAFL-Net with its segmentation and classification heads and, given labels, its objective (eq. 9).

    The boundary guidance module takes part only where labels are given; without it predictions are the same bits.

    Example:
        >>> from ifl_hub import SaflNetConfig
        >>> model = SaflNetForImageForgeryLocalization(SaflNetConfig.tiny()).eval()
        >>> output = model(torch.zeros(1, 3, 37, 51), labels=torch.zeros(1, 37, 51, dtype=torch.long))
        >>> tuple(output.logits.shape), tuple(output.image_logits.shape), sorted(output.loss_terms)
        ((1, 1, 37, 51), (1, 1), ['boundary', 'classification', 'localization'])
    """

    def __init__(self, config: SaflNetConfig) -> None:
        super().__init__(config)
        self.encoder = _build_encoder(config)
        channels = dict(zip(self.encoder.strides, self.encoder.channels, strict=True))
        if missing := {*config.level_strides, *PLUG_IN_STRIDES} - set(channels):
            raise ValueError(
                f"encoder_config gives levels at strides {list(channels)}, but {sorted(missing)} are needed as well"
            )
        self.decoder = SaflNetDecoder(config, [channels[stride] for stride in config.level_strides])
        self.dropout = nn.Dropout(config.classifier_dropout)
        if config.image_head == "pooled":
            self.classifier = nn.Linear(channels[32], 1)
        if config.boundary_weight:
            self.boundary_guidance = SaflNetBoundaryGuidance(config, [channels[stride] for stride in PLUG_IN_STRIDES])
        if config.semantic_weight and config.semantic_projection == "separate":
            self.semantic_projection = SaflNetProjection(channels[32], config.semantic_channels)
        self.semantic_benchmark: SaflNetSemanticBenchmark | None = None
        self.post_init()

    @property
    def mask_classifier(self) -> nn.Conv2d:
        """The convolution that ends in the map; its bias moves every logit alike."""
        return self.decoder.classifier

    def attach_semantic_benchmark(self, alignment: "SaflNetForSemanticAlignment") -> None:
        """Give training what semantic suppression pushes away from: the first branch of the alignment stage.

        It is frozen, and neither saved nor counted with the model.
        """
        self.semantic_benchmark = alignment.benchmark()

    def load_encoder_weights(self, name_or_path: str | Path) -> None:
        """Take the encoder's weights from a pre-trained transformers model: a Hub id or a folder.

        Raises:
            RuntimeError: If they do not fit the encoder.
        """
        pretrained = AutoModel.from_pretrained(str(name_or_path))
        if isinstance(self.encoder, EfficientNetLevels):
            self.encoder.load_weights(pretrained.state_dict())
        else:
            self.encoder.backbone.load_state_dict(pretrained.state_dict(), strict=False)

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, image_targets: Tensor | None = None
    ) -> SaflNetOutput:
        """Localize forged pixels and say whether there are any.

        Args:
            pixel_values: `(B, 3, H, W)` from `IflImageProcessor`, of any size.
            labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
            image_targets: `(B,)` {0, 1}; by default 1 where the labels have a forged pixel.

        Raises:
            ValueError: If the channels or the size of the labels do not fit.
        """
        check_inputs(pixel_values, labels)
        size = pixel_values.shape[-2:]
        padded = pad_reflect(pixel_values, self.config.size_divisor)
        features, grid = self._decode(padded)
        logits = _to_pixels(grid, size)
        image_logits = self._classify(features[32], logits)
        output = SaflNetOutput(logits=logits, image_logits=image_logits)
        if labels is None:
            return output
        targets = ((labels == 1).flatten(1).any(1) if image_targets is None else image_targets).bool()
        terms = self._head_terms(logits, image_logits, labels, targets)
        outline = None
        if self.config.boundary_weight:
            outline = self.boundary_guidance([features[stride] for stride in PLUG_IN_STRIDES])
            outline = _to_pixels(outline, size)
            terms["boundary"] = self._boundary_term(outline, labels, targets)
        if self.config.semantic_weight and (self.training or self.semantic_benchmark is not None):
            terms |= self._semantic_terms(features[32], padded, labels, targets)
        return self._add_objective(output, terms, outline)

    def _decode(self, padded: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """The levels that heads and plug-ins read, and logits on the decoder's grid; of several views, their means."""
        sides = VIEWS[: 1 if self.training else self.config.views]
        pixels, *evidence = (_to_views(maps, sides) for maps in (padded, *self.decoder.find_copies(padded)))
        features = dict(zip(self.encoder.strides, self.encoder(pixels), strict=True))
        logits = self.decoder([features[stride] for stride in self.config.level_strides], pixels, evidence)
        read = {stride: _mean_of_views(features[stride], sides) for stride in PLUG_IN_STRIDES}
        return read, _mean_of_views(logits, sides)

    def _classify(self, deepest: Tensor, logits: Tensor) -> Tensor:
        """Image logits from the deepest level, or (Cls#0 of the paper) from the mean of the pixel scores."""
        if self.config.image_head == "mean_mask":
            return torch.logit(torch.sigmoid(logits.float()).mean((2, 3)), eps=1e-6)
        return self.classifier(self.dropout(deepest.mean((2, 3))))

    def _add_objective(self, output: SaflNetOutput, terms: dict[str, Tensor], outline: Tensor | None) -> SaflNetOutput:
        """Fill in the loss of eq. 9, L = L_seg + lambda1 L_cls + lambda2 L_SSM + lambda3 L_BGM, and its terms."""
        config = self.config
        weights = {
            "localization": 1.0,
            "classification": config.classification_weight,
            "boundary": config.boundary_weight,
            "consistency": config.semantic_weight * (1 - config.semantic_balance),  # eq. 5
            "contrast": config.semantic_weight * config.semantic_balance,
        }
        return replace(  # and not an assignment: a ModelOutput keeps the order in which its fields were set
            output,
            loss=torch.stack([weights[name] * term for name, term in terms.items()]).sum(),  # eq. 9
            loss_terms={name: term.detach() for name, term in terms.items()},
            boundary_logits=outline,
        )

    def _head_terms(self, logits: Tensor, image_logits: Tensor, labels: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """L_seg and L_cls; authentic images train the classifier only, unless the configuration says otherwise."""
        config = self.config
        counted = torch.ones_like(targets) if config.localized_images == "all" else targets
        return {
            "localization": localization_loss(logits, labels, counted, config.positive_weight, config.dice_weight),
            "classification": classification_loss(image_logits, targets),
        }

    def _boundary_term(self, outline: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """L_BGM (eq. 8) of the tampered images."""
        config = self.config
        options = (config.boundary_target, config.boundary_pixel_weight, config.boundary_gamma)
        return boundary_loss(outline, labels, targets, config.boundary_window, *options)

    def _semantic_terms(self, deepest: Tensor, padded: Tensor, labels: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """L_cons (eq. 2) and L_cont (eq. 4) of the tampered images."""
        config, benchmark = self.config, self.semantic_benchmark
        if benchmark is None:
            raise ValueError(
                "semantic suppression needs its benchmark: call attach_semantic_benchmark with a trained "
                "SaflNetForSemanticAlignment, or set semantic_weight=0"
            )
        size = (deepest.shape[-2], deepest.shape[-1])
        meaning, projected = benchmark(padded[targets], size)
        trained = deepest[targets]
        if config.semantic_projection == "separate":
            own = self.semantic_projection(trained)
        else:
            own = benchmark.project(trained)
        height, width = padded.shape[-2] - labels.shape[-2], padded.shape[-1] - labels.shape[-1]
        aligned = F.pad(labels[targets], (0, width, 0, height), value=IGNORED)
        return {
            "consistency": consistency_loss(projected, own, config.consistency_similarity),
            "contrast": contrast_loss(
                trained,
                meaning,
                forged_share(aligned, size),
                config.contrast_temperature,
                config.contrast_anchors if self.training else "all",
                config.ambiguous_patches,
            ),
        }


class SaflNetBackboneEncoder(nn.Module):
    """Any backbone that `AutoBackbone` knows, with all its stages."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        config.out_indices = list(range(1, len(config.stage_names)))
        self.backbone = AutoBackbone.from_config(config)
        self.channels = tuple(self.backbone.channels)
        self.strides = tuple(4 * 2**level for level in range(len(self.channels)))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return list(self.backbone(pixels).feature_maps)


def _build_encoder(config: SaflNetConfig) -> EfficientNetLevels | SaflNetBackboneEncoder:
    encoder: Any = config.encoder_config
    if encoder.model_type == "efficientnet":
        return EfficientNetLevels(encoder, config.encoder_norm_momentum)
    return SaflNetBackboneEncoder(encoder)


def deepest_channels(config: SaflNetConfig) -> int:
    """Channels of F_tr, the encoder's level at stride 32."""
    with torch.device("meta"):
        return _build_encoder(config).channels[-1]


def _resize(hidden: Tensor, like: Tensor) -> Tensor:
    if hidden.shape[-2:] == like.shape[-2:]:
        return hidden
    return F.interpolate(hidden, like.shape[-2:], mode="bilinear", align_corners=False)


def _to_views(maps: Tensor, sides: Sequence[tuple[int, ...]]) -> Tensor:
    """`(B, C, h, w)` to `(V * B, C, h, w)`, each view flipped along its sides."""
    return torch.cat([maps.flip(along) for along in sides]) if len(sides) > 1 else maps


def _mean_of_views(maps: Tensor, sides: Sequence[tuple[int, ...]]) -> Tensor:
    """`(V * B, C, h, w)`, flipped back, to `(B, C, h, w)`."""
    if len(sides) == 1:
        return maps
    return torch.stack([view.flip(along) for view, along in zip(maps.chunk(len(sides)), sides, strict=True)]).mean(0)


def _to_pixels(logits: Tensor, size: torch.Size) -> Tensor:
    """From the decoder's grid to pixels, padding cropped."""
    logits = F.interpolate(logits, scale_factor=DECODER_STRIDE, mode="bilinear", align_corners=False)
    # A crop by negative padding: the strides of a slice would tie an exported graph to sizes that need none.
    return F.pad(logits, (0, size[1] - logits.shape[3], 0, size[0] - logits.shape[2]))


__all__ = ["SaflNetForImageForgeryLocalization", "SaflNetOutput", "SaflNetPreTrainedModel"]
