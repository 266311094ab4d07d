"""Where files wait for the visitor who asked for them."""

import secrets
from pathlib import Path

from gradio.utils import get_upload_folder
from PIL import Image


def new_file(name: str) -> Path:
    """A place that nobody can guess, in the folder that Gradio serves from and clears."""
    folder = Path(get_upload_folder()) / secrets.token_urlsafe(24)
    folder.mkdir(parents=True)
    return folder / name


def save_for_screen(picture: Image.Image) -> str:
    """Write a picture to be looked at, not to be analysed."""
    path = new_file("picture.jpg")
    picture.convert("RGB").save(path, quality=92, subsampling="4:4:4")
    return str(path)
