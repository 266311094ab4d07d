"""Semantic suppression: what a frozen semantic encoder sees is what forgery features must not rely on (section 3.2).

Two encoders, pre-trained on different data sets, are brought to agree first (`SaflNetForSemanticAlignment`, eq. 1).
The first of them is then the benchmark that the training of the localizer pushes away from (eq. 2 to 5). Frozen
encoders are never saved and never part of a state dict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedModel
from transformers.utils import ModelOutput

from ..padding import pad_reflect
from .configuration_safl_net import SaflNetConfig
from .losses_safl_net import alignment_loss
from .modeling_safl_net import SaflNetConvolution, SaflNetPreTrainedModel, SaflNetProjection, deepest_channels

COLLAPSED = 0.1  # least difference between the similarity of a picture's two projections and of two pictures'


@dataclass
class SaflNetAlignmentOutput(ModelOutput):
    """Output of the alignment stage.

    Args:
        loss: Scalar, `config.alignment_objective`; None for a single picture without others to compare with.
        loss_terms: `alignment`, detached.
        matched: Scalar, mean cosine of a picture's two projections, in [-1, 1]; 1 is agreement.
        mismatched: Scalar, mean cosine of projections of two different pictures; where it is as large as `matched`,
            the projections say nothing about the picture (`has_collapsed`).
        projections: `(2, B, d)`, z_se1 and z_se2.
    """

    loss: Tensor | None = None
    loss_terms: dict[str, Tensor] | None = None
    matched: Tensor | None = None
    mismatched: Tensor | None = None
    projections: Tensor | None = None

    @property
    def has_collapsed(self) -> bool:
        """Whether the projections of different pictures are as alike as those of one."""
        return self.matched is None or self.mismatched is None or bool(self.matched - self.mismatched < COLLAPSED)


class SaflNetFrozenEncoder:
    """A pre-trained encoder that is only read: no gradient, always in eval, in nobody's state dict.

    It expects the processor's pixels, (x - 0.5) / 0.5 of [0, 1], and gives the encoder its own mean and deviation.
    """

    def __init__(self, model: PreTrainedModel, mean: Sequence[float], std: Sequence[float]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.mean, self.std = mean, std

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """`(B, 3, H, W)` to the encoder's last map, `(B, C, h, w)`."""
        self.model.to(pixels.device)
        mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (self.mean, self.std))
        return _last_map(self.model, (pixels * 0.5 + 0.5 - mean) / std)


class SaflNetSemanticReader(nn.Module):
    """ConvBlock and Proj of the paper's Fig. 3: a semantic map to F_se, in the shape of F_tr, and to z_se.

    Where the alignment normalises projections over the batch, z_se is normalised ever after by the statistics of that
    stage: without it all pictures share a large mean, and cosines of z_se say little about the picture.
    """

    def __init__(self, inputs: int, channels: int, outputs: int, normalised: bool) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(SaflNetConvolution(inputs, channels, 3), nn.Conv2d(channels, channels, 1))
        self.projection: nn.Sequential = SaflNetProjection(channels, outputs)
        if normalised:
            self.projection.append(nn.BatchNorm1d(outputs, affine=False))

    def forward(self, hidden: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        feature = self.convolutions(F.interpolate(hidden, size, mode="bilinear", align_corners=False))
        return feature, self.projection(feature)


class SaflNetForSemanticAlignment(SaflNetPreTrainedModel):
    """The pre-training of semantic suppression: two frozen encoders, brought to agree on what a picture shows.

    Call `load_semantic_encoders` before use: the encoders are not part of the checkpoint.

    Example:
        >>> from ifl_hub import SaflNetConfig
        >>> model = SaflNetForSemanticAlignment(SaflNetConfig.tiny())
        >>> model.use_semantic_encoders(model.random_semantic_encoders())  # for the example; else load_...
        >>> model(torch.rand(4, 3, 64, 64)).projections.shape
        torch.Size([2, 4, 8])
    """

    def __init__(self, config: SaflNetConfig) -> None:
        super().__init__(config)
        outputs = (deepest_channels(config), config.semantic_channels, config.alignment_objective == "cosine_bn")
        readers = [SaflNetSemanticReader(_map_channels(encoder), *outputs) for encoder in config.semantic_encoders]
        self.readers = nn.ModuleList(readers)
        self.frozen: list[SaflNetFrozenEncoder] = []
        self.post_init()

    def load_semantic_encoders(self, names_or_paths: Sequence[str | Path]) -> None:
        """Read the two pre-trained encoders from Hub ids or folders."""
        self.use_semantic_encoders([AutoModel.from_pretrained(str(name)) for name in names_or_paths])

    def random_semantic_encoders(self) -> list[PreTrainedModel]:
        """Untrained encoders of the configured shapes, for tests."""
        return [_build(encoder) for encoder in self.config.semantic_encoders]

    def use_semantic_encoders(self, models: Sequence[PreTrainedModel]) -> None:
        """Take two models as E1 and E2; they are frozen."""
        normalisations = zip(self.config.semantic_image_means, self.config.semantic_image_stds, strict=True)
        self.frozen = [SaflNetFrozenEncoder(m, *how) for m, how in zip(models, normalisations, strict=True)]

    def forward(self, pixel_values: Tensor) -> SaflNetAlignmentOutput:
        """Project a batch of pictures through both branches, and compare.

        Args:
            pixel_values: `(B, 3, H, W)` from `IflImageProcessor`; no labels are needed.

        Raises:
            ValueError: If the frozen encoders are missing.
        """
        if not self.frozen:
            raise ValueError("the semantic encoders are not part of the checkpoint: call load_semantic_encoders first")
        pixels = pad_reflect(pixel_values, self.config.size_divisor)
        size = (pixels.shape[-2] // 32, pixels.shape[-1] // 32)
        first, second = (
            reader(encoder(pixels), size)[1] for reader, encoder in zip(self.readers, self.frozen, strict=True)
        )
        loss = alignment_loss(first, second, self.config.alignment_objective)
        matched, mismatched = projection_agreement(first.detach(), second.detach())
        return SaflNetAlignmentOutput(
            loss=loss,
            loss_terms={"alignment": loss.detach()},
            matched=matched,
            mismatched=mismatched,
            projections=torch.stack([first, second]),
        )

    def benchmark(self) -> "SaflNetSemanticBenchmark":
        """The first branch, frozen, for `SaflNetForImageForgeryLocalization.attach_semantic_benchmark`."""
        reader: Any = self.readers[0]
        return SaflNetSemanticBenchmark(self.frozen[0], reader)


class SaflNetSemanticBenchmark:
    """E1, ConvBlock1 and Proj1 after the alignment: a fixed function from pictures to F_se and z_se.

    Not a module, so that `.train()`, the optimizer and the checkpoint of the localizer never touch it: a benchmark that
    moved would satisfy eq. 2 by itself.
    """

    def __init__(self, encoder: SaflNetFrozenEncoder, reader: SaflNetSemanticReader) -> None:
        self.encoder = encoder
        self.reader = reader.eval().requires_grad_(False)

    def __call__(self, pixels: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """F_se `(B, C, h, w)` and z_se `(B, d)` of `(B, 3, H, W)` pixels; no gradient."""
        with torch.no_grad():
            return self.reader.to(pixels.device)(self.encoder(pixels), size)

    def project(self, features: Tensor) -> Tensor:
        """Projects trained features through the frozen Proj1, differentiable in the features (`"frozen_shared"`)."""
        return self.reader.projection(features)


def projection_agreement(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cosine of a picture's two projections, and of the projections of two different pictures.

    Args:
        first: `(n, d)`, z_se1.
        second: `(n, d)`, z_se2.

    Returns:
        Two scalars in [-1, 1], float32; the second is 0 for a single picture.

    Example:
        >>> z = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
        >>> [value.item() for value in projection_agreement(z, z)]
        [1.0, 0.0]
    """
    cosines = F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T
    others = ~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    return cosines.diagonal().mean(), cosines[others].sum() / others.sum().clamp_min(1)


def _build(encoder: dict) -> PreTrainedModel:
    values = dict(encoder)
    return AutoModel.from_config(CONFIG_MAPPING[values.pop("model_type")](**values))


def _last_map(model: PreTrainedModel, pixels: Tensor) -> Tensor:
    """What the last block returns, `(B, C, h, w)`.

    Not `last_hidden_state`: a segmentation network often reads the blocks directly, and its checkpoint then holds an
    untrained top convolution (MobileNetV2's DeepLab does).

    Raises:
        ValueError: If it is not a map.
    """
    hidden = model(pixels, output_hidden_states=True).hidden_states[-1]
    if hidden.ndim != 4:
        raise ValueError(f"{type(model).__name__} returns no map but {tuple(hidden.shape)}; use another encoder")
    return hidden


def _map_channels(encoder: dict) -> int:
    """Channels of an encoder's last map, found by running its shape: configurations name them differently."""
    with torch.device("meta"):
        return _last_map(_build(encoder).eval(), torch.zeros(1, 3, 64, 64)).shape[1]


__all__ = ["SaflNetAlignmentOutput", "SaflNetForSemanticAlignment"]
