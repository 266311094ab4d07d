"""SAFL-Net (ICCV 2023): EfficientNet encoder, semantic suppression and boundary guidance as plug-ins for training."""

from .configuration_safl_net import SaflNetConfig
from .modeling_safl_net import SaflNetForImageForgeryLocalization, SaflNetOutput
from .semantic_safl_net import SaflNetAlignmentOutput, SaflNetForSemanticAlignment

__all__ = [
    "SaflNetAlignmentOutput",
    "SaflNetConfig",
    "SaflNetForImageForgeryLocalization",
    "SaflNetForSemanticAlignment",
    "SaflNetOutput",
]
