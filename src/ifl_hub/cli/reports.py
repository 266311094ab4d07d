"""`--report`: HTML reports made from what the results folder holds, so that they cost no second run of the model."""

import shlex
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files import write_atomically
from ..reports import FolderEntry, ModelFacts, evidence_report, folder_report
from .errors import CommandError
from .models import ModelFolder
from .results import LOCALIZE_OUTPUTS

FOLDER_REPORT = "report.html"


class LocalizeReports:
    """Writes the reports of one call of `localize`.

    Args:
        out: The results folder.
        model: Who judged.
        options: What the user chose for the pipeline.

    Raises:
        CommandError: If what the reports need is not installed.
    """

    def __init__(self, out: Path, model: ModelFolder, options: Mapping[str, Any]) -> None:
        if missing := [package for package in ("jinja2", "cv2") if find_spec(package) is None]:
            raise CommandError(f'--report needs {" and ".join(missing)}: pip install "ifl-hub[report]"')
        name = Path(model.name).name if Path(model.name).is_absolute() else model.name  # no folder of this machine
        self._out = out
        self._options = options
        self._facts = ModelFacts.read(model.path, name, options)
        self._entries: list[FolderEntry] = []

    def write(self, record: Mapping[str, Any]) -> str:
        """Make a picture's report if it is not there yet.

        Args:
            record: Its line in the results.

        Returns:
            The report's path below the results folder.
        """
        report = record["name"] + LOCALIZE_OUTPUTS.suffixes["report"]
        file = Path(record["file"])
        if not (self._out / report).exists():
            result = {
                "label": record["label"],
                "score": record["score"],
                "mask": Image.open(self._out / record["mask"]),
                "heatmap": np.asarray(Image.open(self._out / record["heatmap"]), np.float32) / 65535,
            }
            page = evidence_report(file, result, self._facts, command=self._command(file.name))
            write_atomically(self._out / report, page.encode())
        self._entries.append(
            FolderEntry(
                name=record["name"],
                label=record["label"],
                score=record["score"],
                forged_area=record["forged_area"],
                size=(record["height"], record["width"]),
                overlay=self._out / record["overlay"],
                report=report,
            )
        )
        return report

    def write_folder(self, unreadable: Sequence[str]) -> Path:
        """Make the one report of all pictures.

        Args:
            unreadable: Names of those that could not be read.

        Returns:
            Where it is.
        """
        page = folder_report(self._entries, self._facts, unreadable=unreadable, command=self._command("FOLDER"))
        write_atomically(self._out / FOLDER_REPORT, page.encode())
        return self._out / FOLDER_REPORT

    def _command(self, file: str) -> str:
        chosen = [f"--{name.replace('_', '-')}={value}" for name, value in self._options.items()]
        return shlex.join(["ifl-hub", "localize", file, "--model", self._facts.name, *chosen, "--report"])
