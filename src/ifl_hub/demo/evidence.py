"""Files to take away: the evidence report of a picture, and all that `ifl-hub localize` would have written."""

import shlex
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ..cli.inputs import Picture
from ..cli.job import common_settings
from ..cli.localize import facts_and_pictures
from ..cli.results import LOCALIZE_OUTPUTS, ResultsFolder
from ..reports import ModelFacts, evidence_report
from .analysis import Analysis
from .serving import new_file


def write_evidence(analysis: Analysis | None, threshold: float) -> str:
    """One self-contained HTML file on a picture, at the visitor's threshold.

    Returns:
        Its path.
    """
    analysis = _still_kept(analysis)
    folder, name = analysis.model.folder, analysis.path.name
    page = evidence_report(
        analysis.path,
        _at(analysis, threshold),
        ModelFacts.read(folder.path, folder.name, {"threshold": threshold}),
        command=shlex.join(
            ["ifl-hub", "localize", name, "--model", folder.name, f"--threshold={threshold:g}", "--report"]
        ),
        image=analysis.image,
    )
    path = new_file(f"{name}.report.html")
    path.write_text(page, encoding="utf-8")
    return str(path)


def write_files(analysis: Analysis | None, threshold: float) -> str:
    """A picture's overlay, mask, heat map and JSON line in one ZIP file.

    Returns:
        Its path.
    """
    analysis = _still_kept(analysis)
    path = new_file(f"{analysis.path.name}.zip")
    with ResultsZip(path) as archive:
        archive.add(analysis, threshold)
    return str(path)


class ResultsZip:
    """A ZIP file of what `ifl-hub localize` writes, one picture after the other; whole once the block is left."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "ResultsZip":
        self._temporary = tempfile.TemporaryDirectory()
        self._folder = Path(self._temporary.name)
        self._names: set[str] = set()
        return self

    def add(self, analysis: Analysis, threshold: float) -> None:
        """Write one picture's results; of equal names, the later ones get a number."""
        name, number = analysis.path.name, 1
        while name in self._names:
            number += 1
            name = f"{analysis.path.stem}-{number}{analysis.path.suffix}"
        self._names.add(name)
        facts, pictures = facts_and_pictures(analysis.image, _at(analysis, threshold))
        settings = {"file": name, "sha256": analysis.sha256}
        settings |= common_settings(analysis.model.folder, {"threshold": threshold})
        results = ResultsFolder(self._folder, [Picture(Path(name), Path(name))], LOCALIZE_OUTPUTS)
        results.write(settings, facts, pictures)

    def __exit__(self, *_: object) -> None:
        with self._temporary, zipfile.ZipFile(self._path, "w") as archive:  # stored: PNGs are compressed already
            for path in sorted(self._folder.iterdir()):
                archive.write(path, path.name)


def _at(analysis: Analysis, threshold: float) -> dict[str, Any]:
    """The result with the mask of another threshold."""
    return {**analysis.result, "mask": Image.fromarray(analysis.mask(threshold)).convert("L")}


def _still_kept(analysis: Analysis | None) -> Analysis:
    if analysis is None or not analysis.path.exists():
        raise gr.Error("This result is no longer kept here; give the picture again.", print_exception=False)
    return analysis
