"""Where the embedded checkpoints lie and what is known about each, read from the `metadata.json` beside the weights."""

import json
from pathlib import Path
from typing import Any

from ..files import joint_sha256

DEFAULT_CHECKPOINT = "safl-net-lite0"
DEFAULT_FACE_CHECKPOINT = "exposing-deception-small"
#: Of the files that determine what a model computes: a checkpoint's, and those of ONNX, OpenVINO and torch.export.
_WEIGHTS = (".safetensors", ".onnx", ".data", ".xml", ".bin", ".pt2")
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
    return {name: checkpoint_metadata(_ROOT / name) for name in _names()}


def checkpoint_metadata(folder: str | Path) -> dict[str, Any]:
    """What is known of a checkpoint beyond its weights; empty where it came without.

    Example:
        >>> checkpoint_metadata(checkpoint_path("sumi-ifl-small"))["method"]
        'SUMI-IFL'
    """
    file = Path(folder) / "metadata.json"
    metadata: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return metadata


def weights_sha256(folder: str | Path) -> str:
    """SHA-256 over a folder's weights, in the order of their names; of a single file, simply its own.

    They are the safetensors files, or in an exported folder the files of its program.

    Example:
        >>> weights_sha256(checkpoint_path("safl-net-lite0")) == list_checkpoints()["safl-net-lite0"]["weights_sha256"]
        True
    """
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in _WEIGHTS)
    return joint_sha256([path for path in files if path.suffix == ".safetensors"] or files)


def _names() -> list[str]:
    return sorted(path.parent.name for path in _ROOT.glob("*/metadata.json"))
