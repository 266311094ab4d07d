"""DiffForensics: SegFormer levels -> U-Net decoder that knows a timestep -> noise, or mask, image label and edges.

A re-implementation from the paper (Yu et al., CVPR 2024), which has no public code. Equation numbers are the paper's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput

from ...image_processing.masks import IGNORED
from ..inputs import check_inputs
from ..outputs import ImageForgeryLocalizationOutput
from ..padding import pad_reflect
from ..pretrained import IflPreTrainedModel
from .configuration_diff_forensics import DiffForensicsConfig
from .losses_diff_forensics import denoising_loss, detection_loss, dice_loss, edge_loss, weighted_cross_entropy

DECODER_STRIDES = (4, 8, 16)  # of d_1, d_2, d_3
_LONGEST_WAVE = 10_000


@dataclass
class DiffForensicsModelOutput(ModelOutput):
    """Output of encoder and decoder.

    Args:
        decoder_features: d_1, d_2 and d_3, finest first: `(B, C_k, H'/s, W'/s)` at strides s of 4, 8 and 16, where H'
            and W' are the image's sides, padded to multiples of `config.size_divisor`.
    """

    decoder_features: tuple[Tensor, ...] | None = None


@dataclass
class DiffForensicsPreTrainingOutput(ModelOutput):
    """Output of the denoising stage.

    Args:
        loss: Scalar, eq. 1; None without `labels`.
        loss_terms: `denoising`, detached.
        predicted_noise: `(B, 3, H, W)`.
    """

    loss: Tensor | None = None
    loss_terms: dict[str, Tensor] | None = None
    predicted_noise: Tensor | None = None


@dataclass
class DiffForensicsOutput(ImageForgeryLocalizationOutput):
    """Output of DiffForensics: the common fields and the edge maps.

    Args:
        loss: Scalar, eq. 9; None without `labels`.
        loss_terms: `segmentation` (eq. 4), `edge` (eq. 7) unless all its weights are 0, and `detection` (eq. 8);
            detached, before weighting.
        logits: `(B, 1, H, W)`.
        image_logits: `(B, 1)`.
        edge_probabilities: `(B, K, H, W)` in [0, 1], f_k^e of eq. 3 where its weight is above 0, finest first; None
            where there is none.
    """

    edge_probabilities: Tensor | None = None


def sinusoidal_embedding(timesteps: Tensor, length: int) -> Tensor:
    """DDPM's embedding of timesteps: sines, then cosines, of geometrically spaced frequencies.

    Args:
        timesteps: `(B,)`.
        length: Even, at least 4.

    Returns:
        `(B, length)` float32 in [-1, 1].
    """
    half = length // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    angles = timesteps.float()[:, None] * torch.exp(-math.log(_LONGEST_WAVE) * steps / (half - 1))
    return torch.cat([angles.sin(), angles.cos()], 1)


class DiffForensicsTimeEmbedding(nn.Module):
    """Timesteps `(B,)` to `(B, time_channels)`."""

    def __init__(self, config: DiffForensicsConfig) -> None:
        super().__init__()
        self.frequencies = config.time_frequencies
        self.first = nn.Linear(config.time_frequencies, config.time_channels)
        self.second = nn.Linear(config.time_channels, config.time_channels)

    def forward(self, timesteps: Tensor) -> Tensor:
        waves = sinusoidal_embedding(timesteps, self.frequencies).to(self.first.weight.dtype)
        return self.second(F.silu(self.first(waves)))


class DiffForensicsConvolution(nn.Sequential):
    """3x3 convolution, group normalisation, SiLU; groups, because batches are small and averages have no buffers."""

    def __init__(self, inputs: int, outputs: int) -> None:
        groups = next(count for count in (32, 16, 8, 4, 2, 1) if outputs % count == 0)
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(groups, outputs), nn.SiLU())


class DiffForensicsDecoderBlock(GradientCheckpointingLayer):
    """One U-Net block: brought to the skip's size, joined with it, two convolutions, and the time embedding."""

    def __init__(self, inputs: int, skip: int, outputs: int, config: DiffForensicsConfig) -> None:
        super().__init__()
        self.first = DiffForensicsConvolution(inputs + skip, outputs)
        self.second = DiffForensicsConvolution(outputs, outputs)
        self.time = nn.Linear(config.time_channels, outputs)
        self.position = config.time_embedding_position

    def forward(self, hidden: Tensor, skip: Tensor, time: Tensor) -> Tensor:
        hidden = F.interpolate(hidden, skip.shape[-2:], mode="bilinear", align_corners=False)
        hidden = self.first(torch.cat([hidden, skip], 1))
        moment = self.time(F.silu(time))[:, :, None, None]
        if self.position == "inner":
            return self.second(hidden + moment)
        return self.second(hidden) + moment


class DiffForensicsDecoder(nn.Module):
    """D_theta: four encoder levels to d_1, d_2, d_3. It runs from coarse to fine and returns the finest first."""

    def __init__(self, config: DiffForensicsConfig, levels: Sequence[int]) -> None:
        super().__init__()
        self.time = DiffForensicsTimeEmbedding(config)
        inputs = (levels[-1], *config.decoder_channels)
        skips = levels[-2::-1]
        self.blocks = nn.ModuleList(
            DiffForensicsDecoderBlock(*widths, config)
            for widths in zip(inputs, skips, config.decoder_channels, strict=False)
        )

    def forward(self, features: Sequence[Tensor], timesteps: Tensor) -> tuple[Tensor, ...]:
        time, hidden = self.time(timesteps), features[-1]
        outputs: list[Tensor] = []
        for block, skip in zip(self.blocks, features[-2::-1], strict=True):
            hidden = block(hidden, skip, time)
            outputs.insert(0, hidden)
        return tuple(outputs)


def edge_cues(
    features: Tensor,
    order: Literal["rows_first", "cols_first"] = "rows_first",
    padding: Literal["replicate", "zeros"] = "replicate",
    operator: Literal["mixed", "gradient_sum"] = "mixed",
) -> Tensor:
    """G (eq. 2): absolute differences of neighbouring rows, and of neighbouring columns of the result.

    A mixed second difference: a straight edge along an axis gives 0, a corner or a slanted edge does not.

    Args:
        features: `(B, C, h, w)`.
        order: Which differences are taken first.
        padding: What lies beyond the last row and column.
        operator: `"mixed"`, or the sum of both first differences.

    Returns:
        `(B, C, h, w)`, >= 0.

    Example:
        >>> square = torch.zeros(1, 1, 4, 4)
        >>> square[..., 1:3, 1:3] = 1
        >>> edge_cues(square)[0, 0].int().tolist()  # its corners
        [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    """
    if operator == "gradient_sum":
        return _difference(features, 2, padding) + _difference(features, 3, padding)
    for dimension in (2, 3) if order == "rows_first" else (3, 2):
        features = _difference(features, dimension, padding)
    return features


def _difference(features: Tensor, dimension: int, padding: str) -> Tensor:
    """Absolute difference to the next row (dimension 2) or column (3)."""
    end = features.narrow(dimension, features.shape[dimension] - 1, 1)
    beyond = end if padding == "replicate" else torch.zeros_like(end)
    following = torch.cat([features, beyond], dimension).narrow(dimension, 1, features.shape[dimension])
    return (features - following).abs()


class DiffForensicsEdgeCueEnhancement(nn.Module):
    """ECEM (eq. 2 and 3) without its upsampling: `(B, C, h, w)` to edge probabilities `(B, 1, h, w)`."""

    def __init__(self, channels: int, config: DiffForensicsConfig) -> None:
        super().__init__()
        self.options = (config.ecem_order, config.ecem_padding, config.ecem_operator)
        self.reduce = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.reduce(features - edge_cues(features, *self.options)))


class DiffForensicsNoiseHead(nn.Module):
    """d_1 to noise on the padded pixel grid, `(B, C, h, w)` to `(B, 3, 4 h, 4 w)`."""

    def __init__(self, config: DiffForensicsConfig) -> None:
        super().__init__()
        self.shuffled = config.noise_head == "pixel_shuffle"
        outputs = 3 * DECODER_STRIDES[0] ** 2 if self.shuffled else 3
        self.convolution = nn.Conv2d(config.decoder_channels[-1], outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.convolution(features)
        if self.shuffled:
            return F.pixel_shuffle(hidden, DECODER_STRIDES[0])
        return F.interpolate(hidden, scale_factor=DECODER_STRIDES[0], mode="bilinear", align_corners=False)


class DiffForensicsPreTrainedModel(IflPreTrainedModel):
    """Weight initialisation and what transformers needs to know about the method."""

    config: DiffForensicsConfig
    base_model_prefix = "diff_forensics"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ("SegformerStage", "DiffForensicsDecoderBlock")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            init.normal_(module.weight, std=math.sqrt(2 / fan_in) if module.out_channels > 1 else 0.01)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=math.sqrt(1 / module.in_features) if module.out_features > 1 else 0.01)

    def load_encoder_weights(self, name_or_path: str | Path) -> None:
        """Take the encoder's weights from a SegFormer: a Hub id such as
        `"nvidia/segformer-b2-finetuned-ade-512-512"`, whose licence is non-commercial, or a folder.

        Raises:
            ValueError: If it is another kind of model.
            RuntimeError: If the weights do not fit the encoder.
        """
        pretrained = AutoModel.from_pretrained(str(name_or_path), dtype=torch.float32)
        if pretrained.config.model_type != "segformer":
            raise ValueError(
                f"{name_or_path} is a {type(pretrained).__name__}; the encoder takes a SegFormer's weights"
            )
        model: Any = getattr(self, self.base_model_prefix, self)
        model.encoder.load_state_dict(pretrained.state_dict())


class DiffForensicsModel(DiffForensicsPreTrainedModel):
    """Encoder E_phi and decoder D_theta, which both stages share.

    Example:
        >>> from ifl_hub import DiffForensicsConfig
        >>> model = DiffForensicsModel(DiffForensicsConfig.tiny()).eval()
        >>> features = model(torch.zeros(1, 3, 64, 96), torch.tensor([5])).decoder_features
        >>> [tuple(feature.shape) for feature in features]
        [(1, 8, 16, 24), (1, 12, 8, 12), (1, 16, 4, 6)]
    """

    def __init__(self, config: DiffForensicsConfig) -> None:
        super().__init__(config)
        encoder: Any = config.encoder_config
        self.encoder = AutoModel.from_config(encoder)  # a SegformerModel, imported where one is built
        self.decoder = DiffForensicsDecoder(config, encoder.hidden_sizes)
        self.post_init()

    def forward(self, pixel_values: Tensor, timesteps: Tensor) -> DiffForensicsModelOutput:
        """Run encoder and decoder.

        Args:
            pixel_values: `(B, 3, H, W)` of any size; mirrored at the right and bottom to multiples of 32.
            timesteps: `(B,)` from 0.
        """
        pixels = pad_reflect(pixel_values, self.config.size_divisor)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._encoder_is_trained()):
            features = self._encode(pixels)
        return DiffForensicsModelOutput(decoder_features=self.decoder(features, timesteps))

    def _encode(self, pixels: Tensor) -> list[Tensor]:
        """The four levels. `output_hidden_states` would give them too, but leaves hooks that cannot be pickled."""
        features = [pixels]
        for stage in self.encoder.stages:
            features.append(stage(features[-1]))
        return features[1:]

    def _encoder_is_trained(self) -> bool:
        return next(self.encoder.parameters()).requires_grad


class DiffForensicsForPreTraining(DiffForensicsPreTrainedModel):
    """Stage 1: predicts the noise in a noisy picture. The encoder is frozen, and stays in evaluation.

    The paper once writes that the encoder sees x_0; then the noise could not be predicted at all. Its Algorithm 1 and
    Fig. 2 give it x_t, and so must you. `DiffForensicsForImageForgeryLocalization.from_pretrained` takes over what
    this model has learnt.

    Example:
        >>> from ifl_hub import DiffForensicsConfig
        >>> model = DiffForensicsForPreTraining(DiffForensicsConfig.tiny()).eval()
        >>> model(torch.zeros(2, 3, 64, 64), torch.tensor([3, 700])).predicted_noise.shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(self, config: DiffForensicsConfig) -> None:
        super().__init__(config)
        self.diff_forensics = DiffForensicsModel(config)
        self.noise_head = DiffForensicsNoiseHead(config)
        self.post_init()
        self.train(self.training)

    def train(self, mode: bool = True) -> "DiffForensicsForPreTraining":
        """Switch between training and evaluation, but for the frozen encoder: it has dropped paths in training."""
        super().train(mode)
        if self.config.freeze_encoder:
            self.diff_forensics.encoder.eval().requires_grad_(False)
        return self

    def forward(
        self, pixel_values: Tensor, timesteps: Tensor, labels: Tensor | None = None
    ) -> DiffForensicsPreTrainingOutput:
        """Predict the noise.

        Args:
            pixel_values: `(B, 3, H, W)`, x_t of `SimplexDDPMScheduler.add_noise`.
            timesteps: `(B,)` integers, the scheduler's index.
            labels: `(B, 3, H, W)`, the noise that was added.

        Raises:
            ValueError: If the channels or the size of the noise do not fit.
        """
        check_inputs(pixel_values, None)
        if labels is not None and labels.shape != pixel_values.shape:
            raise ValueError(f"labels must be the noise, {tuple(pixel_values.shape)}, got {tuple(labels.shape)}")
        finest = self.diff_forensics(pixel_values, timesteps).decoder_features[0]
        predicted = _crop(self.noise_head(finest), pixel_values.shape[-2:])
        if labels is None:
            return DiffForensicsPreTrainingOutput(predicted_noise=predicted)
        loss = denoising_loss(predicted, labels)
        terms = {"denoising": loss.detach()}
        return DiffForensicsPreTrainingOutput(loss=loss, loss_terms=terms, predicted_noise=predicted)


class DiffForensicsForImageForgeryLocalization(DiffForensicsPreTrainedModel):
    """Stage 2: localization head, detection head and edge cue enhancement and, given labels, the objective (eq. 9).

    Example:
        >>> from ifl_hub import DiffForensicsConfig
        >>> model = DiffForensicsForImageForgeryLocalization(DiffForensicsConfig.tiny()).eval()
        >>> output = model(torch.zeros(1, 3, 37, 51), labels=torch.zeros(1, 37, 51, dtype=torch.long))
        >>> tuple(output.logits.shape), tuple(output.edge_probabilities.shape), sorted(output.loss_terms)
        ((1, 1, 37, 51), (1, 3, 37, 51), ['detection', 'edge', 'segmentation'])
    """

    def __init__(self, config: DiffForensicsConfig) -> None:
        super().__init__(config)
        self.diff_forensics = DiffForensicsModel(config)
        widths = config.decoder_channels[::-1]
        kernel = config.loc_kernel_size
        self.localization_head = nn.Conv2d(widths[0], 1, kernel, padding=kernel // 2)
        self.detection_head = nn.Linear(widths[0], 1)
        self.edges = nn.ModuleDict(
            {
                str(scale): DiffForensicsEdgeCueEnhancement(widths[scale], config)
                for scale, weight in enumerate(config.edge_weights)
                if weight
            }
        )
        self.post_init()

    @property
    def mask_classifier(self) -> nn.Conv2d:
        """The convolution that ends in the map; its bias moves every logit alike."""
        return self.localization_head

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        image_targets: Tensor | None = None,
        timesteps: Tensor | None = None,
    ) -> DiffForensicsOutput:
        """Localize forged pixels, say whether there are any, and where the outlines are.

        Args:
            pixel_values: `(B, 3, H, W)` from `IflImageProcessor`, of any size; no noise is added.
            labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
            image_targets: `(B,)` {0, 1}; by default 1 where the labels have a forged pixel.
            timesteps: `(B,)` from 0; by default `config.fixed_timestep`.

        Raises:
            ValueError: If the channels or the size of the labels do not fit.
        """
        check_inputs(pixel_values, labels)
        if timesteps is None:
            timesteps = torch.full(pixel_values.shape[:1], self.config.fixed_timestep, device=pixel_values.device)
        size = pixel_values.shape[-2:]
        features = self.diff_forensics(pixel_values, timesteps).decoder_features
        logits = _to_pixels(self.localization_head(features[0]), DECODER_STRIDES[0], size)
        image_logits = self.detection_head(features[0].mean((2, 3)))
        edges = self._edge_maps(features, size)
        output = DiffForensicsOutput(logits=logits, image_logits=image_logits, edge_probabilities=edges)
        if labels is None:
            return output
        targets = (labels == 1).flatten(1).any(1) if image_targets is None else image_targets
        return self._add_objective(output, self._terms(logits, image_logits, edges, labels, targets))

    def _edge_maps(self, features: Sequence[Tensor], size: torch.Size) -> Tensor | None:
        """f_k^e (eq. 3), upsampled after the sigmoid as the equation says."""
        maps = [
            _to_pixels(enhance(features[int(scale)]), DECODER_STRIDES[int(scale)], size)
            for scale, enhance in self.edges.items()
        ]
        return torch.cat(maps, 1) if maps else None

    def _terms(
        self, logits: Tensor, image_logits: Tensor, edges: Tensor | None, labels: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """L_seg (eq. 4), L_clf (eq. 8) and, where there are edge maps, L_edg (eq. 7)."""
        config = self.config
        image_weights = (config.forged_image_weight, config.authentic_image_weight)
        terms = {
            "segmentation": self._segmentation_term(logits, labels),
            "detection": detection_loss(image_logits, targets, *image_weights),
        }
        if edges is not None:
            used = [weight for weight in config.edge_weights if weight]
            options = (used, config.edge_kernel_size, config.dice_smooth, config.dice_reduction)
            terms["edge"] = edge_loss(edges, labels, *options)
        return terms

    def _add_objective(self, output: DiffForensicsOutput, terms: dict[str, Tensor]) -> DiffForensicsOutput:
        """Fill in the loss of eq. 9, L = alpha (L_seg + L_edg) + beta L_clf, and its terms."""
        alpha, beta = self.config.localization_weight, self.config.detection_weight
        weights = {"segmentation": alpha, "edge": alpha, "detection": beta}
        return replace(  # and not an assignment: a ModelOutput keeps the order in which its fields were set
            output,
            loss=torch.stack([weights[name] * term for name, term in terms.items()]).sum(),  # eq. 9
            loss_terms={name: term.detach() for name, term in terms.items()},
        )

    def _segmentation_term(self, logits: Tensor, labels: Tensor) -> Tensor:
        """L_seg = lambda_0^s l_wbce + (1 - lambda_0^s) l_dice (eq. 4)."""
        config = self.config
        entropy = weighted_cross_entropy(logits, labels, config.forged_pixel_weight, config.authentic_pixel_weight)
        probabilities = torch.sigmoid(logits[:, 0].float())
        options = (config.dice_smooth, config.dice_reduction)
        dice = dice_loss(probabilities, labels == 1, labels != IGNORED, *options)
        return config.seg_balance * entropy + (1 - config.seg_balance) * dice


def _to_pixels(maps: Tensor, stride: int, size: torch.Size) -> Tensor:
    """From the decoder's grid to pixels, padding cropped."""
    return _crop(F.interpolate(maps, scale_factor=stride, mode="bilinear", align_corners=False), size)


def _crop(maps: Tensor, size: torch.Size) -> Tensor:
    # By negative padding: the strides of a slice would tie an exported graph to sizes that need none.
    return F.pad(maps, (0, size[1] - maps.shape[3], 0, size[0] - maps.shape[2]))


__all__ = [
    "DiffForensicsForImageForgeryLocalization",
    "DiffForensicsForPreTraining",
    "DiffForensicsModel",
    "DiffForensicsModelOutput",
    "DiffForensicsOutput",
    "DiffForensicsPreTrainedModel",
    "DiffForensicsPreTrainingOutput",
    "edge_cues",
    "sinusoidal_embedding",
]
