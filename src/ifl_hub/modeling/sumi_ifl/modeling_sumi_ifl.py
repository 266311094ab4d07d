"""SUMI-IFL: three attention U-Nets -> learnable fusion -> reasoning network -> mask (Sheng et al., AAAI 2025).

A re-implementation from the paper, which has no public code. Where the paper is silent, the blocks follow the network
whose block names and fusion formula it shares (CMFNet, arXiv 2206.02748). Equation numbers are the paper's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from ...image_processing.masks import IGNORED
from ..efficientnet_levels import EfficientNetLevels
from ..inputs import check_inputs
from ..outputs import ImageForgeryLocalizationOutput
from ..padding import pad_reflect
from ..pretrained import IflPreTrainedModel
from .configuration_sumi_ifl import SumiIflConfig
from .losses_sumi_ifl import (
    add_point_noise,
    clamp_log_variance,
    mask_cross_entropy,
    minimality_loss,
    sufficiency_loss,
)

Latent = tuple[Tensor, Tensor]
RELU_GAIN = math.sqrt(2)


@dataclass
class SumiIflOutput(ImageForgeryLocalizationOutput):
    """Output of SUMI-IFL: the common fields, and what its constraints are made of.

    Args:
        loss: Scalar, eq. 15; None without `labels`.
        loss_terms: `localization` (eq. 11), `sufficiency` (eq. 5), `minimality` (eq. 13), `auxiliary` (eq. 14) and,
            where it is switched on, `sufficiency_ce`; detached, before weighting. A term of weight 0 is not computed.
        logits: `(B, 1, H, W)`.
        image_logits: Always None, the method has no detection head.
        auxiliary_logits: `(B, 1, H, W)`, the mask decoded from the encoded noisy ground truth; None without `labels`
            or where `auxiliary_weight` is 0.
        fusion_weights: `(3,)`, the weights of eq. 6 in the order of `config.branch_order`; they sum to 1.
        branch_divergences: `(3,)`, KL[P_F || P_{F without f_i}] of each branch, detached; None without `labels` or
            where the sufficiency term is off.
    """

    auxiliary_logits: Tensor | None = None
    fusion_weights: Tensor | None = None
    branch_divergences: Tensor | None = None


class SumiIflConv2d(nn.Conv2d):
    """A same-size convolution that knows its initial gain: the weights start with deviation gain / sqrt(fan-in).

    The gain is kept on the convolution because transformers skips `_init_weights` for modules of other libraries that
    own no parameter, so a block cannot rescale its children.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
        self.gain = gain


class SumiIflStemConv2d(SumiIflConv2d):
    """The first convolution. Half of its filters start as high-pass filters: blind to flat colour, amplified.

    Forensic traces are faint beside the picture's content, and no normalisation would ever lift them (the paper does
    not state its initialisation).
    """

    HIGH_PASS_GAIN = 4.0

    def with_high_pass_half(self, colours: int) -> Tensor:
        """The weights with the first half of the filters made zero-mean over the pixels of each colour."""
        weight = self.weight.detach().clone()
        filters = weight[: len(weight) // 2].view(
            len(weight) // 2, colours, weight.shape[1] // colours, *weight.shape[2:]
        )
        filters -= filters.mean((2, 3, 4), keepdim=True)
        filters *= self.HIGH_PASS_GAIN
        return weight


class SumiIflPixelGate(nn.Module):
    """Fig. 3c: a gate for every channel of every pixel, `(B, C, H, W)`; nothing is pooled."""

    def __init__(self, config: SumiIflConfig, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // config.attention_reduction)
        self.squeeze = SumiIflConv2d(channels, squeezed, 1, gain=RELU_GAIN)
        self.expand = SumiIflConv2d(squeezed, channels, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.sigmoid(self.expand(F.relu(self.squeeze(hidden))))


class SumiIflChannelGate(SumiIflPixelGate):
    """Fig. 3a: global average pooling first, so one gate a channel, `(B, C, 1, 1)`."""

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden.mean((2, 3), keepdim=True))


class SumiIflSpatialGate(nn.Module):
    """Fig. 3b: mean and maximum over channels, so one gate a pixel, `(B, 1, H, W)`."""

    def __init__(self, config: SumiIflConfig, channels: int) -> None:
        super().__init__()
        self.convolution = SumiIflConv2d(2, 1, config.spatial_kernel_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        pooled = torch.cat([hidden.mean(1, keepdim=True), hidden.amax(1, keepdim=True)], dim=1)
        return torch.sigmoid(self.convolution(pooled))


GATES = {"channel": SumiIflChannelGate, "spatial": SumiIflSpatialGate, "pixel": SumiIflPixelGate}


class SumiIflResidualBlock(GradientCheckpointingLayer):
    """Two 3×3 convolutions with a residual connection; an attention gate, where there is one, scales their output."""

    def __init__(self, config: SumiIflConfig, channels: int, gate: nn.Module | None = None) -> None:
        super().__init__()
        self.convolution1 = SumiIflConv2d(channels, channels, 3, gain=RELU_GAIN, bias=False)
        groups = min(math.gcd(8, channels), max(1, channels // 2))  # two values each, even in a map of one pixel
        self.norm = nn.GroupNorm(groups, channels) if config.norm == "group" else nn.Identity()
        self.activation = _activation(config)
        # Without normalisation every block would double the variance: start each near the identity.
        self.convolution2 = SumiIflConv2d(channels, channels, 3, gain=0.1, bias=False)
        self.gate = gate

    def forward(self, hidden: Tensor) -> Tensor:
        update = self.convolution2(self.activation(self.norm(self.convolution1(hidden))))
        return hidden + (update if self.gate is None else update * self.gate(update))


class SumiIflTrunkReader(nn.Module):
    """A branch's own view of the trunk: its levels projected to one width, brought to the stem's grid and summed.

    `(B, C_i, H / 2^i, W / 2^i)` for i = 1, 2, … -> `(B, base_channels, H / s, W / s)`. Not in the paper.
    """

    def __init__(self, config: SumiIflConfig, channels: Sequence[int]) -> None:
        super().__init__()
        strides = [2 ** (level + 1) for level in range(len(channels))]
        # A level finer than the grid is folded into channels: nothing of it is lost.
        self.folds = [max(1, config.stem_stride // stride) for stride in strides]
        self.scales = [max(1, stride // config.stem_stride) for stride in strides]
        self.projections = nn.ModuleList(
            SumiIflConv2d(count * fold**2, config.base_channels, 1, bias=False)
            for count, fold in zip(channels, self.folds, strict=True)
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        read = []
        for level, fold, scale, project in zip(levels, self.folds, self.scales, self.projections, strict=True):
            projected = project(F.pixel_unshuffle(level, fold))
            read.append(F.interpolate(projected, scale_factor=scale, mode="bilinear", align_corners=False))
        return torch.stack(read).sum(0)


class SumiIflAttentionUNet(nn.Module):
    """One branch of Fig. 1: a U-Net whose convolutions are attention blocks of one kind.

    `(B, 3 s², h, w)` and, beside a trunk, its levels -> `(B, base_channels, h, w)`, with h and w multiples of
    `2 ** (num_levels - 1)`.
    """

    def __init__(self, config: SumiIflConfig, branch: str, trunk_channels: Sequence[int] = ()) -> None:
        super().__init__()
        widths = config.level_channels
        finest, half, deepest = widths[0], max(1, widths[0] // 2), len(widths) - 1

        def block(channels: int) -> SumiIflResidualBlock:
            return SumiIflResidualBlock(config, channels, GATES[branch](config, channels))

        def blocks(channels: int) -> nn.Sequential:
            return nn.Sequential(*(block(channels) for _ in range(config.blocks_per_level)))

        self.stem = nn.Sequential(
            SumiIflStemConv2d(config.num_channels * config.stem_stride**2, half, 3, gain=RELU_GAIN, bias=False),
            _activation(config),
            SumiIflConv2d(half, finest, 3, bias=False),
        )
        self.trunk_reader = SumiIflTrunkReader(config, trunk_channels) if trunk_channels else None
        self.encoder = nn.ModuleList(blocks(width) for width in widths)
        self.decoder = nn.ModuleList(blocks(width) for width in widths)
        self.skips = nn.ModuleList(block(width) for width in widths[:-1])
        self.down = nn.ModuleList(SumiIflConv2d(widths[i], widths[i + 1], 1, bias=False) for i in range(deepest))
        self.up = nn.ModuleList(SumiIflConv2d(widths[i + 1], widths[i], 1, bias=False) for i in range(deepest))

    def forward(self, pixels: Tensor, trunk_levels: Sequence[Tensor] = ()) -> Tensor:
        hidden, skipped = self.stem(pixels), []
        if self.trunk_reader is not None:
            hidden = hidden + self.trunk_reader(trunk_levels)
        hidden = self.encoder[0](hidden)
        for skip, down, encode in zip(self.skips, self.down, self.encoder[1:], strict=True):
            skipped.append(skip(hidden))
            # Bilinear ×0.5 of an even size is the mean of 2×2 pixels.
            hidden = encode(down(F.avg_pool2d(hidden, 2)))
        hidden = self.decoder[-1](hidden)
        for level in reversed(range(len(skipped))):
            # A 1×1 convolution commutes with bilinear upsampling and is four times cheaper before it.
            upsampled = F.interpolate(self.up[level](hidden), scale_factor=2, mode="bilinear", align_corners=False)
            hidden = self.decoder[level](upsampled + skipped[level])
        return hidden


class SumiIflFusion(nn.Module):
    """B_phi (eq. 6): F = (1 - gamma)/2 f1 + gamma f2 + (1 - gamma)/2 f3, with one learnable gamma."""

    def __init__(self, config: SumiIflConfig) -> None:
        super().__init__()
        self.config = config
        self.gamma = nn.Parameter(torch.empty(1))

    def initial_value(self) -> float:
        """The stored parameter for `config.fusion_init`: its logit under the sigmoid parametrization."""
        gamma = self.config.fusion_init
        return math.log(gamma / (1 - gamma)) if self.config.fusion_parametrization == "sigmoid" else gamma

    def weights(self, without: int | None = None) -> Tensor:
        """The three weights, float32; with `without`, those of B_phi over the other two branches (0 for the one)."""
        gamma = self.gamma.float()
        if self.config.fusion_parametrization == "sigmoid":
            gamma = torch.sigmoid(gamma)
        weights = torch.cat([(1 - gamma) / 2, gamma, (1 - gamma) / 2])
        if without is None:
            return weights
        if without == 1 and self.config.leave_one_out == "renormalize":
            return weights.new_tensor([0.5, 0, 0.5])  # whatever gamma is, also where it is 1 and both weights are 0
        kept = torch.arange(3, device=weights.device) != without
        weights = torch.where(kept, weights, 0)
        return weights / weights.sum() if self.config.leave_one_out == "renormalize" else weights

    def forward(self, features: Sequence[Tensor], without: int | None = None) -> Tensor:
        weights = self.weights(without).to(features[0].dtype)
        terms = [weights[i] * feature for i, feature in enumerate(features) if i != without]
        return sum(terms[1:], terms[0])


class SumiIflReasoning(nn.Module):
    """r: the latent forgery feature F to the parameters of p(z|f), `(B, C, h, w)` -> mean and log-variance."""

    def __init__(self, config: SumiIflConfig) -> None:
        super().__init__()
        channels = config.base_channels
        self.blocks = nn.Sequential(
            *(SumiIflResidualBlock(config, channels) for _ in range(config.num_reasoning_blocks))
        )
        self.head = SumiIflLatentHead(config, channels)

    def forward(self, feature: Tensor) -> Latent:
        return self.head(self.blocks(feature))


class SumiIflMaskEncoder(nn.Module):
    """Fig. 4: a mask of {-1 authentic, 0 ignored, 1 forged} to the parameters of q(z|m), on the grid of Z."""

    def __init__(self, config: SumiIflConfig) -> None:
        super().__init__()
        half = max(1, config.latent_channels // 2)
        self.convolutions = nn.Sequential(
            SumiIflConv2d(config.stem_stride**2, half, 3, gain=RELU_GAIN),
            _activation(config),
            SumiIflConv2d(half, half, 3, gain=RELU_GAIN),
            _activation(config),
        )
        self.head = SumiIflLatentHead(config, half)

    def forward(self, mask: Tensor) -> Latent:
        return self.head(self.convolutions(mask))


class SumiIflLatentHead(nn.Module):
    """The last convolution before a latent: mean and, for the Gaussian family, log-variance, both float32."""

    def __init__(self, config: SumiIflConfig, channels: int) -> None:
        super().__init__()
        self.has_variance = config.minimality_distribution == "gaussian"
        outputs = config.latent_channels * (2 if self.has_variance else 1)
        # Small, so that eq. 13 starts near 0 and not at the difference of two random maps.
        self.convolution = SumiIflConv2d(channels, outputs, 3, gain=0.3)

    def forward(self, hidden: Tensor) -> Latent:
        parameters = self.convolution(hidden).float()
        if self.has_variance:
            mean, log_variance = parameters.chunk(2, dim=1)
            return mean, clamp_log_variance(log_variance)
        return parameters, torch.zeros_like(parameters)


class SumiIflPredictor(nn.Module):
    """Z to one mask logit a pixel; the same instance decodes p(z|f), q(z|m) and the leave-one-out features."""

    def __init__(self, config: SumiIflConfig) -> None:
        super().__init__()
        channels = config.latent_channels
        self.convolution = SumiIflConv2d(channels, channels, 3, gain=RELU_GAIN)
        self.activation = _activation(config)
        self.classifier = SumiIflConv2d(channels, 1, 1)

    def forward(self, latent: Tensor) -> Tensor:
        return self.classifier(self.activation(self.convolution(latent.to(self.classifier.weight.dtype))))


class SumiIflPreTrainedModel(IflPreTrainedModel):
    """Weight initialisation and what transformers needs to know about the method."""

    config: SumiIflConfig
    base_model_prefix = "sumi_ifl"
    supports_gradient_checkpointing = True
    # A skip connection adds what the two ends of a U-Net computed, so one device must hold all of it.
    _no_split_modules = ("SumiIflAttentionUNet", "SumiIflResidualBlock", "EfficientNetLevel")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SumiIflConv2d):
            init.normal_(module.weight, std=module.gain / math.sqrt(module.weight[0].numel()))
            if isinstance(module, SumiIflStemConv2d):
                init.copy_(module.weight, module.with_high_pass_half(self.config.num_channels))
        elif isinstance(module, nn.Conv2d):  # of the trunk
            init.normal_(module.weight, std=math.sqrt(2 / module.weight[0].numel()))
        elif isinstance(module, nn.PReLU):
            init.constant_(module.weight, 0.25)
        elif isinstance(module, SumiIflFusion):
            init.constant_(module.gamma, module.initial_value())


class SumiIflForImageForgeryLocalization(SumiIflPreTrainedModel):
    """SUMI-IFL with its localization head and, given labels, its four-term objective (eq. 15).

    Example:
        >>> import torch
        >>> from ifl_hub import SumiIflConfig, SumiIflForImageForgeryLocalization
        >>> model = SumiIflForImageForgeryLocalization(SumiIflConfig.tiny()).eval()
        >>> output = model(torch.zeros(1, 3, 37, 51), labels=torch.zeros(1, 37, 51, dtype=torch.long))
        >>> tuple(output.logits.shape), sorted(output.loss_terms)
        ((1, 1, 37, 51), ['auxiliary', 'localization', 'minimality', 'sufficiency'])
    """

    def __init__(self, config: SumiIflConfig) -> None:
        super().__init__(config)
        self.trunk = None
        if isinstance(config.trunk_config, PreTrainedConfig):
            self.trunk = EfficientNetLevels(config.trunk_config, config.trunk_norm_momentum, config.trunk_stride)
        channels = () if self.trunk is None else self.trunk.channels
        self.branches = nn.ModuleList(SumiIflAttentionUNet(config, branch, channels) for branch in config.branch_order)
        self.fusion = SumiIflFusion(config)
        self.reasoning = SumiIflReasoning(config)
        self.predictor = SumiIflPredictor(config)
        self.mask_encoder = SumiIflMaskEncoder(config)
        if config.sufficiency_head == "auxiliary":
            self.sufficiency_classifier = SumiIflConv2d(config.base_channels, 1, 1)
        self.post_init()

    @property
    def mask_classifier(self) -> nn.Conv2d:
        """The convolution that ends in the map; its bias moves every logit alike."""
        return self.predictor.classifier

    def load_encoder_weights(self, name_or_path: str | Path) -> None:
        """Take the trunk's weights from a pre-trained EfficientNet: a Hub id or a folder.

        Raises:
            ValueError: If the model has no trunk.
            RuntimeError: If they do not fit the trunk.
        """
        if self.trunk is None:
            raise ValueError("this SUMI-IFL has no trunk to load weights into: set trunk_config")
        self.trunk.load_weights(AutoModel.from_pretrained(str(name_or_path)).state_dict())

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, image_targets: Tensor | None = None
    ) -> SumiIflOutput:
        """Localize forged pixels.

        Args:
            pixel_values: `(B, 3, H, W)` from `IflImageProcessor`, of any size.
            labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
            image_targets: Part of the zoo's common signature; SUMI-IFL has no detection head and ignores them.

        Raises:
            ValueError: If the channels or the size of the labels do not fit.
        """
        check_inputs(pixel_values, labels, self.config.num_channels)
        size = pixel_values.shape[-2:]
        padded = pad_reflect(pixel_values, self.config.size_divisor)
        folded = F.pixel_unshuffle(padded, self.config.stem_stride)
        levels = () if self.trunk is None else self.trunk(padded)
        features = [branch(folded, levels) for branch in self.branches]
        latent = self.reasoning(self.fusion(features))
        logits = self._decode(self._sample(latent), size)
        output = SumiIflOutput(logits=logits, fusion_weights=self.fusion.weights())
        if labels is None:
            return output
        localization = mask_cross_entropy(logits, labels, self.config.positive_weight)  # eq. 11
        return self._add_objective(output, localization, features, latent, labels)

    def _add_objective(
        self, output: SumiIflOutput, localization: Tensor, features: list[Tensor], latent: Latent, labels: Tensor
    ) -> SumiIflOutput:
        """Fill in the loss of eq. 15, L = L_loc + lambda1 L_SU + lambda2 L_MI + lambda3 L_aux, and its terms."""
        config = self.config
        terms = {"localization": localization}
        if config.sufficiency_weight or config.sufficiency_ce_weight:
            terms |= self._sufficiency_terms(output, features, latent, labels)
        if config.minimality_weight or config.auxiliary_weight:
            terms |= self._mask_terms(output, latent, labels)
        weights = {
            "localization": 1.0,
            "sufficiency": config.sufficiency_weight,
            "sufficiency_ce": config.sufficiency_ce_weight,
            "minimality": config.minimality_weight,
            "auxiliary": config.auxiliary_weight,
        }
        terms = {name: term for name, term in terms.items() if weights[name]}
        return replace(  # and not an assignment: a ModelOutput keeps the order in which its fields were set
            output,
            loss=torch.stack([weights[name] * term for name, term in terms.items()]).sum(),  # eq. 15
            loss_terms={name: term.detach() for name, term in terms.items()},
        )

    def _sufficiency_terms(
        self, output: SumiIflOutput, features: list[Tensor], latent: Latent, labels: Tensor
    ) -> dict[str, Tensor]:
        """L_SU (eq. 5) from P_F and each P_{F without f_i}, predicted without sampling."""
        config, size = self.config, labels.shape[-2:]
        learn_others = config.sufficiency_stop_gradient != "leave_one_out" or config.sufficiency_ce_weight > 0
        with torch.set_grad_enabled(torch.is_grad_enabled() and learn_others):
            others = [self._predict_sufficiency(self.fusion(features, without=i), size) for i in range(3)]
        if config.sufficiency_head == "auxiliary":
            full = self._predict_sufficiency(self.fusion(features), size)
        else:
            full = self._decode(latent[0], size)
        terms = {}
        if config.sufficiency_ce_weight:
            supervised = [*others, full] if config.sufficiency_head == "auxiliary" else others
            entropies = [mask_cross_entropy(logits, labels, config.positive_weight) for logits in supervised]
            terms["sufficiency_ce"] = torch.stack(entropies).mean()
        if config.sufficiency_stop_gradient == "full":
            full = full.detach()
        elif config.sufficiency_stop_gradient == "leave_one_out":
            others = [logits.detach() for logits in others]
        temperature = config.sufficiency_temperature
        terms["sufficiency"], output.branch_divergences = sufficiency_loss(
            full / temperature,
            [logits / temperature for logits in others],
            labels != IGNORED,
            config.sufficiency_reduction,
        )
        return terms

    def _mask_terms(self, output: SumiIflOutput, latent: Latent, labels: Tensor) -> dict[str, Tensor]:
        """L_MI (eq. 13) and L_aux (eq. 14) through the encoded, in training noisy, ground truth."""
        config = self.config
        noisy = add_point_noise(labels, config.mask_noise_ratio, config.mask_noise_region) if self.training else labels
        encoded = self.mask_encoder(self._fold_mask(noisy).to(self.predictor.classifier.weight.dtype))
        terms = {}
        if config.minimality_weight:
            target = encoded
            if config.minimality_stop_gradient == "mask":
                target = (encoded[0].detach(), encoded[1].detach())
            valid = (self._fold_mask(labels) != 0).any(1)
            terms["minimality"] = minimality_loss(
                latent, target, valid, config.minimality_distribution, config.minimality_reduction
            )
        if config.auxiliary_weight:
            output.auxiliary_logits = self._decode(self._sample(encoded), labels.shape[-2:])
            # The target is the clean mask: the encoder must undo the noise.
            terms["auxiliary"] = mask_cross_entropy(output.auxiliary_logits, labels, config.positive_weight)
        return terms

    def _sample(self, latent: Latent) -> Tensor:
        """Draw z ~ N(mean, variance) in training, the mean otherwise; categorical latents are read as they are."""
        mean, log_variance = latent
        if not self.training or self.config.minimality_distribution == "softmax":
            return mean
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)

    def _predict_sufficiency(self, feature: Tensor, size: torch.Size) -> Tensor:
        if self.config.sufficiency_head == "auxiliary":
            return self._unfold_logits(self.sufficiency_classifier(feature), size)
        return self._decode(self.reasoning(feature)[0], size)

    def _decode(self, latent: Tensor, size: torch.Size) -> Tensor:
        return self._unfold_logits(self.predictor(latent), size)

    def _unfold_logits(self, logits: Tensor, size: torch.Size) -> Tensor:
        """From the grid of Z to pixels, padding cropped."""
        if self.config.stem_stride > 1:
            logits = F.interpolate(logits, scale_factor=self.config.stem_stride, mode="bilinear", align_corners=False)
        # A crop by negative padding: the strides of a slice would tie an exported graph to sizes that need none.
        return F.pad(logits, (0, size[1] - logits.shape[3], 0, size[0] - logits.shape[2]))

    def _fold_mask(self, labels: Tensor) -> Tensor:
        """`(B, H, W)` labels to `(B, s², h, w)` of {-1, 0 ignored or padding, 1} on the grid of Z."""
        signed = torch.where(labels == IGNORED, 0, labels.float() * 2 - 1)[:, None]
        divisor = self.config.size_divisor
        height, width = labels.shape[-2:]
        padded = F.pad(signed, (0, -width % divisor, 0, -height % divisor))
        return F.pixel_unshuffle(padded, self.config.stem_stride)


def _activation(config: SumiIflConfig) -> nn.Module:
    return ACT2FN[config.hidden_act]


__all__ = ["SumiIflForImageForgeryLocalization", "SumiIflOutput", "SumiIflPreTrainedModel"]
