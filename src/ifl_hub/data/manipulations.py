"""The forgeries made from the host alone: copy-move, removal and local retouching; and the list of all kinds.

Each takes a finished host and returns the edited picture with the alpha of the edit. Pixels whose alpha is 0 are the
host's own, bit for bit; whole-picture processing comes later and treats forged and authentic pictures alike.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .histories import Step, apply_steps, draw_grid, draw_kernel, plan_gain, plan_jpeg, plan_noise, to_uint8
from .hosts import Edit, Host, object_in_view
from .patches import (
    Patch,
    best_fitting,
    blend_seamlessly,
    bounding_box,
    draw_feather,
    draw_places,
    feather,
    inflate,
    margin_for,
    paste,
    transform,
    window,
)
from .photos import PhotoPool
from .regions import draw_box, draw_region
from .splicing import splicing

_OBJECT_IN_VIEW = "object in view"
_HEALED_COPY, _HEALED_HOLE = 0.05, 0.3  # how often Poisson editing adapts a copy, or a clone over what was removed


def copy_move(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Copies an object or a region to one or two other places of the same picture; only the copies count as forged.

    Most copies keep their size and none leaves 0.75 to 1.25 of it; a quarter is mirrored, a quarter turned, slightly
    as a rule.
    """
    region, shape = _draw_area(rng, pool, host, largest=0.35)
    source = top, left, height, width = bounding_box(region)
    scale = 1.0 if rng.random() < 0.6 else round(float(rng.uniform(0.75, 1.25)), 3)
    angle = 0.0 if rng.random() < 0.75 else _draw_turn(rng)
    mirrored, kernel, sigma = bool(rng.random() < 0.25), draw_kernel(rng), draw_feather(rng)
    margin = margin_for(scale)
    around = window(host.image, top - margin, left - margin, height + 2 * margin, width + 2 * margin)
    shape_alpha = np.pad(region[top : top + height, left : left + width], margin)
    patch = transform(Patch(around, shape_alpha), scale, angle, mirrored, kernel)
    recolour = [plan_gain(rng, 0.06, 6)] if rng.random() < 0.15 else []
    patch = Patch(apply_steps(patch.image, recolour), feather(patch.alpha, sigma))
    image, alpha, places = host.image, np.zeros(region.shape, np.float32), []
    careful, healed = bool(rng.random() < 0.5), bool(rng.random() < _HEALED_COPY)
    for _ in range(1 if rng.random() < 0.85 else 2):
        candidates = _draw_other_places(rng, patch, host.image.shape, source)
        if not candidates:
            return None
        place = best_fitting(host.image, patch, candidates) if careful else candidates[0]
        image, pasted = paste(image, blend_seamlessly(image, patch, *place) if healed else patch, *place)
        alpha = np.maximum(alpha, pasted)
        places.append(list(place))
    record = {"region": shape, "source": list(source), "scale": scale, "angle": angle, "mirrored": mirrored}
    record |= {"kernel": kernel, "recolour": recolour, "feather": sigma, "careful": careful, "seamless": healed}
    return Edit(image, alpha, record | {"places": places})


def removal(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Erases a region: diffusion inpainting, or background cloned from the best-fitting of some other places."""
    import cv2

    region, shape = _draw_area(rng, pool, host, largest=0.2)
    if shape == _OBJECT_IN_VIEW:
        grown = int(rng.integers(1, 4)) * 2 + 1
        region = cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))
    if not (region > 0.5).any():
        return None
    fill = _inpaint if rng.random() < 0.3 else _clone_background
    return fill(rng, host.image, region, {"region": shape})


def retouch(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Filters a region in place: blur, sharpen, noise, median, resampling, compression, or brightness and colour."""
    region, shape = _draw_area(rng, pool, host, largest=0.5)
    step, sigma = _plan_retouch(rng), draw_feather(rng)
    rows, columns = inflate(bounding_box(region), margin_for(1.0), region.shape)
    filtered = apply_steps(np.ascontiguousarray(host.image[rows, columns]), [step])
    patch = Patch(filtered, feather(region[rows, columns], sigma))
    image, alpha = paste(host.image, patch, rows.start, columns.start)
    return Edit(image, alpha, {"region": shape, "step": step, "feather": sigma})


MANIPULATIONS: dict[str, Callable[[np.random.Generator, PhotoPool, Host], Edit | None]] = {
    "splicing": splicing,
    "copy_move": copy_move,
    "removal": removal,
    "retouch": retouch,
}


def _draw_turn(rng: np.random.Generator) -> float:
    """Degrees: mostly a slight turn, else a quarter or half of the circle."""
    return round(float(rng.uniform(-20, 20)), 1) if rng.random() < 0.7 else float(rng.choice([90.0, 180.0]))


def _draw_area(rng: np.random.Generator, pool: PhotoPool, host: Host, largest: float) -> tuple[np.ndarray, str]:
    """A region of the canvas: an object that the photo is known to show, or a drawn shape; never empty."""
    if rng.random() < 0.6:
        subject = object_in_view(rng, pool, host)
        if subject is not None and 0.003 < float((subject > 0.5).mean()) < largest:
            return subject, _OBJECT_IN_VIEW
    height, width = draw_box(rng, host.image.shape, largest)
    rows, columns = host.image.shape[:2]
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    alpha = np.zeros((rows, columns), np.float32)
    drawn, shape = draw_region(rng, height, width, pool)
    alpha[top : top + height, left : left + width] = drawn
    return alpha, shape


def _draw_other_places(
    rng: np.random.Generator, patch: Patch, canvas: tuple[int, ...], source: tuple[int, int, int, int]
) -> list[tuple[int, int]]:
    """Up to a dozen places whose centres are at least half a box away from the source's centre."""
    height, width = patch.alpha.shape
    centre = source[0] + source[2] / 2 - height / 2, source[1] + source[3] / 2 - width / 2
    if not (patch.alpha > 0.5).any():
        return []
    drawn = draw_places(rng, patch.alpha, canvas, 12)
    return [at for at in drawn if abs(at[0] - centre[0]) > 0.5 * height or abs(at[1] - centre[1]) > 0.5 * width]


def _inpaint(rng: np.random.Generator, image: np.ndarray, region: np.ndarray, record: dict[str, Any]) -> Edit:
    """Diffusion from the hole's border, half of the time grained so that the fill is not suspiciously smooth."""
    import cv2

    hole = (region > 0.5).astype(np.uint8)
    method = ("telea", "navier-stokes")[int(rng.integers(2))]
    flag = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}[method]
    rows, columns = inflate(bounding_box(hole), 8, hole.shape)
    filled = cv2.inpaint(np.ascontiguousarray(image[rows, columns]), hole[rows, columns], 3, flag)
    steps = [plan_noise(rng, 0.5, 4.0)] if rng.random() < 0.5 else []
    patch = Patch(apply_steps(filled, steps), hole[rows, columns].astype(np.float32))
    edited, alpha = paste(image, patch, rows.start, columns.start)
    return Edit(edited, alpha, record | {"method": method, "steps": steps})


def _clone_background(
    rng: np.random.Generator, image: np.ndarray, region: np.ndarray, record: dict[str, Any]
) -> Edit | None:
    """Fills a region from the shifted place whose surroundings agree best, as a clone stamp is used."""
    import cv2

    here = inflate(bounding_box(region), margin_for(1.0), region.shape)
    inside = region[here] > 0.5
    ring = (cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & ~inside
    places = [place for _ in range(32) if (place := _draw_clear_place(rng, region, inside)) is not None]
    if not places or not ring.any():
        return None
    around = image[here][ring].astype(np.int16)
    mismatches = [float(np.abs(image[place][ring].astype(np.int16) - around).mean()) for place in places]
    place = places[int(np.argmin(mismatches))]
    healed, sigma = bool(rng.random() < _HEALED_HOLE), draw_feather(rng)
    shift = around.mean(axis=0) - image[place][ring].mean(axis=0) if rng.random() < 0.6 and not healed else np.zeros(3)
    patch = Patch(to_uint8(image[place] + shift), feather(region[here], sigma))
    top, left = here[0].start, here[1].start
    edited, alpha = paste(image, blend_seamlessly(image, patch, top, left) if healed else patch, top, left)
    record |= {"method": "clone", "seamless": healed, "source": [place[0].start, place[1].start], "feather": sigma}
    return Edit(edited, alpha, record | {"shift": [round(float(value), 1) for value in shift]})


def _draw_clear_place(rng: np.random.Generator, region: np.ndarray, inside: np.ndarray) -> tuple[slice, slice] | None:
    """A random window where a shape of this size lies clear of the region that is to be removed."""
    height, width = inside.shape
    top, left = (int(rng.integers(room - side + 1)) for room, side in zip(region.shape, inside.shape, strict=True))
    place = slice(top, top + height), slice(left, left + width)
    return place if float((region[place] * inside).sum()) < 0.02 * inside.sum() else None


def _plan_retouch(rng: np.random.Generator) -> Step:
    """One filter, strong enough to outlive a later compression as a rule."""
    operation = str(rng.choice(["blur", "sharpen", "noise", "median", "resample", "jpeg", "gain"]))
    if operation == "blur":
        return {"op": operation, "sigma": round(float(rng.uniform(0.7, 3.0)), 2)}
    if operation == "sharpen":
        amount, sigma = float(rng.uniform(0.8, 2.0)), float(rng.uniform(0.8, 2.0))
        return {"op": operation, "amount": round(amount, 2), "sigma": round(sigma, 2)}
    if operation == "noise":
        return plan_noise(rng, 4.0, 14.0)
    if operation == "median":
        return {"op": operation, "size": int(rng.choice([3, 5]))}
    if operation == "resample":
        kernels = [draw_kernel(rng), draw_kernel(rng)]
        return {"op": operation, "factor": round(float(rng.uniform(0.35, 0.75)), 2), "kernels": kernels}
    if operation == "jpeg":
        return plan_jpeg(rng, 20, 60, draw_grid(rng))
    return plan_gain(rng, 0.3, 25)
