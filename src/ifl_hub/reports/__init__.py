"""What people look at: overlays, contact sheets and the evidence report."""

from .evidence import evidence_report
from .faces import render_attention, render_faces
from .folder_report import FolderEntry, folder_report
from .model_facts import ModelFacts
from .overlay import colour_heatmap, render_overlay

__all__ = [
    "FolderEntry",
    "ModelFacts",
    "colour_heatmap",
    "evidence_report",
    "folder_report",
    "render_attention",
    "render_faces",
    "render_overlay",
]
