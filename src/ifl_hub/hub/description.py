"""What is known of a checkpoint, as data: its `metadata.json`, or what can be read off a run of `ifl-hub train`.

Cards, structured results and citation files are made from this. What nobody knows stays None, and the card says so.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ..checkpoints import list_checkpoints
from ..files import joint_sha256
from ..registration import FACE_CLASSIFICATION_MODELS, LOCALIZATION_MODELS
from .checkpoint import read_json, resolve_model_class
from .results import score_from_evaluation

#: What holds for every checkpoint, where nobody has written down more.
GENERAL_LIMITS = (
    "A hint, not a proof: look at the heat map, and look for other evidence.",
    "Resizing, screenshots and messenger re-compression erase the traces that any such network reads: give it the most "
    "original file you have, and never enlarge a picture first.",
    "It knows the kinds of forgeries that it was trained on; nobody has written down how it does on others.",
    "Masks say where, not what or who; the score is not the probability of intent.",
)


def method_facts(model_type: str) -> dict[str, Any]:
    """The method's name, its paper, and what code the authors published.

    Example:
        >>> method_facts("ncl")["paper"]["venue"]
        'ICCV 2023'
    """
    return json.loads((Path(__file__).parent / "methods.json").read_text(encoding="utf-8"))[model_type]


def describe(
    folder: Path,
    name: str,
    licence: str | None = None,
    trained_on: Sequence[tuple[str, str]] = (),
    evaluations: Sequence[Path] = (),
) -> dict[str, Any]:
    """All that is known of a checkpoint.

    Args:
        folder: With `config.json` and weights, and with `metadata.json`, or `training_summary.json` of a run.
        name: Used where the metadata has none.
        licence: Of the weights; its identifier on the Hub.
        trained_on: Source and licence of each kind of training data.
        evaluations: Files `results.json` of `ifl-hub evaluate`.

    Raises:
        ValueError: If nobody has said something that a card must say, a file is not what it should be, or the arguments
            contradict the metadata.
    """
    config = read_json(folder / "config.json")
    model_class = resolve_model_class(config)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(f"{folder} has no safetensors weights: save the model with save_pretrained")
    own = _own_metadata(folder)
    given = {"licence": licence, "training_data": [_training_row(*pair) for pair in trained_on] or None}
    for key, value in given.items():
        if value is not None and own.get(key) not in (None, value):
            raise ValueError(f"{folder.name}/metadata.json states its own {key.replace('_', ' ')}: change it there")
    known = {
        "name": name,
        "task": task_of(model_class),
        "model_type": config["model_type"],
        "model_class": model_class.__name__,
        **method_facts(config["model_type"]),
        "size_bytes": sum(path.stat().st_size for path in weights),
        "weights_sha256": joint_sha256(weights),
        "parameters": _count_parameters(model_class, folder),
        "limits": list(GENERAL_LIMITS),
        "learnt_from": None,
        "operating_point": _operating_point(folder),
        "training": _training(folder),
        "starts_from": _starts_from(folder),
        "scores": [],
        **given,
        **own,
    }
    scores = [score_from_evaluation(read_json(path), known["weights_sha256"], known["name"]) for path in evaluations]
    known["scores"] = _newest([*known["scores"], *scores])
    if not known["licence"]:
        raise ValueError("its licence is unknown: state it with --licence, such as --licence apache-2.0")
    if not known["training_data"]:
        raise ValueError("nobody has said what it was trained on: --trained-on 'SOURCE=LICENCE', repeatable")
    return known


def task_of(model_class: type[PreTrainedModel]) -> str:
    """What a model is for: `"localization"`, `"face_classification"`, or `"stage"` of a training in several stages."""
    if model_class in LOCALIZATION_MODELS.values():
        return "localization"
    return "face_classification" if model_class in FACE_CLASSIFICATION_MODELS.values() else "stage"


def _own_metadata(folder: Path) -> dict[str, Any]:
    path = folder / "metadata.json"
    return read_json(path) if path.is_file() else {}


def _training_row(source: str, licence: str) -> dict[str, Any]:
    return {"source": source, "role": None, "train": None, "validation": None, "licences": [licence], "packages": []}


def _operating_point(folder: Path) -> dict[str, Any]:
    processor = read_json(folder / "preprocessor_config.json")
    measured = dict.fromkeys(("sensitivity", "false_alarm_rate", "n_forged", "n_authentic"))
    thresholds = {key: processor.get(key) for key in ("threshold", "score_threshold")}
    return {
        "description": "Not calibrated after this training: the thresholds are inherited.",
        **thresholds,
        **measured,
    }


def _training(folder: Path) -> dict[str, Any] | None:
    summary = _summary(folder)
    if summary is None:
        return None
    recipe = summary["recipe"]
    settings = {key: _without_places(value) for key, value in recipe.items() if value not in (None, {}, [], "")}
    return {
        "recipe": None,
        "settings": settings,
        "revision": None,
        **{key: recipe[key] for key in ("seed", "steps", "batch_size", "crop_size")},
        "steps": summary["best_step"] or recipe["steps"],
        "weights_sha256": summary["weights_sha256"],
        "hardware": summary["hardware"],
        "seconds": summary["seconds_this_run"],
        "torch": summary["torch"],
    }


def _starts_from(folder: Path) -> list[dict[str, Any]] | None:
    """None where there is no record of the training."""
    summary = _summary(folder)
    if summary is None:
        return None
    embedded = list_checkpoints()
    starts = []
    for key, what in (("weights", "the weights of"), ("encoder_weights", "the encoder of")):
        if source := summary["recipe"].get(key):
            known = embedded.get(source, {})
            starts.append(
                {
                    "what": f"{what} {_without_places(source)}",
                    "source": "ifl-hub" if known else "see there",
                    "licence": known.get("licence", "see there"),
                    "data": "see its card",
                }
            )
    return starts


def _summary(folder: Path) -> dict[str, Any] | None:
    path = folder / "training_summary.json"
    return read_json(path) if path.is_file() else None


def _without_places(value: Any) -> Any:
    """The same, with only the last name of every path of somebody's machine; Hub ids stay."""
    if isinstance(value, str):
        is_place = ("/" in value or "\\" in value) and not re.fullmatch(r"[\w.-]+/[\w.-]+", value)
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1] if is_place else value
    if isinstance(value, Mapping):
        return {key: _without_places(part) for key, part in value.items()}
    return [_without_places(part) for part in value] if isinstance(value, list | tuple) else value


def _count_parameters(model_class: type[PreTrainedModel], folder: Path) -> int:
    with torch.device("meta"):
        return model_class(model_class.config_class.from_pretrained(folder)).num_parameters()


def _newest(scores: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One score for each data set and split: the last."""
    return list({(score["data"], score.get("split")): score for score in scores}.values())
