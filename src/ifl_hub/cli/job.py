"""One call of a verb that judges files: knows what is done, does the rest, writes and reports."""

import json
import sys
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer
from tqdm import tqdm
from transformers import AutoImageProcessor

from ..files import file_sha256
from ..image_processing import ImageLoadError, load_image
from ..image_processing.loading import LoadedImage
from ..messages import first_line
from ..processes import gather, own_share, process_rank, wait_for_all
from .errors import CommandError
from .inputs import Picture
from .models import ModelFolder
from .results import ResultsFolder

#: A file to do, with what decides, together with the file itself, whether an earlier result still holds.
Todo = tuple[Picture, dict[str, Any]]


def silence_libraries() -> None:
    """The terminal belongs to the results: no load bars, no library warnings."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Call:
    """What a user asks for.

    Args:
        pictures: All files.
        folder: The model.
        options: What the user chose for the pipeline.
        results: Where results go, and come from.
        json_lines: Print JSON lines instead of lines to read.
    """

    pictures: list[Picture]
    folder: ModelFolder
    options: dict[str, Any]
    results: ResultsFolder
    json_lines: bool


class Job(ABC):
    """Feeds a pipeline with the files that are not done yet. Processes that were launched together share them.

    Args:
        call: What to do.
        settings: Whatever decides a result beyond the call.
    """

    unit = "picture"

    def __init__(self, call: Call, settings: dict[str, Any] | None = None) -> None:
        self._failures = 0
        self._call = call
        self._settings = {**common_settings(call.folder, call.options), **(settings or {})}

    def run(self, batch_size: int) -> None:
        """Report what is done, do the rest; `batch_size` pieces go through the model at once.

        Raises:
            CommandError: If the model cannot be loaded, or the options make no sense for it.
            typer.Exit: With code 1 if single files failed.
        """
        own = own_share(self._call.pictures)
        hidden = True if process_rank() else None  # None: shown on a terminal
        with tqdm(total=len(own), unit=self.unit, disable=hidden, leave=False) as self._bar:
            todo = [pair for pair in map(self._check, own) if pair is not None]
            self._settle([settings["file"] for _, settings in todo])
            if todo:
                self.do(self.load_pipeline(), todo, batch_size)
            self._settle([])
        self.finish()

    def _settle(self, dropped: list[str]) -> None:
        """One file of results of what all processes have written, without the files that any is about to do again."""
        everyones = gather(dropped)  # from here on nobody reads or writes
        if process_rank() == 0:
            self._call.results.settle(everyones)
        wait_for_all()

    @abstractmethod
    def load_pipeline(self) -> Any:
        """The pipeline, with the model of `folder`."""

    @abstractmethod
    def do(self, pipe: Any, todo: list[Todo], batch_size: int) -> None:
        """Judge and report every file."""

    @abstractmethod
    def write(self, todo: Todo, image: LoadedImage, result: dict[str, Any]) -> dict[str, Any]:
        """Store a picture's result, and return its record."""

    @abstractmethod
    def describe(self, record: dict[str, Any]) -> str:
        """A record as a line to read."""

    def finish(self) -> None:
        """What remains to do once every file has been reported: say whether all could be done."""
        if self._failures:
            raise typer.Exit(1)

    def do_pictures(self, pipe: Any, todo: list[Todo], batch_size: int) -> None:
        """Judge and report pictures, which the pipeline may load ahead of its results."""
        waiting: deque[tuple[Todo, LoadedImage]] = deque()
        for result in pipe(self._load(todo, waiting), batch_size=batch_size, **self._call.options):
            self.report(self.write(*waiting.popleft(), result))

    def fail(self, error: Exception) -> None:
        """A single file that cannot be done: one line, and exit code 1 in the end."""
        self._failures += 1
        self._print(f"error: {error}", sys.stderr)
        self._bar.update()

    def report(self, record: dict[str, Any], remark: str = "") -> None:
        """Print a result."""
        line = json.dumps(record, ensure_ascii=False) if self._call.json_lines else self.describe(record) + remark
        self._print(line, sys.stdout)
        self._bar.update()

    def _check(self, picture: Picture) -> Todo | None:
        """The picture and its settings if it has to be done; None if it is done (and reported)."""
        try:
            digest = file_sha256(picture.path)
        except OSError:
            digest = ""  # loading it will say what is wrong
        settings = {"file": str(picture.path), "sha256": digest, **self._settings}
        record = self._call.results.find(settings)
        if record is None:
            return picture, settings
        self.report(record, " (done before)")
        return None

    def _load(self, todo: list[Todo], waiting: deque[tuple[Todo, LoadedImage]]) -> Iterator[LoadedImage]:
        for picture, settings in todo:
            try:
                image = load_image(picture.path)
            except ImageLoadError as error:
                self.fail(error)
                continue
            waiting.append(((picture, settings), image))
            yield image

    def _print(self, line: str, stream: Any) -> None:
        self._bar.write(line, file=stream)
        stream.flush()


def load_model(folder: ModelFolder, auto_class: Any) -> Any:
    """The model of a folder, for evaluation.

    Raises:
        CommandError: If the folder holds no such model.
    """
    try:
        return auto_class.from_pretrained(folder.path, local_files_only=True).eval()
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise CommandError(f"{folder.name}: the model cannot be loaded ({first_line(error)})") from error


def load_processor(folder: ModelFolder) -> Any:
    """The image processor of a folder."""
    return AutoImageProcessor.from_pretrained(folder.path, local_files_only=True)


def common_settings(folder: ModelFolder, options: dict[str, Any]) -> dict[str, Any]:
    """What the records of all files of a call share: the model, how pictures came to it, the version."""
    from .. import __version__

    return {
        "model": folder.name,
        "weights_sha256": folder.weights_sha256(),
        "preprocessing": {**json.loads(load_processor(folder).to_json_string()), **options},
        "ifl_hub": __version__,
    }
