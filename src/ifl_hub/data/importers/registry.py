"""All layouts by their names on the command line."""

from difflib import get_close_matches

from ..schema import DataFormatError
from .deepfakebench import DEEPFAKEBENCH
from .face_sets import FACE_SETS
from .layout import Layout
from .listed import LISTED
from .nist16 import NIST16
from .openforensics import OPENFORENSICS
from .photo_sets import PHOTO_SETS

LAYOUTS: dict[str, Layout] = {
    layout.kind: layout for layout in (*PHOTO_SETS, NIST16, OPENFORENSICS, *LISTED, *FACE_SETS, DEEPFAKEBENCH)
}


def find_layout(kind: str) -> Layout:
    """The layout of that name.

    Raises:
        DataFormatError: If there is none; the message names the nearest, or all.

    Example:
        >>> find_layout("casia1").title
        'CASIA v1'
    """
    if kind in LAYOUTS:
        return LAYOUTS[kind]
    near = get_close_matches(kind.lower(), LAYOUTS, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(LAYOUTS)}"
    raise DataFormatError(f"unknown kind of data set {kind!r}; {hint}")
