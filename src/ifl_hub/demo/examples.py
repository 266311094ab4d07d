"""Pictures to try, whose history is known; `training_scripts/make_demo_examples.py` makes them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..files import file_sha256
from ..image_processing import load_image

_FOLDER = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    """A picture that ships with the demo.

    Args:
        name: Of its files: NAME.jpg and, if something was changed, NAME_mask.png (white where).
        title: Two or three words.
        history: What was done to it, one sentence.
        credit: Who took the photo, and its licence.
    """

    name: str
    title: str
    history: str
    credit: str

    @property
    def path(self) -> Path:
        """The picture."""
        return _FOLDER / f"{self.name}.jpg"

    def mask(self) -> np.ndarray | None:
        """`(H, W)` bool, True where something was changed; None where nothing was."""
        path = _FOLDER / f"{self.name}_mask.png"
        return load_image(path).pixels[..., 0] > 0 if path.exists() else None


PHOTOS = (
    Example(
        "face",
        "Cup, face pasted",
        "A cat's face was pasted onto the table.",
        "Rachel Michetti and Stéfan van der Walt, CC0",
    ),
    Example("cup", "Cup, spoon removed", "A spoon lay on the saucer; it was painted over.", "Rachel Michetti, CC0"),
    Example("cat", "Cat, eye retouched", "One eye was made larger and blue.", "Stéfan van der Walt, CC0"),
    Example(
        "cup_untouched", "Cup, untouched", "Nothing was changed: all that is marked is wrong.", "Rachel Michetti, CC0"
    ),
)
FACES = (
    Example(
        "astronaut",
        "Astronaut, real",
        "Nothing was changed. The model knows this photo from its training.",
        "NASA, public domain",
    ),
    Example(
        "astronaut_blended",
        "Astronaut, blended",
        "The face was blended into an altered copy of itself.",
        "NASA, public domain; altered",
    ),
)


def recognise(path: Path) -> Example | None:
    """The example that a file is, by its content, however it came here."""
    return _by_content().get(file_sha256(path))


@cache
def _by_content() -> dict[str, Example]:
    return {file_sha256(example.path): example for example in (*PHOTOS, *FACES)}
