"""The demo: a picture in the browser, and what the models see in it. Gradio (extra `demo`), offline, no accounts."""

from .app import build_demo, launch_demo

__all__ = ["build_demo", "launch_demo"]
