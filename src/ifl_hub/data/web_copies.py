"""Authentic photos as they are met on the web: whole, made smaller, compressed once or twice.

A synthesizer's authentic samples are crops. What a label is asked about is mostly a whole picture, whose detail is
dense, whose every object is in view, and that was resized by who knows what: operating points belong on these.
"""

from collections.abc import Iterator

import numpy as np

from .histories import Step, apply_steps, draw_kernel, plan_jpeg, resize
from .photos import PhotoPool

#: Longer sides in pixels, from a thumbnail to what needs several tiles.
SIDES = (256, 384, 512, 768, 1024)
_COMPRESSIONS = (0.2, 0.6, 0.2)  # how often none (as a PNG), one and two
_QUALITIES = (70, 99)
_STRIDE = 2  # between the sides of one photo, so that they differ well


def web_copy(photo: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A whole photo at a longer side of `side` pixels, compressed as it would be; never enlarged.

    Args:
        photo: (H, W, 3) uint8 RGB.
        side: In pixels.
        rng: The source of kernel, number and qualities of the compressions.

    Returns:
        (h, w, 3) uint8 RGB, max(h, w) = min(side, max(H, W)).

    Example:
        >>> web_copy(np.zeros((300, 600, 3), np.uint8), 256, np.random.default_rng(0)).shape
        (128, 256, 3)
    """
    scale = min(1.0, side / max(photo.shape[:2]))
    height, width = (max(1, round(length * scale)) for length in photo.shape[:2])
    count = int(rng.choice(len(_COMPRESSIONS), p=_COMPRESSIONS))
    steps: list[Step] = [plan_jpeg(rng, *_QUALITIES, grid=(0, 0)) for _ in range(count)]
    return apply_steps(resize(photo, height, width, draw_kernel(rng)), steps)


def web_copies(pool: PhotoPool, seed: int = 0, per_photo: int = 2) -> Iterator[tuple[int, int, np.ndarray]]:
    """Every photo at some of `SIDES`, which take turns; a photo that is smaller counts once, at its own size.

    Args:
        pool: The photos.
        seed: Of all copies; each depends on its photo's number and its side only.
        per_photo: How many sides each photo has.

    Yields:
        The photo's number, the longer side of the copy in pixels, the copy.
    """
    for number in range(len(pool)):
        photo = pool.photo(number)
        longest = max(photo.shape[:2])
        wanted = {SIDES[(number + _STRIDE * turn) % len(SIDES)] for turn in range(per_photo)}
        for side in sorted({min(side, longest) for side in wanted}):
            yield number, side, web_copy(photo, side, np.random.default_rng([seed, number, side]))
