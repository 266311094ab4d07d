"""Which pictures a command line names: files as they are, folders by the suffixes of photos."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CommandError
from .results import OUTPUT_SUFFIXES

#: HEIC and HEIF are listed although few installations read them: better one clear error than a silent omission.
PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif"),
    *(".jp2", ".j2k", ".gif", ".bmp", ".ppm", ".pgm", ".pnm"),
)


@dataclass(frozen=True)
class Picture:
    """A file to look at.

    Args:
        path: Absolute.
        relative: Where its results go below the results folder: its path below the folder that was named.
    """

    path: Path
    relative: Path


def collect_pictures(named: Sequence[Path], out: Path, suffixes: Sequence[str] = PHOTO_SUFFIXES) -> list[Picture]:
    """The pictures of files and folders, each once, folders in the order of their paths.

    Hidden files and the results of an earlier run below `out` are left out of folders.

    Raises:
        CommandError: If nothing that was named exists, or the folders hold no picture.
    """
    pictures: dict[Path, Picture] = {}
    for path in named:
        if path.is_dir():
            found = list(_walk(path.resolve(), out.resolve(), suffixes))
        else:
            found = [Picture(path.absolute(), Path(path.name))]
        for picture in found:
            pictures.setdefault(picture.path.resolve(), picture)
    if not any(picture.path.exists() for picture in pictures.values()):
        missing = [path for path in named if not path.exists()]
        if missing:
            raise CommandError(f"{missing[0]}: no such file or folder")
        raise CommandError(f"{named[0]}: no picture in this folder (looked for {', '.join(suffixes)})")
    return list(pictures.values())


def _walk(folder: Path, out: Path, suffixes: Sequence[str]) -> Iterator[Picture]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            is_result = name.endswith(OUTPUT_SUFFIXES) and path.is_relative_to(out)
            if path.suffix.lower() in suffixes and not name.startswith(".") and not is_result:
                yield Picture(path, path.relative_to(folder))
