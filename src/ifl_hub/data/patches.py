"""A piece of a picture on its way into another: cut with its surroundings, resized, turned, softened and blended in."""

from dataclasses import dataclass

import numpy as np

from .histories import resize, to_uint8

_CUT_OFF = 0.5  # share of a side of the bounding box that is opaque where a picture's border cut an object off
_SOLVABLE = 8  # pixels; OpenCV's solver fails on shapes that vanish when their border is taken off


@dataclass(frozen=True)
class Patch:
    """Pixels and how much of each is wanted.

    Attributes:
        image: (h, w, 3) uint8 RGB, real surroundings included, so that soft edges blend with what was really there.
        alpha: (h, w) float32 in [0, 1].
    """

    image: np.ndarray
    alpha: np.ndarray


def margin_for(scale: float) -> int:
    """Pixels to keep around a shape so that, after resizing by `scale`, three sigmas of the widest feather fit."""
    return int(np.ceil(7 / min(scale, 1.0)))


def bounding_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, height, width) around all non-zero alpha, of which there must be some."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left


def inflate(box: tuple[int, int, int, int], margin: int, canvas: tuple[int, ...]) -> tuple[slice, slice]:
    """The box with a margin on every side, clipped to the canvas, as slices."""
    top, left, height, width = box
    rows = slice(max(top - margin, 0), min(top + height + margin, canvas[0]))
    return rows, slice(max(left - margin, 0), min(left + width + margin, canvas[1]))


def window(photo: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """A window that may reach beyond the photo, where the photo's border is repeated."""
    rows = np.clip(np.arange(top, top + height), 0, photo.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, photo.shape[1] - 1)
    inner = photo[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inner.shape[:2] != (height, width):
        inner = inner[rows - rows[0]][:, columns - columns[0]]
    return np.ascontiguousarray(inner)


def transform(patch: Patch, scale: float, angle: float, mirrored: bool, kernel: str) -> Patch:
    """Resizes, mirrors and rotates picture and alpha together; nothing is interpolated where nothing changes.

    Args:
        patch: What to transform.
        scale: Factor on both sides.
        angle: Degrees anticlockwise; multiples of 90 only move pixels.
        mirrored: Whether to mirror left to right.
        kernel: Interpolation of the picture, one of `histories.KERNELS`; the alpha's is linear.
    """
    height, width = (max(1, round(side * scale)) for side in patch.alpha.shape)
    image, alpha = resize(patch.image, height, width, kernel), resize(patch.alpha, height, width, "linear")
    if mirrored:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    if angle % 90 == 0:
        turns = int(angle // 90)
        image, alpha = np.rot90(image, turns), np.rot90(alpha, turns)
    else:
        image, alpha = _rotate(np.ascontiguousarray(image), np.ascontiguousarray(alpha), angle, kernel)
    return Patch(np.ascontiguousarray(image), np.ascontiguousarray(alpha))


def _rotate(image: np.ndarray, alpha: np.ndarray, angle: float, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    height, width = alpha.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    cosine, sine = abs(float(matrix[0, 0])), abs(float(matrix[0, 1]))
    size = int(np.ceil(width * cosine + height * sine)), int(np.ceil(width * sine + height * cosine))
    matrix[:, 2] += [(size[0] - width) / 2, (size[1] - height) / 2]
    flag = {"cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}.get(kernel, cv2.INTER_LINEAR)
    turned = cv2.warpAffine(image, matrix, size, flags=flag, borderMode=cv2.BORDER_REPLICATE)
    return turned, cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR, borderValue=0)


def draw_feather(rng: np.random.Generator) -> float:
    """A feathering radius in pixels: half of all edits have hard edges."""
    return round(float(rng.uniform(0.5, 2.0)), 2) if rng.random() < 0.5 else 0.0


def feather(alpha: np.ndarray, sigma: float) -> np.ndarray:
    """Softens an alpha's border with a Gaussian of `sigma` pixels; 0 leaves it as it is.

    What touches the array's border is taken to continue beyond it.
    """
    import cv2

    return alpha if sigma <= 0 else cv2.GaussianBlur(alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def draw_place(rng: np.random.Generator, shape: tuple[int, ...], canvas: tuple[int, ...]) -> tuple[int, int]:
    """(top, left) of a paste: mostly wholly inside, else cut off by the canvas's border by up to a third."""
    share = 0.0 if rng.random() < 0.7 else 0.33
    place = []
    for side, room in zip(shape[:2], canvas[:2], strict=True):
        low, high = sorted((-round(share * side), room - side + round(share * side)))
        place.append(int(rng.integers(low, high + 1)))
    return place[0], place[1]


def draw_places(
    rng: np.random.Generator, alpha: np.ndarray, canvas: tuple[int, ...], count: int
) -> list[tuple[int, int]]:
    """Some (top, left) to choose from; what was cut off by a picture's border is kept at that border as a rule.

    A person without legs hovers in mid-air in no forgery that is meant to be believed.
    """
    places = [draw_place(rng, alpha.shape, canvas) for _ in range(count)]
    return [_at_borders(place, alpha, canvas) for place in places] if rng.random() < 0.75 else places


def _at_borders(place: tuple[int, int], alpha: np.ndarray, canvas: tuple[int, ...]) -> tuple[int, int]:
    """Moves a place so that straight sides of a shape lie on the canvas's border."""
    box = bounding_box(alpha > 0.5)
    inner = (alpha > 0.5)[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
    moved = []
    for axis in (0, 1):
        first, last = (float(np.take(inner, end, axis).mean()) > _CUT_OFF for end in (0, -1))
        at = place[axis]
        if first != last:
            at = -box[axis] if first else canvas[axis] - box[axis] - box[axis + 2]
        moved.append(at)
    return moved[0], moved[1]


def best_fitting(image: np.ndarray, patch: Patch, places: list[tuple[int, int]]) -> tuple[int, int]:
    """The (top, left) where a patch's surroundings agree best with what is there, as a careful forger would choose."""
    return min(places, key=lambda place: _misfit(image, patch, *place))


def _misfit(image: np.ndarray, patch: Patch, top: int, left: int) -> float:
    """Mean absolute difference in grey levels over every second pixel; infinite where nothing can be compared."""
    rows, columns, inside = _overlap(image, patch, top, left)
    around = (patch.alpha[inside] == 0)[::2, ::2]
    if not around.any():
        return float("inf")
    there, here = image[rows, columns][::2, ::2][around], patch.image[inside][::2, ::2][around]
    return float(np.abs(there.astype(np.int16) - here).mean())


def paste(image: np.ndarray, patch: Patch, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Blends a patch into a copy of a picture; what lies outside is cut off.

    Returns:
        The (H, W, 3) uint8 picture, and the (H, W) float32 alpha of the patch on it.

    Example:
        >>> white = Patch(np.full((3, 3, 3), 255, np.uint8), np.ones((3, 3), np.float32))
        >>> picture, alpha = paste(np.zeros((4, 4, 3), np.uint8), white, 2, -1)
        >>> alpha.astype(int).tolist()
        [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
        >>> bool((picture[..., 0] == 255 * alpha).all())
        True
    """
    rows, columns, inside = _overlap(image, patch, top, left)
    alpha = np.minimum(patch.alpha[inside], 1.0)  # interpolation may overshoot by a rounding error
    below = image[rows, columns].astype(np.float32)
    pasted, placed = image.copy(), np.zeros(image.shape[:2], np.float32)
    pasted[rows, columns] = to_uint8(below + alpha[..., None] * (patch.image[inside] - below))
    placed[rows, columns] = alpha
    return pasted, placed


def blend_seamlessly(image: np.ndarray, patch: Patch, top: int, left: int) -> Patch:
    """The patch with its own gradients but the host's colours along its outline, as a healing brush leaves it.

    Poisson editing: the opaque part is replaced by the solution of a Poisson equation with the host as its boundary.

    Returns:
        A patch of the same size to be pasted at the same place; its alpha is unchanged. One that is too small to
        have an inside is returned as it is.
    """
    import cv2

    rows, columns, inside = _overlap(image, patch, top, left)
    opaque = (patch.alpha[inside] > 0.5).astype(np.uint8)
    if not opaque.any():
        return patch
    first_row, first_column, height, width = bounding_box(opaque)
    if min(height, width) < _SOLVABLE:
        return patch
    frame = 2  # the solver needs a border of host pixels all around
    below, above = (
        cv2.copyMakeBorder(np.ascontiguousarray(part), frame, frame, frame, frame, cv2.BORDER_REPLICATE)
        for part in (image[rows, columns], patch.image[inside])
    )
    centre = first_column + frame + width // 2, first_row + frame + height // 2
    solved = cv2.seamlessClone(above, below, np.pad(opaque * 255, frame), centre, cv2.NORMAL_CLONE)
    blended = patch.image.copy()
    blended[inside] = solved[frame:-frame, frame:-frame]
    return Patch(blended, patch.alpha)


def _overlap(image: np.ndarray, patch: Patch, top: int, left: int) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of the picture that a patch covers, and the part of the patch that covers them."""
    rows = slice(max(top, 0), min(top + patch.alpha.shape[0], image.shape[0]))
    columns = slice(max(left, 0), min(left + patch.alpha.shape[1], image.shape[1]))
    return rows, columns, np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
