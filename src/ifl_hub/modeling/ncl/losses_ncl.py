"""The two terms of NCL's objective as pure float32 functions, each beside its equation.

A patch is one cell of a feature map: forged, authentic, or cut by a contour. Equations 7 and 8 are printed without the
leading minus of a log-likelihood (they would be minimised without bound) and eq. 7 without its similarity; both are
corrected here. Every function stays finite and attached to the graph when a set of patches or pixels is empty.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...image_processing.masks import IGNORED
from ..losses import mean_over, pixel_cross_entropy

AUTHENTIC, FORGED, CONTOUR = 0, 1, 2
NORM_FLOOR = 1e-6


def classify_patches(labels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which cells of a feature map are forged, which authentic, and which a contour cuts (eq. 3).

    Args:
        labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
        grid: Height h and width w of the feature map; where they do not divide H and W, neighbouring cells share a
            row or column of pixels.

    Returns:
        `(B, h, w)` integers {0 authentic, 1 forged, 2 contour, 255}; 255 as soon as one pixel of a cell is ignored.

    Example:
        >>> classify_patches(torch.tensor([[[0, 0, 0, 1, 1, 1]]]), (1, 3))[0, 0].tolist()
        [0, 2, 1]
    """
    pixels = torch.stack([labels == 0, labels == 1, labels == IGNORED], dim=1).float()
    has_authentic, has_forged, has_ignored = F.adaptive_max_pool2d(pixels, grid).bool().unbind(1)
    patches = torch.where(has_forged & has_authentic, CONTOUR, has_forged.long())
    return torch.where(has_ignored, IGNORED, patches)


def unit_vectors(vectors: Tensor) -> Tensor:
    """`(..., C)` vectors of length 1 in float32; a zero vector stays zero, with a finite gradient."""
    vectors = vectors.float()
    return vectors * torch.rsqrt(vectors.square().sum(-1, keepdim=True) + NORM_FLOOR)


def patch_contrast(
    forged: Tensor, authentic: Tensor, temperature: float = 0.1, chunk_size: int | None = 256, log_ratio: float = 0.0
) -> Tensor:
    """First sum of eq. 7: every pair of forged patches against all authentic ones.

    mean over m and j != m of softplus(logsumexp_i s(p_m, n_i) - s(p_m, p_j)) with s = cosine / temperature, which is
    -log(e^{s(p_m, p_j)} / (e^{s(p_m, p_j)} + sum_i e^{s(p_m, n_i)})) without its overflow.

    Args:
        forged: `(P, C)` unit vectors.
        authentic: `(N, C)` unit vectors.
        temperature: tau.
        chunk_size: Rows m evaluated at once. Each chunk is computed again in the backward pass, so the P×P and P×N
            matrices never exist; the value is the same. None evaluates all rows at once and keeps them.
        log_ratio: log(all / drawn) where `authentic` is a random sample, so that the sum keeps its size.

    Returns:
        Scalar >= 0; 0 where there are no two forged patches or no authentic one.

    Example:
        >>> same = torch.ones(5, 4) / 2
        >>> round(patch_contrast(same[:2], same).item(), 4)  # log(1 + 5)
        1.7918
    """
    rows = max(1, len(forged)) if chunk_size is None else chunk_size
    total = forged[:0].sum() + authentic[:0].sum()
    for start in range(0, len(forged), rows):
        arguments = (forged, authentic, start, start + rows, temperature, log_ratio)
        if chunk_size is None:
            total = total + _contrast_of_rows(*arguments)
        else:
            total = total + checkpoint(_contrast_of_rows, *arguments, use_reentrant=False, preserve_rng_state=False)
    return total / max(1, len(forged) * (len(forged) - 1))


def _contrast_of_rows(
    forged: Tensor, authentic: Tensor, start: int, stop: int, temperature: float, log_ratio: float
) -> Tensor:
    """Sum over the rows m in start..stop and all j != m."""
    with torch.autocast(forged.device.type, enabled=False):
        rows = forged[start:stop] / temperature
        negatives = torch.logsumexp(rows @ authentic.T, dim=1, keepdim=True) + log_ratio
        margins = negatives - rows @ forged.T
        own = torch.arange(len(rows), device=rows.device)
        margins[own, own + start] = -torch.inf  # (m, m) is no pair: this adds 0 to the sum and to the gradient
        return F.softplus(margins).sum()


def pivot_contrast(
    pivot: Tensor, same: Tensor, other: Tensor, temperature: float = 0.1, log_ratio: float = 0.0
) -> Tensor:
    """Second and third sum of eq. 7: one pivot vector against the patches of its own kind and of the other.

    mean over j of softplus(logsumexp_i s(pivot, other_i) - s(pivot, same_j)).

    Args:
        pivot: `(C,)`, a unit vector: se+ with `same` forged, or se- with `same` authentic.
        same: `(S, C)` unit vectors, at least one.
        other: `(O, C)` unit vectors.
        temperature: tau.
        log_ratio: log(all / drawn) where `other` is a random sample.

    Returns:
        Scalar >= 0.
    """
    with torch.autocast(pivot.device.type, enabled=False):
        scaled = pivot / temperature
        return F.softplus(torch.logsumexp(other @ scaled, dim=0) + log_ratio - same @ scaled).mean()


def ncl_loss(
    features: Tensor,
    patches: Tensor,
    forged_pivots: Tensor,
    authentic_pivots: Tensor,
    temperature: float = 0.1,
    chunk_size: int | None = 256,
    max_samples: int | None = None,
) -> dict[str, Tensor]:
    """The three sums of eq. 7, each averaged over the images that define it; L_NCL is their sum.

    Args:
        features: `(B, n, C)` features of the patches.
        patches: `(B, n)` their classes as `classify_patches` gives them.
        forged_pivots: `(B, C)`, se+ of each image; not read where an image has no contour.
        authentic_pivots: `(B, C)`, se- likewise.
        temperature: tau (not given in the paper).
        chunk_size: Of `patch_contrast`.
        max_samples: Draw at most so many forged and so many authentic patches of each image. None takes all.

    Returns:
        `patch_contrast` (needs two forged patches and an authentic one), `forged_pivot_contrast` and
        `authentic_pivot_contrast` (need a contour, a forged and an authentic patch); 0 where no image defines it.
    """
    attached = features[:, :0].sum().float() + forged_pivots[:0].sum().float() + authentic_pivots[:0].sum().float()
    terms: dict[str, list[Tensor]] = {
        "patch_contrast": [],
        "forged_pivot_contrast": [],
        "authentic_pivot_contrast": [],
    }
    for image, classes in enumerate(patches):
        forged, forged_ratio = _draw(features[image, classes == FORGED], max_samples)
        authentic, authentic_ratio = _draw(features[image, classes == AUTHENTIC], max_samples)
        if len(forged) == 0 or len(authentic) == 0:
            continue
        forged, authentic = unit_vectors(forged), unit_vectors(authentic)
        if len(forged) > 1:
            terms["patch_contrast"].append(patch_contrast(forged, authentic, temperature, chunk_size, authentic_ratio))
        if (classes == CONTOUR).any():
            positive, negative = unit_vectors(forged_pivots[image]), unit_vectors(authentic_pivots[image])
            terms["forged_pivot_contrast"].append(
                pivot_contrast(positive, forged, authentic, temperature, authentic_ratio)
            )
            terms["authentic_pivot_contrast"].append(
                pivot_contrast(negative, authentic, forged, temperature, forged_ratio)
            )
    return {name: attached + torch.stack(values).mean() if values else attached for name, values in terms.items()}


def _draw(vectors: Tensor, max_samples: int | None) -> tuple[Tensor, float]:
    """At most `max_samples` of the vectors, and log(all / drawn)."""
    if max_samples is None or len(vectors) <= max_samples:
        return vectors, 0.0
    chosen = torch.randperm(len(vectors), device=vectors.device)[:max_samples]
    return vectors[chosen], math.log(len(vectors) / max_samples)


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, H, W)` labels on another grid by nearest neighbour: the paper's shrunken masks."""
    if labels.shape[-2:] == size:
        return labels
    return F.interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].to(labels.dtype)


def contour_pixels(
    labels: Tensor, size: tuple[int, int], grid: tuple[int, int], mode: Literal["cells", "dilation"], radius: int = 1
) -> Tensor:
    """The contour pixels of eq. 8 on the grid of one scale (the paper does not define them there).

    Args:
        labels: `(B, H, W)` integers {0, 1, 255} at full size.
        size: The grid of the scale.
        grid: The grid of the patches that NCL contrasts.
        mode: `"cells"`: pixels of mixed patches, on the coarser of the two grids. `"dilation"`: pixels within `radius`
            of both a forged and an authentic pixel of the shrunken mask.
        radius: In pixels of the scale.

    Returns:
        `(B, *size)` bool.
    """
    if mode == "cells":
        mixed = classify_patches(labels, (min(size[0], grid[0]), min(size[1], grid[1]))) == CONTOUR
        return F.interpolate(mixed[:, None].float(), size, mode="nearest-exact")[:, 0].bool()
    shrunken = resize_labels(labels, size)
    classes = torch.stack([shrunken == 0, shrunken == 1], dim=1).float()
    return F.max_pool2d(classes, 2 * radius + 1, stride=1, padding=radius).bool().all(1)


def pivot_consistent_loss(
    logits: Tensor,
    labels: Tensor,
    contour: Tensor,
    contour_weight: float = 0.9,
    empty_contour: Literal["literal", "plain"] = "literal",
) -> Tensor:
    """L_PC (eq. 8) at one scale: cross-entropy of contour pixels and of all pixels, each averaged over the batch.

    Args:
        logits: `(B, 1, h, w)`.
        labels: `(B, h, w)` integers {0, 1, 255}.
        contour: `(B, h, w)` bool; these pixels count in both means.
        contour_weight: mu, in [0, 1].
        empty_contour: Without a contour pixel in the batch the first mean is 0, so (1 - mu) BCE is left (`"literal"`);
            `"plain"` then takes the whole BCE.

    Returns:
        Scalar >= 0, float32.

    Example:
        >>> labels, contour = torch.tensor([[[0, 1]]]), torch.tensor([[[True, False]]])
        >>> logits = torch.tensor([[[[0.0, 50.0]]]])
        >>> round(pivot_consistent_loss(logits, labels, contour).item(), 4)  # 0.9 log 2 + 0.1 (log 2) / 2
        0.6585
    """
    entropy, valid = pixel_cross_entropy(logits, labels), labels != IGNORED
    contour = contour & valid
    everywhere = mean_over(entropy, valid)
    loss = contour_weight * mean_over(entropy, contour) + (1 - contour_weight) * everywhere
    return torch.where(contour.any(), loss, everywhere) if empty_contour == "plain" else loss
