"""What people look at: overlays now, contact sheets and the evidence report later."""

from .faces import render_attention, render_faces
from .overlay import render_overlay

__all__ = ["render_attention", "render_faces", "render_overlay"]
