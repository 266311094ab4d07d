"""From a checkpoint to an exported folder, which is only kept if its maps are those of the checkpoint."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ..checkpoints import weights_sha256
from .exported import BACKENDS, ExportedLocalizer, runner_options

#: Largest difference of a probability between an exported model and its original.
TOLERANCE = 1e-4
#: `(batch, height, width)` that every export is tried on: small, odd, wide, and a batch.
CHECKED_SIZES = ((1, 64, 64), (1, 97, 65), (2, 72, 200))
#: What the program is traced with: no side may be 0 or 1, or equal to another, or the program would hold it fixed.
_TRACED_SIZE = (2, 96, 128)


def export_localizer(model: PreTrainedModel, format: str) -> ExportedLocalizer:
    """Turn a localization model into a program that takes any batch size, height and width.

    Args:
        model: A localization model; it is set to evaluation.
        format: One of `BACKENDS`.

    Raises:
        ValueError: If there is no such format.
        ImportError: If what the format needs is not installed.
    """
    exporter, config_class = _exporter(format)
    batch, height, width = _TRACED_SIZE
    pixel_values = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    config = config_class(dynamic=True, dynamic_shapes={"pixel_values": free})
    exported = exporter.export(model.eval(), {"pixel_values": pixel_values}, config)
    return ExportedLocalizer(exported.to("cpu", **runner_options(format)))


def largest_difference(
    model: PreTrainedModel, exported: ExportedLocalizer, sizes: tuple[tuple[int, int, int], ...] = CHECKED_SIZES
) -> float:
    """The largest difference of a probability, of a pixel or an image, over random inputs.

    Args:
        model: The original.
        exported: Its export.
        sizes: `(batch, height, width)` of the inputs.
    """
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    for batch, height, width in sizes:
        pixel_values = torch.randn(batch, 3, height, width, generator=generator)
        with torch.no_grad():
            expected, got = model(pixel_values=pixel_values), exported(pixel_values=pixel_values)
        for name in ("logits", "image_logits"):
            if getattr(expected, name) is not None:
                difference = getattr(expected, name).sigmoid() - getattr(got, name).sigmoid()
                largest = max(largest, difference.abs().max().item())
    return largest


def export_checkpoint(folder: str | Path, format: str, out: str | Path) -> float:
    """Export a checkpoint folder, with its processor and what is known about it, into a new folder.

    Args:
        folder: Of a localization model, as for `from_pretrained`.
        format: One of `BACKENDS`.
        out: The new folder; whole or absent.

    Returns:
        The largest difference of a probability at `CHECKED_SIZES`.

    Raises:
        ValueError: If `out` exists, or the exported model's maps are not the original's.
        ImportError: If what the format needs is not installed.
    """
    from ..modeling.auto import AutoModelForImageForgeryLocalization

    folder, out = Path(folder), Path(out)
    if out.exists():
        raise ValueError(f"{out} exists already; name a new folder")
    model = AutoModelForImageForgeryLocalization.from_pretrained(folder, local_files_only=True)
    exported = export_localizer(model, format)
    difference = largest_difference(model, exported)
    if not difference <= TOLERANCE:
        raise ValueError(
            f"the {format} program differs from the model by {difference:.1e} (at most {TOLERANCE:g} is allowed); "
            "nothing was written"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        written = Path(temporary) / out.name
        exported.save_pretrained(written)
        _describe(folder, written, format, difference)
        written.rename(out)
    return difference


def _describe(folder: Path, written: Path, format: str, difference: float) -> None:
    """Copy the processor and the metadata, and add where the program comes from."""
    shutil.copyfile(folder / "preprocessor_config.json", written / "preprocessor_config.json")
    source = folder / "metadata.json"
    metadata: dict[str, Any] = json.loads(source.read_text(encoding="utf-8")) if source.is_file() else {}
    metadata["exported"] = {
        "format": format,
        "from_weights_sha256": weights_sha256(folder),
        "largest_difference": difference,
        "sizes": CHECKED_SIZES,
    }
    (written / "metadata.json").write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")


def _exporter(format: str) -> tuple[Any, Any]:
    from transformers import exporters

    if format == "onnx":
        return exporters.OnnxExporter(), exporters.OnnxConfig
    if format == "openvino":
        return exporters.OpenVINOExporter(), exporters.OpenVINOConfig
    if format == "torch-export":
        return exporters.DynamoExporter(), exporters.DynamoConfig
    raise ValueError(f"no format {format!r}; there are {', '.join(BACKENDS)}")
