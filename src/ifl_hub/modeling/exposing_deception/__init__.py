"""Exposing the Deception (AAAI 2024): local information blocks for deepfake faces, fused under information losses."""

from .configuration_exposing_deception import ExposingDeceptionConfig
from .modeling_exposing_deception import ExposingDeceptionForImageClassification, ExposingDeceptionOutput

__all__ = ["ExposingDeceptionConfig", "ExposingDeceptionForImageClassification", "ExposingDeceptionOutput"]
