"""What people look at: overlays, contact sheets and the evidence report."""

from .evidence import evidence_report
from .faces import render_attention, render_faces
from .model_facts import ModelFacts
from .overlay import render_overlay

__all__ = ["ModelFacts", "evidence_report", "render_attention", "render_faces", "render_overlay"]
