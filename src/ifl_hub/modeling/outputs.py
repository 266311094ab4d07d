"""What every localization model returns, whatever its options: one dataclass, unknown = None."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class ImageForgeryLocalizationOutput(ModelOutput):
    """Output of an image-forgery-localization model.

    Args:
        loss: Scalar, the weighted training objective; None without `labels`.
        loss_terms: The paper's terms by name, each a detached scalar *before* weighting; None without `labels`.
        logits: `(B, 1, H, W)` at the size of `pixel_values`; a pixel is forged where the sigmoid exceeds the threshold.
        image_logits: `(B, 1)`, evidence that the whole image is forged; None for methods without a detection head.
    """

    loss: torch.Tensor | None = None
    loss_terms: dict[str, torch.Tensor] | None = None
    logits: torch.Tensor | None = None
    image_logits: torch.Tensor | None = None
