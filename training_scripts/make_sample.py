"""Make docs/sample.jpg and its mask: a second, smaller rocket beside the real one.

The photo (a rocket at night, SpaceX, public domain) comes with scikit-image; no checkpoint was trained on it.

    python training_scripts/make_sample.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

DOCS = Path(__file__).parent.parent / "docs"
# fmt: off
ROCKET = [(322, 126), (329, 134), (334, 148), (334, 176), (336, 180), (336, 400), (309, 400), (309, 180), (311, 176),
          (311, 148), (316, 134)]
# fmt: on
SCALE = 0.8
TOP_LEFT = (196, 176)


def main() -> None:
    """Cut the rocket out, scale it, paste it with a soft edge, save once as JPEG."""
    photo = Image.fromarray(data.rocket())
    alpha = Image.new("L", photo.size)
    ImageDraw.Draw(alpha).polygon(ROCKET, fill=255)
    box = alpha.getbbox()
    size = tuple(round(side * SCALE) for side in (box[2] - box[0], box[3] - box[1]))
    rocket = photo.crop(box).resize(size, Image.Resampling.BICUBIC)
    soft = alpha.crop(box).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.7))
    mask = Image.new("L", photo.size)
    mask.paste(soft, TOP_LEFT)
    pasted = photo.copy()
    pasted.paste(rocket, TOP_LEFT, soft)
    pasted.save(DOCS / "sample.jpg", quality=93)
    Image.fromarray(((np.asarray(mask) > 127) * 255).astype(np.uint8)).save(DOCS / "sample_mask.png")


if __name__ == "__main__":
    main()
