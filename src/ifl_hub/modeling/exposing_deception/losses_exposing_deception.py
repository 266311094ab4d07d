r"""The objective of Exposing the Deception as pure float32 functions, each beside its equation.

P_Z is what the joint head predicts from all local features, P_{Z\z_i} what a leave-one-out head predicts without the
i-th, P_G what the classifier predicts from the global feature. All are given as logits.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Direction = Literal["forward", "reverse"]
Reduction = Literal["sum", "mean"]


def prediction_divergence(
    joint: Tensor,
    other: Tensor,
    direction: Direction = "forward",
    reduction: Reduction = "sum",
    temperature: float = 1.0,
) -> Tensor:
    """D_KL[P_Z || P_x], averaged over the batch.

    Args:
        joint: `(B, C)` logits of P_Z.
        other: `(B, C)` logits of P_x.
        direction: `"reverse"` is D_KL[P_x || P_Z], as in the published code.
        reduction: Over classes; `"mean"`, as in that code, divides the divergence by C.
        temperature: Divides both logits.

    Returns:
        Scalar >= 0, finite for any finite logits.

    Example:
        >>> p = torch.tensor([[0.5, 0.5]]).log()
        >>> q = torch.tensor([[0.9, 0.1]]).log()
        >>> round(prediction_divergence(p, q).item(), 4)  # 0.5 log(0.5 / 0.9) + 0.5 log(0.5 / 0.1)
        0.5108
    """
    with torch.autocast(joint.device.type, enabled=False):
        joint, other = ((logits.float() / temperature).log_softmax(-1) for logits in (joint, other))
        first, second = (joint, other) if direction == "forward" else (other, joint)
        divergence = F.kl_div(second, first, reduction="batchmean", log_target=True)
        return divergence / joint.shape[-1] if reduction == "mean" else divergence


def local_information_loss(
    joint: Tensor,
    leave_one_out: Tensor,
    direction: Direction = "forward",
    reduction: Reduction = "sum",
    temperature: float = 1.0,
) -> Tensor:
    r"""L_LIL (eq. 8), exp(-sum_i D_KL[P_Z || P_{Z\z_i}]); 1 where no block knows anything that the others do not.

    Args:
        joint: `(B, C)` logits of P_Z; give them detached, unless P_Z shall move too.
        leave_one_out: `(B, n, C)` logits of P_{Z\z_i}.
        direction: Of `prediction_divergence`.
        reduction: Of `prediction_divergence`.
        temperature: Of `prediction_divergence`.

    Returns:
        Scalar in (0, 1]. The batch is averaged inside the exponential.

    Example:
        >>> logits = torch.randn(5, 2)
        >>> local_information_loss(logits, logits[:, None].expand(-1, 3, -1)).item()
        1.0
    """
    divergences = [
        prediction_divergence(joint, other, direction, reduction, temperature) for other in leave_one_out.unbind(1)
    ]
    return torch.exp(-torch.stack(divergences).sum().clamp_min(0))  # rounding must not take it above 1


def global_information_loss(
    joint: Tensor,
    global_logits: Tensor,
    direction: Direction = "forward",
    reduction: Reduction = "sum",
    temperature: float = 1.0,
) -> Tensor:
    """L_GIL (eq. 12), D_KL[P_Z || P_G]: what the global feature lost of what all local ones say about the label.

    Args:
        joint: `(B, C)` logits of P_Z; give them detached, unless P_Z shall move too.
        global_logits: `(B, C)` logits of P_G.
        direction: Of `prediction_divergence`.
        reduction: Of `prediction_divergence`.
        temperature: Of `prediction_divergence`.

    Returns:
        Scalar >= 0.
    """
    return prediction_divergence(joint, global_logits, direction, reduction, temperature).clamp_min(0)


def label_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with hard labels or, after mixup, with soft ones.

    Args:
        logits: `(B, C)`.
        labels: `(B,)` integers, or `(B, C)` probabilities.

    Returns:
        Scalar >= 0, float32.

    Example:
        >>> logits, mixed = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.7, 0.3]])
        >>> first, second = (label_cross_entropy(logits, torch.tensor([label])) for label in (0, 1))
        >>> torch.allclose(label_cross_entropy(logits, mixed), 0.7 * first + 0.3 * second)
        True
    """
    return F.cross_entropy(logits.float(), labels.float() if labels.is_floating_point() else labels.long())


def weighted_sum(losses: Sequence[Tensor], variances: Tensor) -> Tensor:
    """The automatic weighting of Liebel and Körner (2018), sum_k L_k / (2 s_k) + log(1 + s_k).

    Args:
        losses: k scalars >= 0.
        variances: `(k,)`, each s_k > 0; the best one for a fixed loss is (L + sqrt(L^2 + 8 L)) / 4.

    Returns:
        Scalar >= 0.

    Example:
        >>> round(weighted_sum([torch.tensor(1.0), torch.tensor(3.0)], torch.ones(2)).item(), 4)  # 2 + 2 log 2
        3.3863
    """
    return (torch.stack(list(losses)) / (2 * variances) + torch.log1p(variances)).sum()
