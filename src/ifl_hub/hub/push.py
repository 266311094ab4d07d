"""Publishing a checkpoint: gather what belongs to it, check exactly that, and upload it in one commit.

A repository holds model, processor and scheduler, the card with its plot, the structured results, the licence and a
citation file. It is put together in a temporary folder first. If a check fails, nothing has been sent anywhere.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import write_atomically
from ..messages import first_line
from .checkpoint import read_json
from .checks import PICKLES, find_problems
from .code_export import export_code
from .description import describe
from .eval_results import eval_results
from .model_card import TEMPLATES, plot_name, render_card, render_citation
from .results import plotted

#: What of a checkpoint folder belongs to a model, apart from the licence.
_MODEL_FILES = (
    *("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"),
    "scheduler/scheduler_config.json",
)
#: What an upload replaces, so that no file of an earlier one stays behind.
_REPLACED = ("*.safetensors", "*.safetensors.index.json", "*.py", "*-robustness.png", ".eval_results/*", "scheduler/*")
_CODE_KEYS = ("auto_map", "custom_pipelines")


class PublishingError(ValueError):
    """A repository that must not be published; the message has one line for each reason."""


@dataclass(frozen=True)
class Repository:
    """A repository that passed every check and waits for its upload.

    Args:
        repo_id: `organisation/name` on the Hub.
        folder: Its files; gone when the context of `prepare` ends.
        left_out: Files of the checkpoint's folder that do not belong to it.
    """

    repo_id: str
    folder: Path
    left_out: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Its files, in bytes."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in paths}


@contextmanager
def prepare(
    checkpoint: Path,
    repo_id: str,
    with_code: bool = False,
    licence: str | None = None,
    trained_on: Sequence[tuple[str, str]] = (),
    evaluations: Sequence[Path] = (),
) -> Iterator[Repository]:
    """Put a repository together and check it, without the network.

    Args:
        checkpoint: A folder for `from_pretrained`, such as the `final/` of a run.
        repo_id: Where it is to go, `organisation/name`.
        with_code: Also the method's code, for machines without ifl_hub.
        licence: As for `describe`.
        trained_on: As for `describe`.
        evaluations: As for `describe`.

    Raises:
        PublishingError: If a check fails.
        ValueError: As `describe`.
    """
    if pickles := [path.name for path in sorted(checkpoint.rglob("*")) if path.suffix in PICKLES]:
        raise PublishingError(f"{checkpoint.name} holds {pickles[0]}, which may run code when loaded: remove it")
    description = describe(checkpoint, repo_id.rpartition("/")[2], licence, trained_on, evaluations)
    with tempfile.TemporaryDirectory(prefix="ifl-hub-") as temporary:
        folder = Path(temporary)
        taken = _copy_model(checkpoint, folder)
        if with_code:
            export_code(folder)
        _write_documents(folder, checkpoint, description, repo_id, with_code)
        if problems := find_problems(folder):
            raise PublishingError("\n".join(problems))
        made = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        others = {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()}
        yield Repository(repo_id, folder, tuple(sorted(others - taken - made)))


def upload(repository: Repository, private: bool = False, revision: str | None = None) -> str:
    """Send a checked repository to the Hub in one commit, and return the commit's address.

    Args:
        repository: Of `prepare`.
        private: Nobody else may see it. An existing public repository is not used then.
        revision: A branch, made if it does not exist; None for the main one.

    Raises:
        PublishingError: If the Hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    api, repo_id = HfApi(), repository.repo_id
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise PublishingError(f"{repo_id} exists and is public: choose another name, or make it private there")
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=repository.folder,
            revision=revision,
            commit_message="Upload with ifl-hub",
            delete_patterns=list(_REPLACED),
        )
    except (HTTPError, OSError) as error:
        raise PublishingError(_refusal(repo_id, error)) from error
    return str(commit.commit_url)


def _copy_model(checkpoint: Path, folder: Path) -> set[str]:
    """Copy what belongs to a model; a configuration without references to code that may not come along."""
    taken = set()
    for path in sorted({path for pattern in _MODEL_FILES for path in checkpoint.glob(pattern)}):
        relative = path.relative_to(checkpoint)
        target = folder / relative
        target.parent.mkdir(exist_ok=True)
        if relative.name in ("config.json", "preprocessor_config.json"):
            values = {key: value for key, value in read_json(path).items() if key not in _CODE_KEYS}
            _write_json(target, values)
        else:
            shutil.copyfile(path, target)
        taken.add(relative.as_posix())
    return taken


def _write_documents(
    folder: Path, checkpoint: Path, description: dict[str, Any], repo_id: str, with_code: bool
) -> None:
    """Description, card, plot, structured results, licence and citation."""
    _write_json(folder / "metadata.json", description)
    write_atomically(folder / "README.md", render_card(description, repo_id, with_code).encode())
    write_atomically(folder / "CITATION.cff", render_citation(description).encode())
    for name, text in eval_results(description).items():
        write_atomically(folder / name, text.encode())
    if score := plotted(description["scores"]):
        from .plot import plot_robustness

        plot_robustness(folder / plot_name(description["name"]), score)
    for licence in (checkpoint / "LICENSE", TEMPLATES / f"{description['licence']}.txt"):
        if licence.is_file():
            shutil.copyfile(licence, folder / "LICENSE")
            return


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())


def _refusal(repo_id: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"the Hub does not let you write to {repo_id} ({status}): `hf auth login`, or set HF_TOKEN"
    return f"the Hub did not take {repo_id}: {first_line(error)}"
