"""SAFL-Net (ICCV 2023): EfficientNet encoder, semantic suppression and boundary guidance as plug-ins for training."""

from .configuration_safl_net import SaflNetConfig
from .modeling_safl_net import SaflNetForImageForgeryLocalization, SaflNetOutput

__all__ = ["SaflNetConfig", "SaflNetForImageForgeryLocalization", "SaflNetOutput"]
