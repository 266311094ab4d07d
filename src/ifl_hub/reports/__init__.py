"""What people look at: overlays now, contact sheets and the evidence report later."""

from .overlay import render_overlay

__all__ = ["render_overlay"]
