"""SUMI-IFL (AAAI 2025): three attention U-Nets, learnable fusion, sufficiency and minimality constraints."""

from .configuration_sumi_ifl import SumiIflConfig
from .modeling_sumi_ifl import SumiIflForImageForgeryLocalization, SumiIflOutput

__all__ = ["SumiIflConfig", "SumiIflForImageForgeryLocalization", "SumiIflOutput"]
