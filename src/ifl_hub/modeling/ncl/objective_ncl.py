"""`NclLoss`: the pivot network and the objective of NCL, for its own network and, the plug-in merit, for any other."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .losses_ncl import CONTOUR, classify_patches, contour_pixels, ncl_loss, pivot_consistent_loss, resize_labels


class NclBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that falls back on its running statistics where one value a channel has no variance."""

    def forward(self, hidden: Tensor) -> Tensor:
        if self.training and hidden.numel() <= hidden.shape[1]:
            return F.batch_norm(hidden, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(hidden)


class NclPivotBranch(nn.Module):
    """se+ or se-: the contour patches of each image, k of them, to one vector (Fig. 2b).

    Args:
        channels: C, of the features and of the vector.
        reduction: `"mean"` and `"max"` project every patch and reduce over k, so that their order does not matter;
            `"fixed"` convolves `slots` patches, as input channels, to one.
        slots: Input channels of `"fixed"`.
        norm: Batch normalisation, or layer normalisation over channels.
    """

    def __init__(
        self,
        channels: int,
        reduction: Literal["mean", "max", "fixed"] = "mean",
        slots: int = 64,
        norm: Literal["batch", "layer"] = "batch",
    ) -> None:
        super().__init__()
        self.reduction = reduction
        self.slots = slots
        inputs, outputs = (slots, 1) if reduction == "fixed" else (channels, channels)
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        # One group over what a patch holds is layer normalisation.
        self.norm = NclBatchNorm2d(outputs) if norm == "batch" else nn.GroupNorm(1, outputs)

    def forward(self, contours: Sequence[Tensor]) -> Tensor:
        """`(k_b, C)` contour patches of each image b to `(B, C)`; zeros, attached to the graph, where k_b is 0."""
        if self.reduction == "fixed":
            return self._mix(contours)
        counts = [len(patches) for patches in contours]
        patches = torch.cat(list(contours))[:, :, None, None]
        projected = F.relu(self.norm(self.convolution(patches)))[:, :, 0, 0]
        empty = projected[:0].sum(0)
        return torch.stack([self._reduce(part) if len(part) else empty for part in projected.split(counts)])

    def _reduce(self, projected: Tensor) -> Tensor:
        return projected.mean(0) if self.reduction == "mean" else projected.amax(0)

    def _mix(self, contours: Sequence[Tensor]) -> Tensor:
        filled = [image for image, patches in enumerate(contours) if len(patches)]
        strips = torch.stack([self._strip(patches) for patches in contours])[filled]
        mixed = F.relu(self.norm(self.convolution(strips[..., None])))[:, 0, :, 0]
        pivots = strips.new_zeros(len(contours), strips.shape[2]).to(mixed.dtype)
        return pivots.index_copy(0, torch.tensor(filled, dtype=torch.long, device=mixed.device), mixed)

    def _strip(self, patches: Tensor) -> Tensor:
        """Exactly `slots` patches."""
        if len(patches) <= self.slots:
            return F.pad(patches, (0, 0, 0, self.slots - len(patches)))
        chosen = torch.arange(self.slots, device=patches.device) * len(patches) // self.slots
        return patches[chosen]


class NclLoss(nn.Module):
    """L_total = omega L_NCL + L_PC (eq. 9) on the features and logits of any segmentation network.

    It owns the pivot network, so add its parameters to the optimizer. Inference does not need it.

    Args:
        channels: Of the features whose cells are the patches; the paper takes an early map of a quarter of the size.
        ncl_weight: omega; 0 leaves L_NCL out.
        temperature: tau.
        pivot_reduction: See `NclPivotBranch`.
        pivot_slots: Likewise.
        pivot_norm: Likewise.
        contrast_scope: Contrast patches within each image, or within the whole batch.
        contrast_max_samples: Forged and authentic patches drawn for the contrast; None takes all.
        contrast_chunk_size: Forged patches whose similarities are in memory at once; changes no value.
        contour_weight: mu.
        contour_mode: See `contour_pixels`.
        contour_radius: Likewise.
        empty_contour: See `pivot_consistent_loss`.

    Example:
        >>> import torch
        >>> from ifl_hub import NclLoss
        >>> objective = NclLoss(channels=16)
        >>> features, logits = torch.randn(2, 16, 8, 8), torch.randn(2, 1, 32, 32, requires_grad=True)
        >>> labels = torch.zeros(2, 32, 32, dtype=torch.long)
        >>> labels[:, 5:20, 5:20] = 1
        >>> loss, terms = objective(features, logits, labels)
        >>> sorted(terms)
        ['authentic_pivot_contrast', 'forged_pivot_contrast', 'patch_contrast', 'pivot_consistent']
    """

    def __init__(
        self,
        channels: int,
        *,
        ncl_weight: float = 0.01,
        temperature: float = 0.1,
        pivot_reduction: Literal["mean", "max", "fixed"] = "mean",
        pivot_slots: int = 64,
        pivot_norm: Literal["batch", "layer"] = "batch",
        contrast_scope: Literal["image", "batch"] = "image",
        contrast_max_samples: int | None = None,
        contrast_chunk_size: int = 256,
        contour_weight: float = 0.9,
        contour_mode: Literal["cells", "dilation"] = "cells",
        contour_radius: int = 1,
        empty_contour: Literal["literal", "plain"] = "literal",
    ) -> None:
        super().__init__()
        self.ncl_weight = ncl_weight
        self.temperature = temperature
        self.contrast_scope = contrast_scope
        self.contrast_max_samples = contrast_max_samples
        self.contrast_chunk_size = contrast_chunk_size
        self.contour_weight = contour_weight
        self.contour_mode: Literal["cells", "dilation"] = contour_mode
        self.contour_radius = contour_radius
        self.empty_contour: Literal["literal", "plain"] = empty_contour
        self.forged_pivot = NclPivotBranch(channels, pivot_reduction, pivot_slots, pivot_norm)  # se+
        self.authentic_pivot = NclPivotBranch(channels, pivot_reduction, pivot_slots, pivot_norm)  # se-

    def forward(
        self,
        features: Tensor,
        logits: Tensor,
        labels: Tensor,
        auxiliary_logits: Sequence[Tensor] = (),
        auxiliary_weights: Sequence[float] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective of one batch.

        Args:
            features: `(B, C, h, w)`, one vector a patch.
            logits: `(B, 1, H', W')` of any size.
            labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}, at the size of the image.
            auxiliary_logits: `(B, 1, ·, ·)` of side classifiers, each compared with a shrunken mask.
            auxiliary_weights: One a side classifier; 1 by default.

        Returns:
            The scalar loss, and its terms before weighting, detached: the three sums of eq. 7 (unless `ncl_weight` is
            0) and `pivot_consistent`, eq. 8 added up over the scales.
        """
        weights = [1.0, *([1.0] * len(auxiliary_logits) if auxiliary_weights is None else auxiliary_weights)]
        grid = (features.shape[2], features.shape[3])
        scales = [
            weight * self._pivot_consistent(scale, labels, grid)
            for weight, scale in zip(weights, [logits, *auxiliary_logits], strict=True)
        ]
        terms = {"pivot_consistent": torch.stack(scales).sum()}
        if self.ncl_weight:
            contrast = self._contrast(features, labels)
            loss = self.ncl_weight * torch.stack(list(contrast.values())).sum() + terms["pivot_consistent"]  # eq. 9
            terms = contrast | terms
        else:
            # Parameters that are outside the graph would stop distributed training.
            loss = terms["pivot_consistent"] + sum(parameter[:0].sum().float() for parameter in self.parameters())
        return loss, {name: term.detach() for name, term in terms.items()}

    def _contrast(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        patches = classify_patches(labels, (features.shape[2], features.shape[3])).flatten(1)
        vectors = features.flatten(2).transpose(1, 2)
        if self.contrast_scope == "batch":
            patches, vectors = patches.view(1, -1), vectors.reshape(1, -1, vectors.shape[2])
        contours = [vectors[image, classes == CONTOUR] for image, classes in enumerate(patches)]
        return ncl_loss(
            vectors,
            patches,
            self.forged_pivot(contours),
            self.authentic_pivot(contours),
            self.temperature,
            self.contrast_chunk_size,
            self.contrast_max_samples,
        )

    def _pivot_consistent(self, logits: Tensor, labels: Tensor, grid: tuple[int, int]) -> Tensor:
        size = (logits.shape[2], logits.shape[3])
        contour = contour_pixels(labels, size, grid, self.contour_mode, self.contour_radius)
        shrunken = resize_labels(labels, size)
        return pivot_consistent_loss(logits, shrunken, contour, self.contour_weight, self.empty_contour)


__all__ = ["NclLoss", "NclPivotBranch"]
