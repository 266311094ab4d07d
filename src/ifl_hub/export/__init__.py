"""Localization models for other runtimes: ONNX Runtime, OpenVINO, and programs of `torch.export`."""

from .exported import BACKENDS, ExportedLocalizer
from .exporting import export_checkpoint, export_localizer, largest_difference

__all__ = ["BACKENDS", "ExportedLocalizer", "export_checkpoint", "export_localizer", "largest_difference"]
