"""Small trained weights that ship with the package, each a folder for `from_pretrained` with its card."""

from .registry import (
    DEFAULT_CHECKPOINT,
    DEFAULT_FACE_CHECKPOINT,
    checkpoint_metadata,
    checkpoint_path,
    list_checkpoints,
    weights_sha256,
)

__all__ = [
    "DEFAULT_CHECKPOINT",
    "DEFAULT_FACE_CHECKPOINT",
    "checkpoint_metadata",
    "checkpoint_path",
    "list_checkpoints",
    "weights_sha256",
]
