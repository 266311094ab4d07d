"""The terms of SAFL-Net's objective as pure float32 functions, each beside its equation.

Every function takes `counted`, the images that train it (the paper: tampered ones), and stays finite, attached to the
graph, when no pixel or image counts.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...image_processing.masks import IGNORED
from ..losses import mean_over, pixel_cross_entropy


def localization_loss(
    logits: Tensor, labels: Tensor, counted: Tensor, positive_weight: float = 1.0, dice_weight: float = 0.0
) -> Tensor:
    """L_seg of eq. 9: cross-entropy averaged over the pixels that count, and, beyond the paper, a dice term.

    Args:
        logits: `(B, 1, H, W)`.
        labels: `(B, H, W)` integers {0 authentic, 1 forged, 255 ignored}.
        counted: `(B,)` bool, the images whose pixels count.
        positive_weight: Weight of forged pixels in the cross-entropy.
        dice_weight: Weight of 1 - dice with squares in the denominator, averaged over images with a forged pixel.

    Returns:
        Scalar >= 0, float32.

    Example:
        >>> labels = torch.tensor([[[0, 1], [255, 255]]])
        >>> round(localization_loss(torch.zeros(1, 1, 2, 2), labels, torch.tensor([True])).item(), 4)  # log 2
        0.6931
    """
    valid = (labels != IGNORED) & counted[:, None, None]
    loss = mean_over(pixel_cross_entropy(logits, labels, positive_weight), valid)
    if dice_weight:
        loss = loss + dice_weight * _dice_loss(torch.sigmoid(logits[:, 0].float()), (labels == 1).float(), valid)
    return loss


def _dice_loss(probabilities: Tensor, target: Tensor, valid: Tensor, smooth: float = 1.0) -> Tensor:
    probabilities, target = torch.where(valid, probabilities, 0), torch.where(valid, target, 0)
    overlap = (probabilities * target).sum((1, 2))
    extent = probabilities.square().sum((1, 2)) + target.sum((1, 2))
    return mean_over(1 - (2 * overlap + smooth) / (extent + smooth), target.sum((1, 2)) > 0)


def soft_boundary(labels: Tensor, window: int) -> Tensor:
    """The soft boundary map of eq. 7, G = 1 - |1 - 2 mean_W(g)|: near 1 on an outline, 0 where a window is uniform.

    Windows are cut at the image's border and leave out ignored pixels, so the mean is always over real labels.

    Args:
        labels: `(B, H, W)` integers {0, 1, 255}.
        window: Odd side of W in pixels.

    Returns:
        `(B, H, W)` float32 in [0, 1], at most 1 - 1/window² where the window is whole; 0 where a window holds ignored
        pixels only.

    Example:
        >>> edge = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]]).expand(1, 8, 8)
        >>> (soft_boundary(edge, window=3)[0, 4] * 3).round().int().tolist()  # in thirds
        [0, 0, 0, 2, 2, 0, 0, 0]
    """
    valid = (labels != IGNORED).float()
    forged = (labels == 1).float()
    share = _window_sum(forged, window) / _window_sum(valid, window).clamp_min(1)
    return 1 - (1 - 2 * share).abs()


def _window_sum(values: Tensor, window: int) -> Tensor:
    """Sum over a square window around every pixel, cut at the border; separable, and exact for counts."""
    for size in ((window, 1), (1, window)):
        padding = (size[0] // 2, size[1] // 2)
        values = F.avg_pool2d(values[:, None], size, 1, padding, divisor_override=1)[:, 0]
    return values


def boundary_loss(
    logits: Tensor,
    labels: Tensor,
    counted: Tensor,
    window: int,
    target: Literal["soft", "hard"] = "soft",
    pixel_weight: Literal["soft", "binary"] = "soft",
    gamma: float = 0.1,
) -> Tensor:
    """L_BGM (eq. 8): cross-entropy with bin(G), weighted by w, plus |S - G|; the mean over pixels, not their sum.

    With a hard target it is the plain cross-entropy that the paper's Table 3 has before soft supervision.

    Args:
        logits: `(B, 1, H, W)`, whose sigmoid is S.
        labels: `(B, H, W)` integers {0, 1, 255}.
        counted: `(B,)` bool.
        window: Side of W in eq. 7.
        target: G of eq. 7, or (`"hard"`) its binarisation at 0.5 alone, unweighted.
        pixel_weight: w = G + gamma (the formula), or bin(G) + gamma (the prose).
        gamma: What a pixel far from every outline weighs.

    Returns:
        Scalar >= 0, float32.
    """
    soft = soft_boundary(labels, window)
    binary = (soft >= 0.5).float()
    loss = F.binary_cross_entropy_with_logits(logits[:, 0].float(), binary, reduction="none")
    if target == "soft":
        weight = (soft if pixel_weight == "soft" else binary) + gamma
        loss = loss * weight + (torch.sigmoid(logits[:, 0].float()) - soft).abs()
    return mean_over(loss, (labels != IGNORED) & counted[:, None, None])


def classification_loss(image_logits: Tensor, image_targets: Tensor) -> Tensor:
    """L_cls of eq. 9, the cross-entropy of the image's label, `(B, 1)` logits against `(B,)` {0, 1}."""
    return F.binary_cross_entropy_with_logits(image_logits[:, 0].float(), image_targets.float())


def consistency_loss(
    benchmark: Tensor, trained: Tensor, similarity: Literal["cosine", "abs", "squared"] = "cosine"
) -> Tensor:
    """L_cons (eq. 2), averaged over images: how alike the trained features and the semantic benchmark's are.

    Args:
        benchmark: `(n, d)`, z_se.
        trained: `(n, d)`, z_tr.
        similarity: The cosine in [-1, 1] as written (its minimum is opposition, which is still dependence), or its
            absolute value or square in [0, 1] (whose minimum is independence).

    Returns:
        Scalar, float32; 0 without an image.
    """
    cosine = F.cosine_similarity(benchmark.float(), trained.float(), dim=1)
    value = {"cosine": cosine, "abs": cosine.abs(), "squared": cosine.square()}[similarity]
    return value.sum() / max(len(value), 1)


def forged_share(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Share of forged pixels in every patch of a `size` grid, `(B, h, w)` float32; NaN where all are ignored."""
    valid = F.adaptive_avg_pool2d((labels != IGNORED).float(), size)
    return F.adaptive_avg_pool2d((labels == 1).float(), size) / valid


def contrast_loss(
    trained: Tensor,
    semantic: Tensor,
    share: Tensor,
    temperature: float = 0.1,
    anchors: Literal["one", "all"] = "one",
    ambiguous: Literal["negative", "ignore"] = "negative",
    generator: torch.Generator | None = None,
) -> Tensor:
    """L_cont (eq. 3 and 4): tampered patches alike, and unlike the authentic patches that mean the same.

    Patches with more than 95 % forged pixels are T. For an anchor k of T, the others are its positives P; each p of P
    brings one hard negative, the patch outside T whose *semantic* feature is most like p's (a multiset: duplicates
    stay). The loss is the mean over P of LSE over P and N of t_k.t_a / tau, minus t_k.t_p / tau. With m = |P| it lies
    between log(m (1 + exp(-2 / tau))) and log(2 m) + 2 / tau: the floor is log m, not 0.

    Args:
        trained: `(n, C, h, w)`, F_tr; normalised here.
        semantic: `(n, C', h, w)`, F_se; no gradient reaches it.
        share: `(n, h, w)` from `forged_share`.
        temperature: tau.
        anchors: One of T at random, or all.
        ambiguous: Whether patches with 5 to 95 % forged pixels may be negatives.
        generator: Draws the anchors.

    Returns:
        Scalar >= 0, float32: the mean over images with at least two patches in T and one outside; 0 without any.
    """
    losses = []
    for features, meaning, part in zip(trained.float(), semantic.detach().float(), share, strict=True):
        tampered = (part > 0.95).flatten()
        outside = ((part < 0.05) if ambiguous == "ignore" else (part <= 0.95)).flatten()
        if tampered.sum() < 2 or not outside.any():
            continue
        t, s = F.normalize(features.flatten(1), dim=0).T, F.normalize(meaning.flatten(1), dim=0).T
        hardest = (s[tampered] @ s[outside].T).argmax(1)
        positives = t[tampered] @ t[tampered].T / temperature
        negatives = t[tampered] @ t[outside][hardest].T / temperature
        losses.append(_contrast_of(positives, negatives, anchors, generator))
    return torch.stack(losses).mean() if losses else trained.float().sum() * 0


def _contrast_of(
    positives: Tensor, negatives: Tensor, anchors: Literal["one", "all"], generator: torch.Generator | None
) -> Tensor:
    """Eq. 4 from the similarities `(|T|, |T|)` of anchors (rows) to each patch of T and to that patch's negative."""
    count = len(positives)
    itself = torch.eye(count, dtype=torch.bool, device=positives.device)
    if anchors == "one":
        row = int(torch.randint(count, (1,), generator=generator))
        positives, negatives, itself = positives[row : row + 1], negatives[row : row + 1], itself[row : row + 1]
    everything = torch.cat([positives.masked_fill(itself, -torch.inf), negatives.masked_fill(itself, -torch.inf)], 1)
    mean_positive = positives.masked_fill(itself, 0).sum(1) / (count - 1)
    return (everything.logsumexp(1) - mean_positive).mean()


def alignment_loss(
    first: Tensor,
    second: Tensor,
    objective: Literal["cosine_bn", "cosine", "cosine_var", "infonce"] = "cosine_bn",
    temperature: float = 0.1,
) -> Tensor:
    """Eq. 1, maximised: the two encoders' projections of one picture should agree. Minimises 1 - cosine, in [0, 2].

    Args:
        first: `(n, d)`, z_se1.
        second: `(n, d)`, z_se2.
        objective: As written (`"cosine"`) one vector for every picture is a perfect answer. `"cosine_bn"` normalises
            each dimension over the batch first, `"cosine_var"` adds a hinge that keeps each dimension's deviation
            above 1, `"infonce"` makes the other pictures of the batch negatives.
        temperature: Of `"infonce"`.

    Returns:
        Scalar >= 0, float32.
    """
    first, second = first.float(), second.float()
    if objective == "infonce":
        similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
        target = torch.arange(len(first), device=first.device)
        return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
    if objective == "cosine_bn":
        first, second = (F.batch_norm(z, None, None, training=True) if len(z) > 1 else z for z in (first, second))
    loss = 1 - F.cosine_similarity(first, second, dim=1).mean()
    if objective == "cosine_var" and len(first) > 1:
        loss = loss + sum(F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() for z in (first, second))
    return loss
