"""Trackers of accelerate's, so that a missing one is an error, and so that they get pictures."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from accelerate import Accelerator


def checked_trackers(names: Sequence[str]) -> list[str]:
    """The names, once it is clear that each is there: accelerate would drop a missing one without a word.

    Raises:
        ValueError: If a tracker's package is not installed, or accelerate knows no such tracker.

    Example:
        >>> checked_trackers([])
        []
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    for name in names:
        if name not in {str(known) for known in LOGGER_TYPE_TO_CLASS}:
            known = ", ".join(sorted(str(known) for known in LOGGER_TYPE_TO_CLASS))
            raise ValueError(f"recipe: there is no tracker {name!r}; accelerate has: {known}")
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"recipe: tracker {name} is not installed: pip install {name}")
    return list(names)


def track_picture(accelerator: "Accelerator", path: Path, step: int) -> None:
    """Give the picture to every tracker that takes pictures."""
    if not path.is_file():
        return
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    for tracker in accelerator.trackers:
        if tracker.name == "trackio":  # to which accelerate passes no pictures
            import trackio

            tracker.log({"validation": trackio.Image(pixels, caption=f"step {step}")}, step=step)
        elif hasattr(tracker, "log_images"):
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({"validation": pixels[None]}, step=step, **layout)
