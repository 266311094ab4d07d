"""`ifl-hub models`, and where a `--model` leads: an embedded checkpoint, a folder, or a repository on the Hub."""

import re
from dataclasses import dataclass
from pathlib import Path

import typer

from ..checkpoints import checkpoint_path, list_checkpoints, weights_sha256
from .errors import CommandError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def models() -> None:
    """List the trained models that ship with this version."""
    for name, metadata in list_checkpoints().items():
        facts = [str(metadata[key]) for key in ("method", "task", "license", "licence") if metadata.get(key)]
        typer.echo(f"{name}: {', '.join(facts)}")


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint on this machine.

    Args:
        name: As the user gave it; goes into the results.
        path: Folder for `from_pretrained`.
    """

    name: str
    path: Path

    def weights_sha256(self) -> str:
        """SHA-256 over the weights, as `checkpoints.weights_sha256` reads them."""
        return weights_sha256(self.path)


def find_model(name: str) -> ModelFolder:
    """Resolve `--model` without the network, unless the name can only be a repository on the Hub.

    Args:
        name: An embedded checkpoint, a folder with config.json and safetensors, or "organisation/model".

    Raises:
        CommandError: If there is no such model, or it has no safetensors weights.
    """
    if name in list_checkpoints():
        folder = Path(checkpoint_path(name))
    elif Path(name).is_dir():
        folder = Path(name)
    elif _HUB_ID.fullmatch(name) and not name.startswith("."):
        folder = _download(name)
    else:
        embedded = ", ".join(list_checkpoints())
        raise CommandError(f"no model {name!r}: give one of {embedded}, a folder, or organisation/model on the Hub")
    for wanted in ("config.json", "preprocessor_config.json", "*.safetensors"):
        if not any(folder.glob(wanted)):
            raise CommandError(f"{name} is no model folder: it holds no {wanted}; save one with save_pretrained")
    return ModelFolder(name, folder)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CommandError(f"no folder {name!r} here, and the Hub gave none: {reason}") from error
