"""An exported model in the place of a torch one: same call, same output class, other runtime.

transformers' exporters (since 5.23) write the program, a manifest and the config; this module lets the auto class, the
pipeline and the command line take such a folder for a checkpoint, and sets what makes results reproducible.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.utils import ModelOutput

if TYPE_CHECKING:
    from transformers.exporters import ExportedModel

#: The runtime of each format, as `backend=` of the pipeline calls it.
BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino", "torch-export": "torch-export"}
MANIFEST = "export.json"
#: How transformers calls the formats.
_FORMATS = {"onnx": "onnx", "openvino": "openvino", "dynamo": "torch-export"}


class ExportedLocalizer(nn.Module):
    """A localization model that another runtime computes, on the CPU, in float32.

    Args:
        exported: transformers' exported model, on its runtime with `runner_options`.

    Attributes:
        config: Of the model that was exported.
        format: One of `BACKENDS`.
        backend: Its runtime.
    """

    def __init__(self, exported: "ExportedModel") -> None:
        super().__init__()
        self.format = _FORMATS[str(exported.export_format)]
        self.backend = BACKENDS[self.format]
        self.config = exported.config
        self._exported = exported

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> "ExportedLocalizer":
        """Load what `save_pretrained` wrote.

        Raises:
            ImportError: If the runtime is not installed; the message says how to.
        """
        from transformers.exporters import ExportedModel

        manifest = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
        try:
            options = runner_options(_FORMATS[manifest["export_format"]])
            return cls(ExportedModel.from_pretrained(folder, device="cpu", local_files_only=True, **options))
        except ImportError as error:
            raise ImportError(f'{error}; exported models need their runtime: pip install "ifl-hub[export]"') from error

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write program, manifest and config."""
        self._exported.save_pretrained(save_directory, **kwargs)

    @property
    def device(self) -> torch.device:
        """Where inputs and outputs live: the CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs."""
        return self._exported.dtype

    def forward(self, pixel_values: torch.Tensor) -> ModelOutput:
        """The exported model's own output.

        Args:
            pixel_values: `(B, 3, H, W)`, as for the model that was exported.
        """
        return self._exported(pixel_values=pixel_values.to(self.device, self.dtype))


def is_exported(folder: str | Path) -> bool:
    """Whether a folder on this machine holds an exported model and no weights for torch."""
    folder = Path(folder)
    return (folder / MANIFEST).is_file() and not any(folder.glob("*.safetensors"))


def runner_options(format: str) -> dict[str, Any]:
    """What each runtime is told: as many threads as torch, and float32 where its default is less.

    OpenVINO computes in bfloat16 where the processor can, which moves probabilities by some hundredths.
    """
    threads = torch.get_num_threads()
    if format == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return {"session_options": options}
    if format == "openvino":
        return {"config": {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}}
    return {}
