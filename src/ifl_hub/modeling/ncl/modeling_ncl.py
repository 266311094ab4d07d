"""NCL: DeepLabV3+ trained with non-mutually-exclusive contrast on contour patches (Zhou et al., ICCV 2023).

A re-implementation from the paper, whose authors published no training code. Equation numbers are the paper's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoBackbone, AutoModel
from transformers import initialization as init

from ...image_processing.masks import IGNORED
from ..efficientnet_backbone import EfficientNetLevelsBackbone
from ..inputs import check_inputs
from ..outputs import ImageForgeryLocalizationOutput
from ..padding import pad_reflect
from ..pretrained import IflPreTrainedModel
from .configuration_ncl import NclConfig
from .objective_ncl import NclBatchNorm2d, NclLoss
from .output_stride import apply_output_stride


@dataclass
class NclOutput(ImageForgeryLocalizationOutput):
    """Output of NCL: the common fields and the side classifiers.

    Args:
        loss: Scalar, eq. 9; None without `labels`.
        loss_terms: `pivot_consistent` (eq. 8 summed over scales with their weights) and, unless `ncl_weight` is 0, the
            three sums of eq. 7: `patch_contrast`, `forged_pivot_contrast`, `authentic_pivot_contrast`; detached.
        logits: `(B, 1, H, W)`.
        image_logits: Always None, the method has no detection head.
        auxiliary_logits: Two maps, on the grid of the encoder's output and on the decoder's; None without `labels`.
    """

    auxiliary_logits: tuple[Tensor, ...] | None = None


class NclConvolution(nn.Sequential):
    """Same-size convolution without bias, normalisation, ReLU."""

    def __init__(self, config: NclConfig, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
            NclBatchNorm2d(outputs) if config.head_norm == "batch" else nn.GroupNorm(_groups(outputs), outputs),
            nn.ReLU(),
        )


class NclAtrousPyramid(nn.Module):
    """ASPP: the encoder's last map through parallel convolutions of several rates and through its mean."""

    def __init__(self, config: NclConfig, inputs: int) -> None:
        super().__init__()
        width = config.aspp_channels
        self.branches = nn.ModuleList(
            NclConvolution(config, inputs, width, kernel=1 if rate == 1 else 3, dilation=rate)
            for rate in config.atrous_rates
        )
        self.pool = NclConvolution(config, inputs, width, kernel=1)
        self.projection = NclConvolution(config, (len(config.atrous_rates) + 1) * width, width, kernel=1)
        self.dropout = nn.Dropout(config.aspp_dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        views = [branch(hidden) for branch in self.branches]
        mean = self.pool(hidden.mean((2, 3), keepdim=True))
        views.append(mean.expand(-1, -1, *hidden.shape[-2:]))
        return self.dropout(self.projection(torch.cat(views, dim=1)))


class NclDecoder(nn.Module):
    """DeepLabV3+'s decoder up to its features: encoder output upsampled to the first stage's map and merged with it."""

    def __init__(self, config: NclConfig, low_level_inputs: int) -> None:
        super().__init__()
        self.config = config
        merged, width = config.aspp_channels + config.low_level_channels, config.decoder_channels
        self.low_level = NclConvolution(config, low_level_inputs, config.low_level_channels, kernel=1)
        self.merge = nn.Sequential(
            NclConvolution(config, merged, width, kernel=3),
            nn.Dropout(config.decoder_dropout[0]),
            NclConvolution(config, width, width, kernel=3),
            nn.Dropout(config.decoder_dropout[1]),
        )

    def forward(self, encoded: Tensor, low_level: Tensor) -> Tensor:
        low_level = self.low_level(low_level)
        upsampled = _upsample(encoded, low_level.shape[-2:], self.config)
        return self.merge(torch.cat([upsampled, low_level], dim=1))


class NclPreTrainedModel(IflPreTrainedModel):
    """Weight initialisation and what transformers needs to know about the method."""

    config: NclConfig
    base_model_prefix = "ncl"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")


class NclForImageForgeryLocalization(NclPreTrainedModel):
    """NCL with its localization head and, given labels, its objective (eq. 9).

    Example:
        >>> import torch
        >>> from ifl_hub import NclConfig, NclForImageForgeryLocalization
        >>> model = NclForImageForgeryLocalization(NclConfig.tiny()).eval()
        >>> output = model(torch.zeros(1, 3, 37, 51), labels=torch.zeros(1, 37, 51, dtype=torch.long))
        >>> tuple(output.logits.shape), [tuple(logits.shape[2:]) for logits in output.auxiliary_logits]
        ((1, 1, 37, 51), [(5, 7), (10, 14)])
    """

    def __init__(self, config: NclConfig) -> None:
        super().__init__(config)
        self.backbone = AutoBackbone.from_config(config.backbone)
        apply_output_stride(self.backbone, config.output_stride, config.multi_grid)
        channels = dict(zip(self.backbone.out_features, self.backbone.channels, strict=True))
        self.low_level_stage, self.last_stage = config.low_level_stage, self.backbone.out_features[-1]
        self.pyramid = NclAtrousPyramid(config, channels[self.last_stage])
        self.decoder = NclDecoder(config, channels[self.low_level_stage])
        self.mask_classifier = nn.Conv2d(config.decoder_channels, 1, 1)
        self.encoder_classifier = nn.Conv2d(config.aspp_channels, 1, 1)
        self.decoder_classifier = nn.Conv2d(config.decoder_channels, 1, 1)
        self.objective = NclLoss(channels[config.pivot_stage], **config.loss_options)
        self.post_init()

    def load_backbone_weights(self, id_or_path: str | Path) -> None:
        """Start from a trained encoder, such as `"microsoft/resnet-101"`: a deviation, the paper trains from scratch.

        Args:
            id_or_path: A Hub id, or a folder that `save_pretrained` wrote for a model of the backbone's family; for an
                EfficientNet also a model of the zoo that has one.

        Raises:
            ValueError: If the weights are not those of this backbone.
        """
        if isinstance(self.backbone, EfficientNetLevelsBackbone):
            self.backbone.encoder.load_weights(AutoModel.from_pretrained(str(id_or_path)).state_dict())
            return
        trained, report = type(self.backbone).from_pretrained(
            id_or_path, out_features=self.backbone.out_features, output_loading_info=True
        )
        state, own = trained.state_dict(), self.backbone.state_dict()
        if report["missing_keys"] or {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in own.items()}:
            raise ValueError(
                f"{id_or_path} does not hold the weights of this {type(self.backbone).__name__}: give config."
                "backbone_config the sizes of that checkpoint's config.json, or name another checkpoint"
            )
        self.backbone.load_state_dict(state)

    load_encoder_weights = load_backbone_weights  # what a recipe's `encoder_weights` calls, whatever the method

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, image_targets: Tensor | None = None
    ) -> NclOutput:
        """Localize forged pixels.

        Args:
            pixel_values: `(B, 3, H, W)` from `IflImageProcessor`, of any size.
            labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
            image_targets: Part of the zoo's common signature; NCL has no detection head and ignores them.

        Raises:
            ValueError: If the channels or the size of the labels do not fit.
        """
        check_inputs(pixel_values, labels, self.config.backbone.num_channels)
        size, padded = pixel_values.shape[-2:], pad_reflect(pixel_values, self.config.size_divisor)
        maps = dict(zip(self.backbone.out_features, self.backbone(padded).feature_maps, strict=True))
        encoded = self.pyramid(maps[self.last_stage])
        decoded = self.decoder(encoded, maps[self.low_level_stage])
        padded_logits = _upsample(self.mask_classifier(decoded), padded.shape[-2:], self.config)
        # A crop by negative padding: the strides of a slice would tie an exported graph to sizes that need none.
        logits = F.pad(padded_logits, (0, size[1] - padded.shape[3], 0, size[0] - padded.shape[2]))
        if labels is None:
            return NclOutput(logits=logits)
        auxiliary = (self.encoder_classifier(encoded), self.decoder_classifier(decoded))
        padded_labels = F.pad(labels, (0, padded.shape[3] - size[1], 0, padded.shape[2] - size[0]), value=IGNORED)
        loss, terms = self.objective(
            maps[self.config.pivot_stage], padded_logits, padded_labels, auxiliary, self.config.auxiliary_weights
        )
        return NclOutput(loss=loss, loss_terms=terms, logits=logits, auxiliary_logits=auxiliary)


def _upsample(hidden: Tensor, size: Sequence[int], config: NclConfig) -> Tensor:
    return F.interpolate(hidden, list(size), mode="bilinear", align_corners=config.align_corners)


def _groups(channels: int) -> int:
    """Of group normalisation: two values each, even in a map of one pixel."""
    return next(groups for groups in (32, 16, 8, 4, 2, 1) if channels % (2 * groups) == 0 or groups == 1)


__all__ = ["NclForImageForgeryLocalization", "NclOutput", "NclPreTrainedModel"]
