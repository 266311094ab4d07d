"""`ifl-hub models`, and where a `--model` leads: an embedded checkpoint, a folder, or a repository on the Hub."""

import re
from dataclasses import dataclass
from pathlib import Path

import typer

from ..checkpoints import checkpoint_path, list_checkpoints, weights_sha256
from ..export.exported import MANIFEST, is_exported
from ..files import check_cached_files
from ..messages import first_line
from .errors import CommandError

_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


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
        name: An embedded checkpoint, a folder with config.json and safetensors (or what `ifl-hub export` wrote), or
            "organisation/model", behind which "@" may name a branch, a tag or a commit.

    Raises:
        CommandError: If there is no such model, or it has no safetensors weights.
    """
    if name in list_checkpoints():
        folder = Path(checkpoint_path(name))
    elif Path(name).is_dir():
        folder = Path(name)
    elif (found := _HUB_ID.fullmatch(name)) and not name.startswith("."):
        folder = _download(*found.groups())
    else:
        embedded = ", ".join(list_checkpoints())
        raise CommandError(f"no model {name!r}: give one of {embedded}, a folder, or organisation/model on the Hub")
    weights = "*.safetensors" if not is_exported(folder) else MANIFEST
    for wanted in ("config.json", "preprocessor_config.json", weights):
        if not any(folder.glob(wanted)):
            raise CommandError(f"{name} is no model folder: it holds no {wanted}; save one with save_pretrained")
    return ModelFolder(name, folder)


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # of a connection that breaks off; the Hub's own errors are OSErrors

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.safetensors"]))
        check_cached_files(sorted(folder.glob("*.*")))
    except (HTTPError, OSError, ValueError) as error:
        raise CommandError(f"no folder {name!r} here, and the Hub gave none: {first_line(error)}") from error
    return folder
