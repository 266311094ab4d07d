"""What a checkpoint folder is, read from the files that transformers wrote."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..registration import FACE_CLASSIFICATION_MODELS, LOCALIZATION_MODELS


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file.

    Raises:
        ValueError: If it is missing or no JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: a model is saved by save_pretrained, its processor beside it") from None
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): save it again") from error


def resolve_model_class(config: dict[str, Any]) -> type[PreTrainedModel]:
    """The class of a `config.json`: the one that its `architectures` name, else the one of its `model_type`.

    Raises:
        ValueError: If it is none of ours.

    Example:
        >>> resolve_model_class({"model_type": "ncl"}).__name__
        'NclForImageForgeryLocalization'
    """
    import ifl_hub

    registered = {**LOCALIZATION_MODELS, **FACE_CLASSIFICATION_MODELS}
    by_type = {config_class.model_type: model_class for config_class, model_class in registered.items()}
    if (model_type := config.get("model_type")) not in by_type:
        raise ValueError(f"model_type {model_type!r} is no method of ifl-hub; there are {', '.join(sorted(by_type))}")
    [name] = config.get("architectures") or [by_type[model_type].__name__]
    if name not in ifl_hub.__all__:
        raise ValueError(f"architecture {name!r} is no model of ifl-hub: save the model with save_pretrained")
    return getattr(ifl_hub, name)
