"""Where the embedded checkpoints lie and what is known about each, read from the `metadata.json` beside the weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

DEFAULT_CHECKPOINT = "safl-net-lite0"
DEFAULT_FACE_CHECKPOINT = "exposing-deception-small"
_ROOT = Path(__file__).parent


def checkpoint_path(name: str) -> str:
    """The folder of an embedded checkpoint, ready for `from_pretrained`.

    Args:
        name: One of the names in `list_checkpoints()`, such as `"sumi-ifl-small"`.

    Raises:
        ValueError: If no checkpoint of that name ships with this version.

    Example:
        >>> from ifl_hub import checkpoint_path
        >>> checkpoint_path("sumi-ifl-tiny")
        Traceback (most recent call last):
        ...
        ValueError: no embedded checkpoint is called 'sumi-ifl-tiny'; there are: diff-forensics-small, ...
    """
    if name not in _names():
        raise ValueError(f"no embedded checkpoint is called {name!r}; there are: {', '.join(_names())}")
    return str(_ROOT / name)


def list_checkpoints() -> dict[str, dict[str, Any]]:
    """What every embedded checkpoint is: method, size, licence, training data, scores with their definition.

    Example:
        >>> from ifl_hub import list_checkpoints
        >>> list_checkpoints()["sumi-ifl-small"]["method"]
        'SUMI-IFL'
    """
    return {name: json.loads((_ROOT / name / "metadata.json").read_text(encoding="utf-8")) for name in _names()}


def weights_sha256(folder: str | Path) -> str:
    """SHA-256 over a folder's safetensors files, in the order of their names; of a single file, simply its own.

    Example:
        >>> weights_sha256(checkpoint_path("safl-net-lite0")) == list_checkpoints()["safl-net-lite0"]["weights_sha256"]
        True
    """
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _names() -> list[str]:
    return sorted(path.parent.name for path in _ROOT.glob("*/metadata.json"))
