"""`ifl-hub localize`: pictures in; overlays, masks, heat maps and one JSON line each out."""

from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from ..checkpoints import DEFAULT_CHECKPOINT
from ..image_processing.loading import LoadedImage
from ..processes import own_device
from ..reports import render_overlay
from .errors import CommandError
from .inputs import collect_pictures
from .job import Call, Job, Todo, load_model, load_processor, silence_libraries
from .models import find_model
from .reports import LocalizeReports
from .results import LOCALIZE_OUTPUTS, ResultsFolder


def localize(
    images: Annotated[list[Path], typer.Argument(metavar="IMG|DIR...", help="Pictures, or folders of pictures.")],
    model: Annotated[
        str, typer.Option(help="An embedded model (see `ifl-hub models`), a folder, or organisation/model on the Hub.")
    ] = DEFAULT_CHECKPOINT,
    out: Annotated[Path, typer.Option(help="Folder for the results; a later run into it goes on.")] = Path("out"),
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="A pixel is forged above it. Default: the model's own.")
    ] = None,
    tile_size: Annotated[
        int | None, typer.Option(min=0, help="Side of the tiles in pixels; 0: never tile. Default: the model's own.")
    ] = None,
    tile_overlap: Annotated[
        int | None, typer.Option(min=0, help="Pixels that neighbouring tiles share. Default: the model's own.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles that go through the model at once.")] = 1,
    report: Annotated[
        bool, typer.Option("--report", help="Also an HTML report of each picture, and of several together report.html.")
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print the JSON lines instead of a line to read.")] = False,
) -> None:
    """Find what was changed in photos.

    Per picture an overlay, a mask and a 16-bit heat map (65535 = surely forged) go to the results folder, and a JSON
    line to its results.jsonl. Pictures that are done already are not done again. Nothing is sent anywhere.
    Several processes share the pictures: `accelerate launch -m ifl_hub localize` with the same options.
    """
    silence_libraries()
    pictures = collect_pictures(images, out)
    folder = find_model(model)
    options = {"threshold": threshold, "tile_size": tile_size, "tile_overlap": tile_overlap}
    options = {name: value for name, value in options.items() if value is not None}
    results = ResultsFolder(out, pictures, LOCALIZE_OUTPUTS)
    reports = LocalizeReports(out, folder, options) if report else None
    _Localization(Call(pictures, folder, options, results, json_lines), reports).run(batch_size)


class _Localization(Job):
    def __init__(self, call: Call, reports: LocalizeReports | None) -> None:
        super().__init__(call)
        self._reports = reports

    def load_pipeline(self) -> Any:
        from ..modeling.auto import AutoModelForImageForgeryLocalization
        from ..pipelines import ImageForgeryLocalizationPipeline

        model = load_model(self._call.folder, AutoModelForImageForgeryLocalization)
        processor = load_processor(self._call.folder)
        return ImageForgeryLocalizationPipeline(model=model, image_processor=processor, device=own_device())

    def do(self, pipe: Any, todo: list[Todo], batch_size: int) -> None:
        tiles = count(1)  # a sign of life within a large picture
        pipe.model.register_forward_hook(lambda *_: self._bar.set_postfix(tiles=next(tiles)))
        try:
            self.do_pictures(pipe, todo, batch_size)
        except ValueError as error:  # tiles that leave no room beside their overlap
            raise CommandError(str(error)) from error

    def write(self, todo: Todo, image: LoadedImage, result: dict[str, Any]) -> dict[str, Any]:
        facts, pictures = facts_and_pictures(image, result)
        _, settings = todo
        return self._call.results.write(settings, facts, pictures)

    def report(self, record: dict[str, Any], remark: str = "") -> None:
        if self._reports is not None:
            record = {**record, "report": self._reports.write(record)}
        super().report(record, remark)

    def finish(self) -> None:
        if self._reports is not None and len(self._call.pictures) > 1:
            where = self._reports.write_folder(self._call.pictures)
            if where is not None and not self._call.json_lines:
                typer.echo(f"all of them: {where}")
        super().finish()

    def describe(self, record: dict[str, Any]) -> str:
        notes = "".join(f" [{note}]" for note in record["notes"])
        return (
            f"{record['label']:<9}  score {record['score']:.2f}  {record['forged_area']:6.1%} of the picture  "
            f"{record['file']}{notes}" + (f"  report: {record['report']}" if "report" in record else "")
        )


def facts_and_pictures(image: LoadedImage, result: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """What is stored of a result: the facts of its JSON line, and its pictures by the keys of `LOCALIZE_OUTPUTS`."""
    height, width = image.size
    facts = {
        "label": result["label"],
        "score": round(result["score"], 6),
        "forged_area": round(float(np.mean(np.asarray(result["mask"]) > 0)), 6),
        "width": width,
        "height": height,
        "notes": list(image.notes),
        "heatmap_unit": "probability * 65535, 16-bit PNG",
    }
    pictures = {
        "overlay": render_overlay(image.pixels, result["heatmap"], result["mask"]),
        "mask": result["mask"],
        "heatmap": Image.fromarray(np.rint(result["heatmap"] * 65535).astype(np.uint16)),
    }
    return facts, pictures
