"""The report of many pictures: which to look at first, and how many false alarms to expect among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from .calibration import expect_false_alarms
from .embedding import shrink, to_jpeg_uri
from .model_facts import ModelFacts
from .picture_facts import clean_text
from .rendering import render

_THUMBNAIL, _THUMBNAIL_BYTES = 240, 12_000
#: Rows beyond it are shown without a picture, so that the file stays below 4 MB for a thousand pictures.
_MOST_THUMBNAILS = 200


@dataclass(frozen=True)
class FolderEntry:
    """One picture of the folder.

    Args:
        name: Its path below the folder.
        label: "forged" or "authentic".
        score: In [0, 1].
        forged_area: Marked share, in [0, 1].
        size: `(height, width)` in pixels.
        overlay: The file of its overlay.
        report: Path of its own report, relative to the page.
    """

    name: str
    label: str
    score: float
    forged_area: float
    size: tuple[int, int]
    overlay: Path
    report: str


def folder_report(
    entries: Sequence[FolderEntry],
    model: ModelFacts,
    *,
    unreadable: Sequence[str] = (),
    command: str | None = None,
    created: datetime | None = None,
) -> str:
    """A page with one row a picture, the most suspicious first, each with a link to its own report.

    Args:
        entries: The pictures.
        model: Who judged.
        unreadable: Names of pictures that could not be read.
        command: How to get the same results again.
        created: When; default: now.
    """
    ranked = sorted(entries, key=lambda entry: -entry.score)
    rows = [
        {
            "entry": entry,
            "name": clean_text(entry.name),
            "link": "./" + quote(entry.report, errors="surrogateescape"),
            "thumbnail": _thumbnail(entry.overlay) if index < _MOST_THUMBNAILS else None,
        }
        for index, entry in enumerate(ranked)
    ]
    return render(
        "folder.html.jinja",
        rows=rows,
        forged=sum(entry.label == "forged" for entry in entries),
        expectation=expect_false_alarms(len(entries), model),
        unreadable=[clean_text(name) for name in unreadable],
        model=model,
        command=command,
        created=created or datetime.now(UTC),
    )


def _thumbnail(overlay: Path) -> str:
    with Image.open(overlay) as image:
        return to_jpeg_uri(shrink(image, _THUMBNAIL), _THUMBNAIL_BYTES)
