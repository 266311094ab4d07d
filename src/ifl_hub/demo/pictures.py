"""A visitor's file becomes a picture, or one clear line: the limits of what a shared machine looks at."""

from pathlib import Path

from ..image_processing import ImageLoadError, load_image
from ..image_processing.loading import LoadedImage, open_picture

MAX_FILE_MB = 40
MAX_MEGAPIXELS = 24
MAX_FILES = 24
_AT_HOME = "run `ifl-hub localize` on your own machine, or crop the part in question"


def read_picture(path: Path) -> LoadedImage:
    """Read an upload; its header is looked at before a pixel is decoded.

    Raises:
        ImageLoadError: If it is too large, or no picture; the message names the file without its folder.
    """
    megabytes = path.stat().st_size / 1e6
    if megabytes > MAX_FILE_MB:
        raise ImageLoadError(
            f"{path.name}: {megabytes:.0f} MB is more than the {MAX_FILE_MB} MB this demo takes; {_AT_HOME}"
        )
    image = open_picture(path.read_bytes(), path.name)
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise ImageLoadError(
            f"{path.name}: {image.width}x{image.height} is {megapixels:.0f} megapixels, and this demo takes "
            f"{MAX_MEGAPIXELS}; {_AT_HOME}"
        )
    image.filename = path.name  # type: ignore[attr-defined]  # what messages call it
    return load_image(image)
