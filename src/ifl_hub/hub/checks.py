"""What a repository must be before it is uploaded: the checks look at the very files that would go."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError, safe_open
from transformers import AutoImageProcessor

from ..files import joint_sha256
from ..messages import first_line
from .checkpoint import read_json, resolve_model_class

#: Identifiers of licences on the Hub under which weights and pictures are commonly published.
LICENCES = (
    *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "isc", "unlicense", "cc0-1.0"),
    *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0"),
    *("cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"),
    *("gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "epl-2.0", "eupl-1.2"),
    *("artistic-2.0", "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m"),
)
SECTIONS = ("Use", "Limits", "False alarms", "Scores", "Operating point", "Training", "Environmental cost", "Citation")
#: Endings of files that run code when they are loaded.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".h5", ".msgpack")
_ALLOWED = {".safetensors", ".json", ".md", ".yaml", ".py", ".cff", ".png", ""}
_TEXTS = {".json", ".md", ".yaml", ".py", ".cff"}
#: A path of somebody's machine: two or more levels, at the start of a word.
_ABSOLUTE = re.compile(
    r"(?:(?<=[\s\"'`(=\[,])|^)(?:/[\w.+-]+(?:/[\w.+-]+)+|[A-Za-z]:\\+[\w.+-]+|~/[\w.+-]+)", re.MULTILINE
)


def find_problems(folder: Path) -> list[str]:
    """Everything that forbids an upload, one line each with what to do; empty for a repository that may go.

    Args:
        folder: The whole repository, as it would be uploaded.
    """
    return [problem for check in CHECKS.values() for problem in check(folder)]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _only_known_kinds(folder: Path) -> Iterator[str]:
    for path in _files(folder):
        if path.suffix in PICKLES or path.suffix not in _ALLOWED:
            yield f"{path.relative_to(folder)} is no safetensors, text or picture: remove it"
        elif path.suffix == "" and path.name != "LICENSE":
            yield f"{path.relative_to(folder)} has no ending that says what it is: remove it"


def _weights_are_sound(folder: Path) -> Iterator[str]:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        yield "there are no safetensors weights: save the model with save_pretrained"
    for path in weights:
        try:
            with safe_open(path, "pt") as file:
                broken = [name for name in file.keys() if not _is_finite(file.get_tensor(name))]  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            yield f"{path.name} cannot be read ({error}): copy or save it again"
            continue
        if broken:
            yield f"{path.name}: {broken[0]} is not finite: these weights are of a training that diverged"


def _is_finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _model_loads(folder: Path) -> Iterator[str]:
    try:
        model_class = resolve_model_class(read_json(folder / "config.json"))
        _, report = model_class.from_pretrained(folder, output_loading_info=True)
        AutoImageProcessor.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        yield f"the model cannot be loaded: {first_line(error)}"
        return
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[key]:
            yield f"weights and config.json do not fit, {key.replace('_', ' ')}: {sorted(map(str, report[key]))[0]}"


def _card_is_complete(folder: Path) -> Iterator[str]:
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    header = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    values = yaml.safe_load(header[1]) if header else {}
    for key in ("license", "library_name", "pipeline_tag", "tags"):
        if not values.get(key):
            yield f"the card's header has no {key}"
    for section in SECTIONS:
        found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        if not found or not found[1].strip():
            yield f"the card says nothing under {section!r}"
    if "re-implementation" not in text:
        yield "the card does not say that this is a re-implementation"


def _licence_is_known(folder: Path) -> Iterator[str]:
    metadata = read_json(folder / "metadata.json")
    if metadata["licence"] not in LICENCES:
        yield f"licence {metadata['licence']!r} is none that the Hub knows: one of {', '.join(LICENCES)}"
    if not (folder / "LICENSE").is_file():
        yield f"the text of {metadata['licence']} is missing: put it beside the weights, as LICENSE"
    for row in metadata["training_data"]:
        if not all(row["licences"]) or not row["licences"]:
            yield f"the licence of the training data {row['source']!r} is missing"


def _metadata_is_of_these_weights(folder: Path) -> Iterator[str]:
    stated = read_json(folder / "metadata.json")["weights_sha256"]
    actual = joint_sha256(sorted(folder.glob("*.safetensors")))
    if stated != actual:
        yield f"metadata.json describes other weights ({stated[:8]}…, these are {actual[:8]}…): describe these"


def _no_absolute_paths(folder: Path) -> Iterator[str]:
    for path in _files(folder):
        if path.suffix in _TEXTS and (found := _ABSOLUTE.search(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(folder)} names a place on this machine, {found[0]!r}: remove it"


def _code_is_there(folder: Path) -> Iterator[str]:
    for name in ("config.json", "preprocessor_config.json"):
        path = folder / name
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        references = [*values.get("auto_map", {}).values()]
        references += [task["impl"] for task in values.get("custom_pipelines", {}).values()]
        for reference in references:
            if not (folder / f"{reference.partition('.')[0]}.py").is_file():
                yield f"{name} names code that is not there, {reference}: push with --with-code"


#: By what each makes sure of.
CHECKS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "safetensors and text only": _only_known_kinds,
    "weights finite": _weights_are_sound,
    "model loads": _model_loads,
    "card complete": _card_is_complete,
    "licence known": _licence_is_known,
    "description of these weights": _metadata_is_of_these_weights,
    "no absolute paths": _no_absolute_paths,
    "all code there": _code_is_there,
}
