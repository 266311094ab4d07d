"""`ifl-hub localize`: pictures in; overlays, masks, heat maps and one JSON line each out."""

import json
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from ..checkpoints import DEFAULT_CHECKPOINT
from ..files import file_sha256
from ..image_processing import IflImageProcessor, ImageLoadError, load_image
from ..image_processing.loading import LoadedImage
from .errors import CommandError
from .inputs import Picture, collect_pictures
from .models import ModelFolder, find_model
from .results import ResultsFolder


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
    json_lines: Annotated[bool, typer.Option("--json", help="Print the JSON lines instead of a line to read.")] = False,
) -> None:
    """Find what was changed in photos.

    Per picture an overlay, a mask and a 16-bit heat map (65535 = surely forged) go to the results folder, and a JSON
    line to its results.jsonl. Pictures that are done already are not done again. Nothing is sent anywhere.
    """
    silence_libraries()
    pictures = collect_pictures(images, out)
    folder = find_model(model)
    options = {"threshold": threshold, "tile_size": tile_size, "tile_overlap": tile_overlap}
    options = {name: value for name, value in options.items() if value is not None}
    results = ResultsFolder(out, [picture.path for picture in pictures])
    job = _Job(pictures, folder, options, results, json_lines)
    job.run(batch_size)
    if job.failures:
        raise typer.Exit(1)


def silence_libraries() -> None:
    """The terminal belongs to the results: no load bars, no library warnings."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")


class _Job:
    """One call of the command: knows what is done, feeds the pipeline with the rest, writes and reports."""

    def __init__(
        self,
        pictures: list[Picture],
        folder: ModelFolder,
        options: dict[str, Any],
        results: ResultsFolder,
        json_lines: bool,
    ) -> None:
        self.failures = 0
        self._pictures = pictures
        self._folder = folder
        self._options = options
        self._results = results
        self._json_lines = json_lines
        self._settings = _common_settings(folder, options)
        self._waiting: deque[tuple[Picture, dict[str, Any], LoadedImage]] = deque()

    def run(self, batch_size: int) -> None:
        """Report what is done, do the rest; `batch_size` tiles go through the model at once."""
        with tqdm(total=len(self._pictures), unit="picture", disable=None, leave=False) as self._bar:
            todo = [pair for pair in map(self._check, self._pictures) if pair is not None]
            if not todo:
                return
            self._results.forget([settings["file"] for _, settings in todo])
            pipe = _load_pipeline(self._folder)
            tiles = count(1)  # a sign of life within a large picture
            pipe.model.register_forward_hook(lambda *_: self._bar.set_postfix(tiles=next(tiles)))
            try:
                for result in pipe(self._load(todo), batch_size=batch_size, **self._options):
                    picture, settings, image = self._waiting.popleft()
                    self._report(self._results.write(picture.relative, settings, image, result))
            except ValueError as error:  # tiles that leave no room beside their overlap
                raise CommandError(str(error)) from error

    def _check(self, picture: Picture) -> tuple[Picture, dict[str, Any]] | None:
        """The picture and its settings if it has to be done; None if it is done (and reported) or unreadable."""
        try:
            digest = file_sha256(picture.path)
        except OSError:
            digest = ""  # loading it will say what is wrong
        settings = {"file": str(picture.path), "sha256": digest, **self._settings}
        record = self._results.find(settings)
        if record is None:
            return picture, settings
        self._report(record, " (done before)")
        return None

    def _load(self, todo: list[tuple[Picture, dict[str, Any]]]) -> Iterator[LoadedImage]:
        """Feed the pipeline, which may run ahead of its results; a broken picture is reported and left out."""
        for picture, settings in todo:
            try:
                image = load_image(picture.path)
            except ImageLoadError as error:
                self.failures += 1
                self._print(f"error: {error}", sys.stderr)
                self._bar.update()
                continue
            self._waiting.append((picture, settings, image))
            yield image

    def _report(self, record: dict[str, Any], remark: str = "") -> None:
        if self._json_lines:
            line = json.dumps(record, ensure_ascii=False)
        else:
            notes = "".join(f" [{note}]" for note in record["notes"])
            line = (
                f"{record['label']:<9}  score {record['score']:.2f}  {record['forged_area']:6.1%} of the picture  "
                f"{record['file']}{notes}{remark}"
            )
        self._print(line, sys.stdout)
        self._bar.update()

    def _print(self, line: str, stream: Any) -> None:
        self._bar.write(line, file=stream)
        stream.flush()


def _common_settings(folder: ModelFolder, options: dict[str, Any]) -> dict[str, Any]:
    """What all pictures of a call share and what decides, with the picture itself, whether a result still holds."""
    from .. import __version__

    processor = IflImageProcessor.from_pretrained(folder.path, local_files_only=True)
    preprocessing = json.loads(processor.to_json_string())
    return {
        "model": folder.name,
        "weights_sha256": folder.weights_sha256(),
        "preprocessing": {**preprocessing, **options},
        "ifl_hub": __version__,
    }


def _load_pipeline(folder: ModelFolder) -> Any:
    from ..modeling.auto import AutoModelForImageForgeryLocalization
    from ..pipelines import ImageForgeryLocalizationPipeline

    try:
        model = AutoModelForImageForgeryLocalization.from_pretrained(folder.path, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CommandError(f"{folder.name}: the model cannot be loaded ({reason})") from error
    processor = IflImageProcessor.from_pretrained(folder.path, local_files_only=True)
    return ImageForgeryLocalizationPipeline(model=model.eval(), image_processor=processor)
