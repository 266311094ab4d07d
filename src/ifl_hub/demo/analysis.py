"""One picture through one model, once; everything a visitor does afterwards reads the heat map that is kept."""

import logging
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..cli.job import load_model, load_processor
from ..cli.models import ModelFolder
from ..files import file_sha256
from ..image_processing.loading import LoadedImage
from ..reports.embedding import shrink
from .pictures import read_picture
from .serving import save_for_screen

TIMEOUT_S = 120
SCREEN = 1280  # pixels each way; larger pictures are shown smaller
logger = logging.getLogger(__name__)


class TooSlowError(RuntimeError):
    """A picture took longer than a visitor may keep the model busy; the message is one line."""


@dataclass(frozen=True)
class Analysis:
    """What a session keeps of a picture.

    Args:
        path: The upload, byte for byte what the visitor sent.
        image: Its pixels.
        result: What the pipeline said of them.
        model: Who said it.
    """

    path: Path
    image: LoadedImage
    result: dict[str, Any]
    model: "Localizer"

    @cached_property
    def sha256(self) -> str:
        """Of the file."""
        return file_sha256(self.path)

    @cached_property
    def small(self) -> tuple[Image.Image, np.ndarray]:
        """Picture and heat map, no larger than a screen."""
        heatmap = np.asarray(shrink(Image.fromarray(self.result["heatmap"]), SCREEN))
        return shrink(Image.fromarray(self.image.pixels), SCREEN), heatmap

    @cached_property
    def original(self) -> str:
        """The file of the small picture, for browsers."""
        return save_for_screen(self.small[0])

    @property
    def flagged(self) -> bool:
        """Whether the score is above the model's alarm level."""
        return bool(self.result["label"] == "forged")

    def mask(self, threshold: float) -> np.ndarray:
        """`(H, W)` bool, True where the heat map is above a threshold; the model is not asked again."""
        return np.asarray(self.result["heatmap"] > threshold)


class Localizer:
    """A model that answers one visitor at a time, and gives up on pictures that take too long.

    Args:
        folder: The checkpoint.
        timeout: Seconds per picture; looked at before each tile.

    Raises:
        CommandError: If the folder holds no localizer.
    """

    def __init__(self, folder: ModelFolder, timeout: float = TIMEOUT_S) -> None:
        from ..modeling.auto import AutoModelForImageForgeryLocalization
        from ..pipelines import ImageForgeryLocalizationPipeline

        model = load_model(folder, AutoModelForImageForgeryLocalization)
        model.register_forward_pre_hook(self._check_time)
        self.folder = folder
        self.processor = load_processor(folder)
        self._pipeline = ImageForgeryLocalizationPipeline(model=model, image_processor=self.processor)
        self._timeout = timeout
        self._deadline = 0.0
        self._lock = threading.Lock()

    def __call__(self, path: Path) -> Analysis:
        """Look at an upload.

        Raises:
            ImageLoadError: If it is too large, or no picture.
            TooSlowError: If it takes too long.
        """
        image = read_picture(path)
        with self._lock:
            start = time.monotonic()
            self._deadline = start + self._timeout
            try:
                result = self._pipeline(image)
            except TooSlowError as error:
                raise TooSlowError(f"{path.name}: {error}") from None
            seconds = time.monotonic() - start
        height, width = image.size
        logger.info("%s looked at %dx%d pixels in %.1f s", self.folder.name, width, height, seconds)
        return Analysis(path, image, result, self)

    def _check_time(self, *_: Any) -> None:
        if time.monotonic() > self._deadline:
            raise TooSlowError(f"took longer than {self._timeout:g} s; give a smaller picture, or one part of it")
