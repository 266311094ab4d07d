"""Splicing: a part of another picture, with another life behind it, pasted into the host."""

from typing import Any

import numpy as np

from .histories import Step, apply_steps, draw_kernel, plan_colour_match, plan_gain, plan_history, resize
from .hosts import Edit, Host, draw_scale, object_in_view
from .patches import (
    Patch,
    best_fitting,
    blend_seamlessly,
    draw_feather,
    draw_place,
    draw_places,
    feather,
    margin_for,
    paste,
    transform,
    window,
)
from .photos import PhotoPool
from .regions import draw_box, draw_region

_BACKGROUND, _OBJECT = 0.08, 0.3  # how often a background; else how often a cut-out and not a drawn region
_LARGEST = 0.6  # of the canvas, a pasted part's box
_GREY = 3.0  # mean difference of a pixel's channels in grey levels, below which a picture counts as grey
_SAME_SCENE = 0.25  # how often a drawn region is from another shot of the same scene: only traces betray it
_SEAMLESS = 0.07  # how often colours are adapted by Poisson editing


def splicing(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Pastes an object, a region or a whole background of another photo."""
    if rng.random() < _BACKGROUND:
        return _replace_background(rng, pool, host)
    draw = _object_patch if pool.cutouts and rng.random() < _OBJECT else _region_patch
    patch, record = draw(rng, pool, host)
    history = plan_history(rng)
    angle = round(float(rng.uniform(-40, 40)), 1) if rng.random() < 0.25 else 0.0
    mirrored, kernel = bool(rng.random() < 0.5), draw_kernel(rng)
    patch = transform(Patch(apply_steps(patch.image, history), patch.alpha), record["scale"], angle, mirrored, kernel)
    if record["region"] == "object" and (patch.alpha > 0.5).any():
        places = draw_places(rng, patch.alpha, host.image.shape, 8)
    else:
        places = [draw_place(rng, patch.alpha.shape, host.image.shape) for _ in range(8)]
    careful, sigma = bool(rng.random() < 0.45), draw_feather(rng)
    place = best_fitting(host.image, patch, places) if careful else places[0]
    seamless = bool(rng.random() < _SEAMLESS)
    recolour = _plan_recolour(rng, patch, window(host.image, *place, *patch.alpha.shape), seamless)
    patch = Patch(apply_steps(patch.image, recolour), feather(patch.alpha, sigma))
    image, alpha = paste(host.image, blend_seamlessly(host.image, patch, *place) if seamless else patch, *place)
    record |= {"history": history, "angle": angle, "mirrored": mirrored, "kernel": kernel, "careful": careful}
    record |= {"seamless": seamless, "recolour": recolour, "feather": sigma, "place": list(place)}
    return Edit(image, alpha, record)


def _object_patch(rng: np.random.Generator, pool: PhotoPool, host: Host) -> tuple[Patch, dict[str, Any]]:
    """A cut-out, surrounded by what was really around it where its donor is known."""
    cut = pool.cutout(int(rng.integers(len(pool.cutouts))))
    (height, width), canvas = cut.alpha.shape, host.image.shape
    box = draw_box(rng, canvas, _LARGEST)
    wanted = float(np.sqrt(box[0] * box[1] / (height * width)))
    natural = height < canvas[0] and width < canvas[1] and rng.random() < 0.3
    scale = 1.0 if natural else round(float(np.clip(wanted, 0.4, 1.6)), 3)
    margin = margin_for(scale)
    if cut.donor is not None and cut.box is not None:
        top, left = cut.box[0] - margin, cut.box[1] - margin
        around = window(pool.photo(cut.donor), top, left, height + 2 * margin, width + 2 * margin)
    else:
        around = window(cut.image, -margin, -margin, height + 2 * margin, width + 2 * margin)
    return Patch(around, np.pad(cut.alpha, margin)), {"region": "object", "donor": cut.name, "scale": scale}


def _region_patch(rng: np.random.Generator, pool: PhotoPool, host: Host) -> tuple[Patch, dict[str, Any]]:
    """A drawn region of another photo, or of another shot of the same scene.

    The forger has that photo at a size of its own, as the host has one: were it always there with all its pixels, what
    is pasted into a small picture would be smoother than its surroundings, and nothing else would be learnt.
    """
    index = host.photo if rng.random() < _SAME_SCENE else _other_photo(rng, pool, host)
    photo, canvas = pool.photo(index), host.image.shape
    seen = round(draw_scale(rng, min(1.0, max(canvas[0] / photo.shape[0], canvas[1] / photo.shape[1]))), 3)
    scale = 1.0 if rng.random() < 0.35 else round(float(rng.uniform(0.4, 1.6)), 3)
    room = [max(8, int(side * seen)) for side in photo.shape[:2]]
    height, width = (
        min(max(8, round(side / scale)), most) for side, most in zip(draw_box(rng, canvas, _LARGEST), room, strict=True)
    )
    top, left = int(rng.integers(room[0] - height + 1)), int(rng.integers(room[1] - width + 1))
    alpha, shape = draw_region(rng, height, width, pool)
    margin, kernel = margin_for(scale), draw_kernel(rng)
    around = _seen_window(photo, seen, (top - margin, left - margin, height + 2 * margin, width + 2 * margin), kernel)
    record = {"region": shape, "donor": pool.photos[index].name, "seen": seen}
    return Patch(around, np.pad(alpha, margin)), record | {"source": [top, left, height, width], "scale": scale}


def _seen_window(photo: np.ndarray, seen: float, box: tuple[int, int, int, int], kernel: str) -> np.ndarray:
    """A (top, left, height, width) window of a photo that was resized by `seen`, without resizing all of it."""
    top, left, height, width = box
    rows, columns = max(1, round(height / seen)), max(1, round(width / seen))
    return resize(window(photo, round(top / seen), round(left / seen), rows, columns), height, width, kernel)


def _replace_background(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit:
    """Replaces all beyond a wavy horizon, or all around a subject: what is forged is not always an object."""
    index = _other_photo(rng, pool, host)
    photo, (height, width) = pool.photo(index), host.image.shape[:2]
    scale = draw_scale(rng, max(height / photo.shape[0], width / photo.shape[1]))
    rows, columns = min(photo.shape[0], round(height / scale)), min(photo.shape[1], round(width / scale))
    top, left = int(rng.integers(photo.shape[0] - rows + 1)), int(rng.integers(photo.shape[1] - columns + 1))
    history, kernel, sigma = plan_history(rng), draw_kernel(rng), draw_feather(rng)
    donor = apply_steps(np.ascontiguousarray(photo[top : top + rows, left : left + columns]), history)
    subject = object_in_view(rng, pool, host) if rng.random() < 0.5 else None
    alpha = feather(_horizon(rng, height, width) if subject is None else 1 - subject, sigma)
    image, alpha = paste(host.image, Patch(resize(donor, height, width, kernel), alpha), 0, 0)
    record = {"region": "background", "donor": pool.photos[index].name, "source": [top, left, rows, columns]}
    return Edit(image, alpha, record | {"history": history, "kernel": kernel, "feather": sigma})


def _other_photo(rng: np.random.Generator, pool: PhotoPool, host: Host) -> int:
    index = int(rng.integers(len(pool)))
    return (index + 1) % len(pool) if index == host.photo else index


def _horizon(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """An alpha of everything above a wavy line (now and then: below)."""
    columns = np.linspace(0, 2 * np.pi, width)
    line = np.full(width, rng.uniform(0.2, 0.5))
    for frequency in (0.5, 1, 2, 4, 9):
        line += rng.normal(0, 0.03 / np.sqrt(frequency)) * np.sin(frequency * columns + rng.uniform(0, 2 * np.pi))
    above = (np.arange(height)[:, None] < line[None, :] * height).astype(np.float32)
    return above if rng.random() < 0.8 else np.ascontiguousarray(above[::-1])


def _plan_recolour(rng: np.random.Generator, patch: Patch, below: np.ndarray, seamless: bool) -> list[Step]:
    """Half of the foreign parts are recoloured: at random, or to match what they cover as a careful forger does.

    What goes into a grey picture is always made grey.
    """
    if float(np.ptp(below[::4, ::4].astype(np.int16), axis=2).mean()) < _GREY:
        return [{"op": "lab", "gain": [1.0, 0.0, 0.0], "offset": [0.0, 0.0, 0.0]}]
    choice = 1.0 if seamless else rng.random()
    if choice < 0.2:
        return [plan_gain(rng, 0.15, 12)]
    opaque = patch.alpha > 0.5
    if choice < 0.45 and opaque.any():
        return [plan_colour_match(rng, patch.image[opaque], below.reshape(-1, 3))]
    return []
