"""Where each local information block looks, and how much two blocks look at the same (the paper's Figures 4 and 7)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .modeling_exposing_deception import ExposingDeceptionForImageClassification


def local_attention(
    model: ExposingDeceptionForImageClassification, pixel_values: Tensor, label: int = 1
) -> tuple[Tensor, Tensor]:
    """Grad-CAM of every block: the parts of its last map that raise a logit of the prediction P_G.

    cam_i = ReLU(sum_c w_ic A_ic), with w_ic the mean of the logit's gradient over channel c of the map A_i (Selvaraju
    et al., 2017); each map is divided by its own maximum.

    Args:
        model: In evaluation mode, or dropout would change what is explained.
        pixel_values: `(B, 3, H, W)`.
        label: Which logit; 1 is fake.

    Returns:
        `(B, n, H, W)` float32 in [0, 1] on the grid of `pixel_values`, all 0 where a block speaks against the label;
        and the logits `(B, num_labels)`.

    Example:
        >>> from ifl_hub import ExposingDeceptionConfig
        >>> model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny()).eval()
        >>> tuple(local_attention(model, torch.zeros(2, 3, 64, 48))[0].shape)
        (2, 3, 64, 48)
    """
    with torch.no_grad():
        maps = model.local_maps(pixel_values)
    with torch.enable_grad():
        maps = [features.detach().requires_grad_() for features in maps]
        logits = model.classify_maps(maps).logits
        gradients = torch.autograd.grad(logits[:, label].sum(), maps)
    cams = torch.stack(
        [
            (gradient.mean((2, 3), keepdim=True) * features.detach()).sum(1).float().clamp_min(0)
            for gradient, features in zip(gradients, maps, strict=True)
        ],
        dim=1,
    )
    resized = F.interpolate(cams, pixel_values.shape[-2:], mode="bilinear", align_corners=False)
    peaks = resized.amax((2, 3), keepdim=True)
    return torch.where(peaks > 0, resized / peaks.clamp_min(torch.finfo(torch.float32).tiny), 0), logits.detach()


def attention_overlap(attention: Tensor) -> Tensor:
    """How much the blocks of a picture look at the same: 0 for disjoint regions, 1 for one region.

    The mean over pairs of blocks of sum_x min(p_i(x), p_j(x)), each map first divided by its sum. Pairs with an empty
    map do not count.

    Args:
        attention: `(B, n, H, W)`, >= 0.

    Returns:
        `(B,)` in [0, 1]; NaN where fewer than two maps have anything.

    Example:
        >>> left, right = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
        >>> attention_overlap(torch.stack([left, right])[None]).tolist()
        [0.5]
    """
    flat = attention.flatten(2).double()
    sums = flat.sum(2, keepdim=True)
    shares = torch.where(sums > 0, flat / sums.clamp_min(torch.finfo(torch.float64).tiny), 0)
    first, second = torch.triu_indices(attention.shape[1], attention.shape[1], offset=1)
    common = torch.minimum(shares[:, first], shares[:, second]).sum(2)
    counted = (sums[:, first, 0] > 0) & (sums[:, second, 0] > 0)
    return torch.where(counted, common, 0).sum(1) / counted.sum(1)
