"""Which pictures the shipped weights may be trained on, and how to find them on this machine.

A checkpoint that ships must not contain research-only data. So its recipe lists every picture by content (sha256), with
source and licence, and training takes its pictures through this module, which refuses any file that is not in the list.
A picture is known by its bytes, never by its name: renaming it neither loses nor smuggles it.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ..files import file_sha256, write_atomically

MANIFEST = Path(__file__).parent / "recipes" / "pictures.jsonl"
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})

Role = Literal["photo", "cutout"]
Split = Literal["train", "validation"]

logger = logging.getLogger(__name__)


class PictureNotAllowedError(ValueError):
    """A folder given for training holds a picture whose licence nobody has checked."""


@dataclass(frozen=True)
class Picture:
    """One line of the manifest.

    Attributes:
        sha256: Of the file's bytes; what identifies the picture.
        file_name: Where `gather_photos.py` puts it, relative to the gathered folder.
        role: `"photo"` (host or donor) or `"cutout"` (RGBA object to paste).
        source: Collection it comes from, such as `"mate-backgrounds"`.
        package: `"deb:NAME"`, `"pypi:NAME"` or `"npm:NAME@VERSION"` that installs it; None if it must be brought.
        licence: SPDX identifier, or one of the terms that `docs/pictures.md` explains.
        author: Who made it, where known.
        installable: Whether `package` brings it.
        split: `"train"` or `"validation"`; all pictures of one group share it.
        group: What must not cross splits, such as a COCO photo with everything cut from it.
        donor: `file_name` of the photo it was cut from, where that photo is in the manifest too.
    """

    sha256: str
    file_name: str
    role: Role
    source: str
    package: str | None
    licence: str
    author: str | None
    installable: bool
    split: Split
    group: str
    donor: str | None

    def __post_init__(self) -> None:
        if self.role not in get_args(Role) or self.split not in get_args(Split):
            raise ValueError(
                f"role {self.role!r} and split {self.split!r} must be among {get_args(Role)} and {get_args(Split)}"
            )


class FoundPictures(NamedTuple):
    """What of the manifest lies on this machine.

    Attributes:
        paths: Local file of each picture, in the manifest's order.
        missing: Pictures of the asked split that no folder holds.
    """

    paths: dict[Picture, Path]
    missing: list[Picture]


class PicturePool(NamedTuple):
    """Photos and cut-outs ready for forgery synthesis.

    Attributes:
        photos: Authentic photos.
        cutouts: RGBA objects, each with the local photo it was cut from (None where that photo is not at hand).
    """

    photos: list[Path]
    cutouts: list[tuple[Path, Path | None]]


def load_manifest(path: str | Path = MANIFEST) -> list[Picture]:
    """Reads a picture manifest (JSON lines).

    Args:
        path: By default the manifest of the embedded checkpoints.

    Raises:
        ValueError: If a line is not a picture or a sha256 comes twice; the message names the line.

    Example:
        >>> from ifl_hub.training.pictures import load_manifest
        >>> sorted({picture.role for picture in load_manifest()})
        ['cutout', 'photo']
    """
    pictures: dict[str, Picture] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            picture = Picture(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number} is not a picture; write one JSON object a line: {error}") from error
        if picture.sha256 in pictures:
            raise ValueError(f"{path}:{number} repeats {picture.sha256}; remove one of the two lines")
        pictures[picture.sha256] = picture
    return list(pictures.values())


def find_pictures(folders: Iterable[str | Path], manifest: Sequence[Picture], split: Split) -> FoundPictures:
    """Finds the manifest's pictures in local folders by content, whatever they are called there.

    Args:
        folders: Searched recursively, symbolic links ignored.
        manifest: All pictures that are allowed, of both splits.
        split: `"train"` or `"validation"`; pictures of the other split may lie there too and are left out.

    Raises:
        PictureNotAllowedError: If a folder holds a picture that is not in the manifest.
        FileNotFoundError: If a folder does not exist.
    """
    allowed = {picture.sha256: picture for picture in manifest}
    local: dict[str, Path] = {}
    for path, sha256 in _hashed(path for folder in folders for path in picture_files(folder)):
        if sha256 not in allowed:
            raise PictureNotAllowedError(
                f"{path} is not in the picture manifest, so shipped weights may not be trained on it; "
                f"move it out of the folder, or add it with its licence to {MANIFEST.name} (docs/pictures.md)"
            )
        local.setdefault(sha256, path)
    wanted = [picture for picture in manifest if picture.split == split]
    found = {picture: local[picture.sha256] for picture in wanted if picture.sha256 in local}
    missing = [picture for picture in wanted if picture.sha256 not in local]
    if missing:
        logger.warning(
            "%d of the manifest's %d pictures are missing; training_scripts/gather_photos.py gets them",
            len(missing),
            len(wanted),
        )
    return FoundPictures(found, missing)


def picture_pool(folders: Iterable[str | Path], manifest: Sequence[Picture], split: Split) -> PicturePool:
    """Photos and cut-outs of one split, for forgery synthesis.

    Args:
        folders: As for `find_pictures`.
        manifest: As for `find_pictures`.
        split: `"train"` or `"validation"`.

    Raises:
        PictureNotAllowedError: If a folder holds a picture that is not in the manifest.
        FileNotFoundError: If a folder does not exist.
    """
    paths = find_pictures(folders, manifest, split).paths
    by_name = {picture.file_name: path for picture, path in paths.items()}
    photos = [path for picture, path in paths.items() if picture.role == "photo"]
    cutouts = [(path, by_name.get(picture.donor or "")) for picture, path in paths.items() if picture.role == "cutout"]
    return PicturePool(photos, cutouts)


def manifest_table(manifest: Sequence[Picture]) -> list[dict[str, Any]]:
    """One row for each source and role: counts a split, licences, and the packages that install it (for cards)."""
    rows: dict[tuple[str, str], list[Picture]] = {}
    for picture in manifest:
        rows.setdefault((picture.source, picture.role), []).append(picture)
    return [
        {
            "source": source,
            "role": role,
            "train": sum(picture.split == "train" for picture in pictures),
            "validation": sum(picture.split == "validation" for picture in pictures),
            "licences": sorted({picture.licence for picture in pictures}),
            "packages": sorted({picture.package for picture in pictures if picture.package and picture.installable}),
        }
        for (source, role), pictures in sorted(rows.items(), key=lambda item: (item[0][1], item[0][0]))
    ]


def picture_files(folder: str | Path) -> Iterator[Path]:
    """Picture files below `folder` in sorted order, without symbolic links (wallpaper packages link sizes to one file).

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; make it with training_scripts/gather_photos.py {folder}")
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and not path.is_symlink():
            yield path


def _hashed(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Each path with its sha256, remembered by (path, size, modification time) so that a second run reads none."""
    cache_file = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ifl_hub" / "picture_sha256.json"
    remembered = _read_cache(cache_file)
    fresh: dict[str, str] = {}
    for path in paths:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in remembered:
            fresh[key] = remembered[key] = file_sha256(path)
        yield path, remembered[key]
    if fresh:
        _write_cache(cache_file, _read_cache(cache_file) | fresh)


def _read_cache(cache_file: Path) -> dict[str, str]:
    try:
        return dict(json.loads(cache_file.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # absent, unreadable or damaged: the pictures are hashed again
        return {}


def _write_cache(cache_file: Path, sums: dict[str, str]) -> None:
    try:
        write_atomically(cache_file, json.dumps(sums).encode())
    except OSError as error:
        logger.info("The picture cache %s cannot be written (%s); the next run hashes again", cache_file, error)
