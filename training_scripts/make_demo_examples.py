"""Make the demo's examples: pictures whose alteration is known, from public-domain and CC0 photos of scikit-image.

No localization checkpoint was trained on the cup or the cat (they are validation pictures).

    python training_scripts/make_demo_examples.py
"""

import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

from ifl_hub.data.self_blended import self_blend

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = Path(__file__).parent.parent / "src" / "ifl_hub" / "demo" / "examples"
# fmt: off
SPOON = [(380, 198), (389, 204), (386, 232), (402, 250), (408, 278), (404, 300), (388, 318), (364, 328), (342, 322),
         (326, 302), (324, 272), (330, 262), (314, 260), (318, 242), (344, 238), (366, 228)]
# fmt: on
EYE, ENLARGED = (130, 80, 208, 152), 1.25
FACE = (178, 63, 267, 175)  # of the astronaut
QUALITY = 93


def main() -> None:
    """Write pictures and masks; a picture without a mask is untouched."""
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DOCS / "sample.jpg", EXAMPLES / "face.jpg")
    shutil.copyfile(DOCS / "sample_mask.png", EXAMPLES / "face_mask.png")
    cup, cat, astronaut = (Image.fromarray(photo()) for photo in (data.coffee, data.chelsea, data.astronaut))
    save(*without_spoon(cup), "cup")
    save(*with_another_eye(cat), "cat")
    cup.save(EXAMPLES / "cup_untouched.jpg", quality=QUALITY)
    astronaut.save(EXAMPLES / "astronaut.jpg", quality=QUALITY)
    blended_face(astronaut).save(EXAMPLES / "astronaut_blended.jpg", quality=QUALITY)


def save(picture: Image.Image, mask: Image.Image, name: str) -> None:
    """A forgery and its mask of 0 and 255."""
    picture.save(EXAMPLES / f"{name}.jpg", quality=QUALITY)
    Image.fromarray(((np.asarray(mask) > 127) * 255).astype(np.uint8)).save(EXAMPLES / f"{name}_mask.png")


def without_spoon(photo: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The spoon on the saucer, painted over from its surroundings."""
    mask = Image.new("L", photo.size)
    ImageDraw.Draw(mask).polygon(SPOON, fill=255)
    grown = mask.filter(ImageFilter.MaxFilter(5))
    return Image.fromarray(cv2.inpaint(np.asarray(photo), np.asarray(grown), 9, cv2.INPAINT_TELEA)), grown


def with_another_eye(photo: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The cat's right eye, larger and blue."""
    eye = photo.crop(EYE)
    alpha = Image.new("L", eye.size)
    ImageDraw.Draw(alpha).ellipse((3, 3, eye.width - 4, eye.height - 4), fill=255)
    hue, saturation, value = eye.convert("HSV").split()
    iris = saturation.point(lambda s: 255 if s > 90 else 0).filter(ImageFilter.GaussianBlur(1.5))
    eye.paste(Image.merge("HSV", (hue.point(lambda h: (h + 105) % 256), saturation, value)).convert("RGB"), mask=iris)
    size = round(eye.width * ENLARGED), round(eye.height * ENLARGED)
    left, top = (round((low + high - side) / 2) for low, high, side in zip(EYE[:2], EYE[2:], size, strict=True))
    soft = alpha.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
    pasted, mask = photo.copy(), Image.new("L", photo.size)
    pasted.paste(eye.resize(size, Image.Resampling.BICUBIC), (left, top), soft)
    mask.paste(soft, (left, top))
    return pasted, mask


def blended_face(photo: Image.Image) -> Image.Image:
    """The face blended into an altered copy of itself: what face swaps share, and the checkpoint was taught."""
    left, top, right, bottom = FACE
    rows, columns = np.mgrid[: photo.height, : photo.width] + 0.5
    across, down = (columns - (left + right) / 2) / (right - left), (rows - (top + bottom) / 2) / (bottom - top)
    margin = 40
    window = (slice(top - margin, bottom + margin), slice(left - margin, right + margin))
    pixels = np.asarray(photo).copy()
    ellipse = (across**2 + down**2 <= 0.25).astype(np.float32)
    pixels[window], _, _ = self_blend(np.random.default_rng(4), np.ascontiguousarray(pixels[window]), ellipse[window])
    return Image.fromarray(pixels)


if __name__ == "__main__":
    main()
