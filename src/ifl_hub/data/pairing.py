"""Which mask belongs to which picture: decided by names, never by the order in which files happen to be listed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .schema import DataFormatError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm"})
#: What data sets append to a picture's stem to name its mask.
MASK_ENDINGS = ("_gt", "_mask", "-mask", "_groundtruth", "_edgemask", "_forged", ".mask")

_PAIRS_OF_FOLDERS = (("images", "masks"), ("image", "mask"), ("Tp", "Gt"))


class Pairing(NamedTuple):
    """What names say about pictures and masks.

    Attributes:
        masks: The mask of each picture that has exactly one.
        unmatched: Pictures without a mask.
        ambiguous: Pictures that several masks fit, or that share their name, with the masks in question.
        strays: Masks without a picture.
    """

    masks: dict[Path, Path]
    unmatched: list[Path]
    ambiguous: dict[Path, list[Path]]
    strays: list[Path]


def pair_by_stem(pictures: Iterable[Path], masks: Iterable[Path]) -> Pairing:
    """Pair by file name without suffix, upper and lower case alike; a mask may end in one of `MASK_ENDINGS`.

    Example:
        >>> pairing = pair_by_stem([Path("b 1.JPG"), Path("a.jpg")], [Path("A_gt.png"), Path("B 1.png")])
        >>> {picture.name: mask.name for picture, mask in pairing.masks.items()}
        {'b 1.JPG': 'B 1.png', 'a.jpg': 'A_gt.png'}
    """
    pictures = list(pictures)
    named: dict[str, list[Path]] = {}
    for picture in pictures:
        named.setdefault(picture.stem.casefold(), []).append(picture)
    found: dict[str, list[Path]] = {}
    strays = []
    for mask in masks:
        stem = _owner(mask.stem.casefold(), named)
        if stem is None:
            strays.append(mask)
        else:
            found.setdefault(stem, []).append(mask)
    pairing = Pairing({}, [], {}, strays)
    for picture in pictures:
        stem = picture.stem.casefold()
        candidates = found.get(stem, [])
        if not candidates:
            pairing.unmatched.append(picture)
        elif len(candidates) > 1 or len(named[stem]) > 1:
            pairing.ambiguous[picture] = candidates
        else:
            pairing.masks[picture] = candidates[0]
    return pairing


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files below a folder with their relative paths (forward slashes), sorted, without what systems leave behind.

    Parts that start with a dot or two underscores are left out ("._a.png", "__MACOSX"); `datasets` reads neither.
    """
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith((".", "__")) for part in relative.parts):
            yield relative.as_posix(), path


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def pair_of_folders(folder: Path) -> tuple[Path, Path]:
    """The folders of pictures and masks in a folder.

    Raises:
        DataFormatError: If there are none.
    """
    for pair in _PAIRS_OF_FOLDERS:
        pictures, masks = (folder / name for name in pair)
        if pictures.is_dir() and masks.is_dir():
            return pictures, masks
    raise DataFormatError(
        f"{folder}: no folders {' nor '.join('/ and '.join(pair) + '/' for pair in _PAIRS_OF_FOLDERS)}"
    )


def _owner(stem: str, named: dict[str, list[Path]]) -> str | None:
    if stem in named:
        return stem
    shorter = (stem.removesuffix(ending) for ending in MASK_ENDINGS if stem.endswith(ending))
    return next((candidate for candidate in shorter if candidate in named), None)
