"""Which model judged, and what is known about it: what a report says so that somebody else can check it."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..checkpoints import checkpoint_metadata, weights_sha256
from ..export import BACKENDS

_PACKAGES = ("torch", "transformers", "numpy", "pillow")


@dataclass(frozen=True)
class ModelFacts:
    """A model as a report describes it.

    Args:
        name: As the user gave it.
        weights_sha256: Of its weights, as in `results.jsonl`.
        preprocessing: The processor's settings with the call's options on top: `threshold`, `score_threshold`, tiles.
        metadata: The checkpoint's `metadata.json`; empty where there is none.
        backend: What ran it.
        versions: Of what took part.
    """

    name: str
    weights_sha256: str
    preprocessing: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "torch"
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, folder: str | Path, name: str | None = None, options: Mapping[str, Any] | None = None
    ) -> "ModelFacts":
        """The facts of a checkpoint folder.

        Args:
            folder: As for `from_pretrained`.
            name: What to call it; default: the folder's name.
            options: What the call of the pipeline chose, such as `threshold`, `score_threshold`, `tile_size`.

        Example:
            >>> from ifl_hub import checkpoint_path
            >>> ModelFacts.read(checkpoint_path("safl-net-lite0")).metadata["method"]
            'SAFL-Net'
        """
        from ..image_processing import IflImageProcessor

        folder = Path(folder)
        processor = IflImageProcessor.from_pretrained(folder, local_files_only=True)
        metadata = checkpoint_metadata(folder)
        backend = BACKENDS[metadata["exported"]["format"]] if "exported" in metadata else "torch"
        return cls(
            name=name or folder.name,
            weights_sha256=weights_sha256(folder),
            preprocessing={**json.loads(processor.to_json_string()), **(options or {})},
            metadata=metadata,
            backend=backend,
            versions=_installed_versions(backend),
        )


def _installed_versions(backend: str) -> dict[str, str]:
    """Versions of Python, this package and what it computes with."""
    from .. import __version__

    versions = {"ifl-hub": __version__, "Python": platform.python_version()}
    for package in dict.fromkeys((*_PACKAGES, backend)):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
