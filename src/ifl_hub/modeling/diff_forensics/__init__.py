"""DiffForensics (CVPR 2024): denoising pre-training with simplex noise, then localization, detection and edges.

`scheduling_simplex_ddpm` is not imported here: it needs diffusers, which inference does not.
"""

from .configuration_diff_forensics import DiffForensicsConfig
from .losses_diff_forensics import class_weights_from_counts
from .modeling_diff_forensics import (
    DiffForensicsForImageForgeryLocalization,
    DiffForensicsForPreTraining,
    DiffForensicsModel,
    DiffForensicsOutput,
    DiffForensicsPreTrainingOutput,
)

__all__ = [
    "DiffForensicsConfig",
    "DiffForensicsForImageForgeryLocalization",
    "DiffForensicsForPreTraining",
    "DiffForensicsModel",
    "DiffForensicsOutput",
    "DiffForensicsPreTrainingOutput",
    "class_weights_from_counts",
]
