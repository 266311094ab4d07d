"""Make docs/sample.jpg and its mask: a cat's face on a table beside a cup of coffee.

Both photos (the cup by Rachel Michetti, the cat Chelsea by Stefan van der Walt; CC0) come with scikit-image; no
checkpoint was trained on them.

    python training_scripts/make_sample.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

DOCS = Path(__file__).parent.parent / "docs"
FACE = (60, 20, 300, 290)  # box of an ellipse in the photo of the cat
SCALE = 0.5
TOP_LEFT = (450, 10)


def main() -> None:
    """Cut the face out, scale it, paste it with a soft edge, save once as JPEG."""
    cat, pasted = Image.fromarray(data.chelsea()), Image.fromarray(data.coffee())
    alpha = Image.new("L", cat.size)
    ImageDraw.Draw(alpha).ellipse(FACE, fill=255)
    box = alpha.getbbox()
    size = tuple(round(side * SCALE) for side in (box[2] - box[0], box[3] - box[1]))
    face = cat.crop(box).resize(size, Image.Resampling.BICUBIC)
    soft = alpha.crop(box).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.7))
    mask = Image.new("L", pasted.size)
    mask.paste(soft, TOP_LEFT)
    pasted.paste(face, TOP_LEFT, soft)
    pasted.save(DOCS / "sample.jpg", quality=93)
    Image.fromarray(((np.asarray(mask) > 127) * 255).astype(np.uint8)).save(DOCS / "sample_mask.png")


if __name__ == "__main__":
    main()
