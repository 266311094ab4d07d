"""NCL (ICCV 2023): DeepLabV3+ with non-mutually-exclusive contrast on contour patches, no pre-training."""

from .configuration_ncl import NclConfig
from .modeling_ncl import NclForImageForgeryLocalization, NclOutput
from .objective_ncl import NclLoss

__all__ = ["NclConfig", "NclForImageForgeryLocalization", "NclLoss", "NclOutput"]
