"""The models that a demo offers: checked when it starts, loaded when they are first asked for."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..checkpoints import DEFAULT_FACE_CHECKPOINT, list_checkpoints
from ..cli.job import load_model, load_processor
from ..cli.models import ModelFolder, find_model
from ..image_processing import FaceCropper
from .analysis import Localizer


class Zoo:
    """The given localizers, then the embedded ones, and the face classifier.

    Args:
        models: Embedded names, folders or Hub ids; the first is chosen when the page opens, and loaded at once.

    Raises:
        CommandError: If a model does not exist, or the first is no localizer.
    """

    def __init__(self, models: Sequence[str]) -> None:
        embedded = [name for name, facts in list_checkpoints().items() if facts.get("task") != "face_classification"]
        self._folders: dict[str, ModelFolder] = {}
        for folder in map(find_model, [*models, *embedded]):
            self._folders.setdefault(_shown(folder.name), ModelFolder(_shown(folder.name), folder.path))
        self._lock = threading.Lock()
        self._localizers: dict[str, Localizer] = {}
        self.localizer(self.names[0])

    @property
    def names(self) -> list[str]:
        """The localizers to choose from."""
        return list(self._folders)

    def localizer(self, name: str) -> Localizer:
        """A localizer by its name, loaded once."""
        with self._lock:
            if name not in self._localizers:
                self._localizers[name] = Localizer(self._folders[name])
            return self._localizers[name]

    @cached_property
    def face_classifier(self) -> Any:
        """The deepfake pipeline.

        Raises:
            NoFaceError: If no face detector is installed.
        """
        from transformers import AutoModelForImageClassification

        from ..pipelines import DeepfakeDetectionPipeline

        folder = find_model(DEFAULT_FACE_CHECKPOINT)
        processor = load_processor(folder)
        return DeepfakeDetectionPipeline(
            model=load_model(folder, AutoModelForImageClassification),
            image_processor=processor,
            face_cropper=FaceCropper(margin=processor.face_margin),
        )


def _shown(name: str) -> str:
    """Visitors see no folder of this machine."""
    return Path(name).name if Path(name).is_absolute() else name
