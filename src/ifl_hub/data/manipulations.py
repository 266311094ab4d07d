"""The four ways to forge a picture: splicing, copy-move, removal and local retouching.

Each takes a finished host and returns the edited picture with the alpha of the edit. Pixels whose alpha is 0 are the host's
own, bit for bit; whole-picture processing comes later and treats forged and authentic pictures alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .histories import KERNELS, Step, apply_steps, plan_history, plan_jpeg, plan_noise, resize, to_uint8
from .hosts import Host, object_in_view
from .photos import PhotoPool
from .regions import draw_feather, draw_region, feather

_MARGIN = 7  # pixels of real surroundings kept around a shape, enough for three sigmas of feathering


@dataclass(frozen=True)
class Edit:
    """An edited picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32 in [0, 1], how much of each pixel is new.
        record: What was done, JSON-able.
    """

    image: np.ndarray
    alpha: np.ndarray
    record: dict[str, Any]


@dataclass(frozen=True)
class _Patch:
    image: np.ndarray
    alpha: np.ndarray


def splicing(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Pastes an object, a region or a whole background of another photo."""
    if rng.random() < 0.08:
        return _splice_background(rng, pool, host)
    if pool.cutouts and rng.random() < 0.6:
        patch, record = _object_patch(rng, pool, host)
    else:
        patch, record = _region_patch(rng, pool, host)
    if min(patch.alpha.shape) < 3:
        return None
    steps = [*_plan_recolour(rng, patch, host.image)]
    patch = _Patch(apply_steps(patch.image, steps), feather(patch.alpha, record["feather"]))
    top, left = _draw_place(rng, patch.alpha.shape, host.image.shape)
    image, alpha = _paste(host.image, patch, top, left)
    return Edit(image, alpha, {**record, "recolour": steps, "place": [top, left]})


def copy_move(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Copies an object or a region to another place of the same picture; only the copy counts as forged."""
    source, shape = _draw_area(rng, pool, host, largest=0.35)
    top, left, height, width = _bounding_box(source)
    scale = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.75, 1.25))
    angle = 0.0 if rng.random() < 0.75 else float(rng.choice([rng.uniform(-25, 25), 90.0, 180.0]))
    mirrored, sigma = bool(rng.random() < 0.25), draw_feather(rng)
    kernel = KERNELS[int(rng.integers(len(KERNELS)))]
    patch = _Patch(host.image[top : top + height, left : left + width], source[top : top + height, left : left + width])
    patch = _transform(patch, scale, angle, mirrored, kernel)
    steps = [_plan_gain(rng, 0.06, 6)] if rng.random() < 0.15 else []
    patch = _Patch(apply_steps(patch.image, steps), feather(patch.alpha, sigma))
    image, alpha, places = host.image, np.zeros(source.shape, np.float32), []
    for _ in range(1 if rng.random() < 0.85 else 2):
        place = _draw_other_place(rng, patch.alpha.shape, host.image.shape, (top, left, height, width))
        if place is None:
            return None
        image, pasted = _paste(image, patch, *place)
        alpha = np.maximum(alpha, pasted)
        places.append(list(place))
    record = {
        "region": shape,
        "source": [top, left, height, width],
        "scale": round(scale, 3),
        "angle": round(angle, 1),
        "mirrored": mirrored,
        "kernel": kernel,
        "feather": sigma,
        "recolour": steps,
        "places": places,
    }
    return Edit(image, alpha, record)


def removal(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Erases a region: diffusion inpainting, or background cloned from the best-fitting place near by."""
    import cv2

    region, shape = _draw_area(rng, pool, host, largest=0.2)
    if shape == "object in view":
        grown = int(rng.integers(1, 4)) * 2 + 1
        region = cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))
    record: dict[str, Any] = {"region": shape}
    if rng.random() < 0.3:
        method = ("telea", "navier-stokes")[int(rng.integers(2))]
        return _inpaint(rng, host.image, region, {**record, "method": method})
    return _clone_background(rng, host.image, region, record)


def retouch(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Filters a region in place: blur, sharpen, noise, median, resampling, compression, or brightness and colour."""
    region, shape = _draw_area(rng, pool, host, largest=0.5)
    top, left, height, width = _bounding_box(region)
    step = _plan_retouch(rng)
    window = np.s_[top : top + height, left : left + width]
    sigma = draw_feather(rng)
    patch = _Patch(apply_steps(np.ascontiguousarray(host.image[window]), [step]), feather(region[window], sigma))
    image, alpha = _paste(host.image, patch, top, left)
    return Edit(image, alpha, {"region": shape, "step": step, "feather": sigma})


MANIPULATIONS: dict[str, Callable[[np.random.Generator, PhotoPool, Host], Edit | None]] = {
    "splicing": splicing,
    "copy_move": copy_move,
    "removal": removal,
    "retouch": retouch,
}


def _object_patch(rng: np.random.Generator, pool: PhotoPool, host: Host) -> tuple[_Patch, dict[str, Any]]:
    """A cut-out with some of its real surroundings where its donor is known, resized and turned."""
    cut = pool.cutout(int(rng.integers(len(pool.cutouts))))
    if cut.donor is not None and cut.box is not None:
        around = _window(pool.photo(cut.donor), cut.box[0] - _MARGIN, cut.box[1] - _MARGIN, _grown(cut.alpha.shape))
    else:
        around = np.pad(cut.image, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), mode="edge")
    patch = _Patch(around, np.pad(cut.alpha, _MARGIN))
    wanted = np.sqrt(_draw_box_area(rng, host.image.shape, largest=0.6) / cut.alpha.size)
    fits = cut.alpha.shape[0] < host.image.shape[0] and cut.alpha.shape[1] < host.image.shape[1]
    scale = 1.0 if fits and rng.random() < 0.3 else float(np.clip(wanted, 0.4, 1.6))
    return _finish_patch(rng, patch, scale, {"donor": cut.name, "region": "object"})


def _region_patch(rng: np.random.Generator, pool: PhotoPool, host: Host) -> tuple[_Patch, dict[str, Any]]:
    """A drawn region of a photo, preferably not the host's."""
    index = int(rng.integers(len(pool)))
    if index == host.photo:
        index = (index + 1) % len(pool)
    photo = pool.photo(index)
    scale = 1.0 if rng.random() < 0.35 else float(rng.uniform(0.4, 1.6))
    height, width = _draw_box(rng, host.image.shape, largest=0.6)
    height = min(max(8, round(height / scale)), photo.shape[0])
    width = min(max(8, round(width / scale)), photo.shape[1])
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    alpha, shape = draw_region(rng, height, width, pool)
    around = _window(photo, top - _MARGIN, left - _MARGIN, _grown((height, width)))
    record = {"donor": pool.photos[index].name, "region": shape, "source": [top, left, height, width]}
    return _finish_patch(rng, _Patch(around, np.pad(alpha, _MARGIN)), scale, record)


def _finish_patch(
    rng: np.random.Generator, patch: _Patch, scale: float, record: dict[str, Any]
) -> tuple[_Patch, dict[str, Any]]:
    """Gives a foreign patch its own history and geometry."""
    history = plan_history(rng)
    angle = float(rng.uniform(-40, 40)) if rng.random() < 0.3 else 0.0
    mirrored, kernel = bool(rng.random() < 0.5), KERNELS[int(rng.integers(len(KERNELS)))]
    patch = _transform(_Patch(apply_steps(patch.image, history), patch.alpha), scale, angle, mirrored, kernel)
    geometry = {"scale": round(scale, 3), "angle": round(angle, 1), "mirrored": mirrored, "kernel": kernel}
    return patch, {**record, "history": history, **geometry, "feather": draw_feather(rng)}


def _splice_background(rng: np.random.Generator, pool: PhotoPool, host: Host) -> Edit | None:
    """Replaces everything beyond a wavy horizon or around a subject, so that 'forged' is not the same as 'an object'."""
    height, width = host.image.shape[:2]
    index = int(rng.integers(len(pool)))
    photo = pool.photo((index + 1) % len(pool) if index == host.photo else index)
    scale = max(height / photo.shape[0], width / photo.shape[1], float(rng.uniform(0.5, 1.0)))
    rows, columns = min(photo.shape[0], round(height / scale)), min(photo.shape[1], round(width / scale))
    top, left = int(rng.integers(photo.shape[0] - rows + 1)), int(rng.integers(photo.shape[1] - columns + 1))
    history, kernel = plan_history(rng), KERNELS[int(rng.integers(len(KERNELS)))]
    donor = resize(np.ascontiguousarray(photo[top : top + rows, left : left + columns]), height, width, kernel)
    subject = object_in_view(rng, pool, host) if rng.random() < 0.5 else None
    alpha = _horizon(rng, height, width) if subject is None else 1 - subject
    sigma = draw_feather(rng)
    image, alpha = _paste(host.image, _Patch(apply_steps(donor, history), feather(alpha, sigma)), 0, 0)
    record = {"region": "background", "history": history, "kernel": kernel, "scale": round(scale, 3), "feather": sigma}
    return Edit(image, alpha, record)


def _horizon(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    columns = np.linspace(0, 2 * np.pi, width)
    line = np.full(width, rng.uniform(0.2, 0.5))
    for frequency in (0.5, 1, 2, 4, 9):
        line += rng.normal(0, 0.03 / np.sqrt(frequency)) * np.sin(frequency * columns + rng.uniform(0, 2 * np.pi))
    above = (np.arange(height)[:, None] < line[None, :] * height).astype(np.float32)
    return above if rng.random() < 0.8 else np.ascontiguousarray(above[::-1])


def _inpaint(rng: np.random.Generator, image: np.ndarray, region: np.ndarray, record: dict[str, Any]) -> Edit:
    import cv2

    hole = (region > 0.5).astype(np.uint8)
    flag = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}[record["method"]]
    top, left, height, width = _bounding_box(region, margin=8)
    window = np.s_[top : top + height, left : left + width]
    filled = cv2.inpaint(np.ascontiguousarray(image[window]), hole[window], 3, flag)
    steps = [plan_noise(rng, 0.5, 4.0)] if rng.random() < 0.5 else []
    alpha = hole.astype(np.float32)
    edited, alpha = _paste(image, _Patch(apply_steps(filled, steps), alpha[window]), top, left)
    return Edit(edited, alpha, {**record, "steps": steps})


def _clone_background(
    rng: np.random.Generator, image: np.ndarray, region: np.ndarray, record: dict[str, Any]
) -> Edit | None:
    """Fills a region from the shifted place whose surroundings agree best, as a clone stamp is used."""
    import cv2

    top, left, height, width = _bounding_box(region, margin=4)
    window = np.s_[top : top + height, left : left + width]
    inside = region[window] > 0.5
    ring = (cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & ~inside
    around = image[window][ring].astype(np.int16)
    candidates = []
    for _ in range(16):
        row = int(rng.integers(image.shape[0] - height + 1))
        column = int(rng.integers(image.shape[1] - width + 1))
        overlap = (region[row : row + height, column : column + width] * inside).sum() / inside.sum()
        if overlap < 0.02:
            there = image[row : row + height, column : column + width][ring].astype(np.int16)
            candidates.append((float(np.abs(there - around).mean()), row, column))
    if not candidates or not ring.any():
        return None
    mismatch, row, column = min(candidates)
    source = image[row : row + height, column : column + width]
    shift = np.zeros(3)
    if rng.random() < 0.6:
        shift = around.mean(axis=0) - source[ring].mean(axis=0)
    filled, sigma = to_uint8(source + shift), draw_feather(rng)
    edited, alpha = _paste(image, _Patch(filled, feather(region[window], sigma)), top, left)
    detail = {"method": "clone", "source": [row, column], "shift": [round(float(value), 1) for value in shift]}
    return Edit(edited, alpha, {**record, **detail, "feather": sigma, "mismatch": round(mismatch, 2)})


def _plan_retouch(rng: np.random.Generator) -> Step:
    kind = str(rng.choice(["blur", "sharpen", "noise", "median", "resample", "jpeg", "gain"]))
    if kind == "blur":
        return {"op": "blur", "sigma": round(float(rng.uniform(0.7, 3.0)), 2)}
    if kind == "sharpen":
        amount, sigma = float(rng.uniform(0.8, 2.0)), float(rng.uniform(0.8, 2.0))
        return {"op": "sharpen", "amount": round(amount, 2), "sigma": round(sigma, 2)}
    if kind == "noise":
        return plan_noise(rng, 3.0, 12.0)
    if kind == "median":
        return {"op": "median", "size": int(rng.choice([3, 5]))}
    if kind == "resample":
        kernels = [KERNELS[int(k)] for k in rng.integers(len(KERNELS), size=2)]
        return {"op": "resample", "factor": round(float(rng.uniform(0.4, 0.8)), 2), "kernels": kernels}
    if kind == "jpeg":
        return plan_jpeg(rng, 30, 75, (int(rng.integers(8)), int(rng.integers(8))))
    return _plan_gain(rng, 0.3, 25)


def _plan_gain(rng: np.random.Generator, spread: float, offset: float) -> Step:
    """A common change of brightness and contrast plus a third as much per channel."""
    gain = 1 + rng.uniform(-spread, spread) + rng.uniform(-spread, spread, 3) / 3
    shift = rng.uniform(-offset, offset) + rng.uniform(-offset, offset, 3) / 3
    return {"op": "gain", "gain": [round(float(v), 3) for v in gain], "offset": [round(float(v), 1) for v in shift]}


def _plan_recolour(rng: np.random.Generator, patch: _Patch, host: np.ndarray) -> list[Step]:
    """Half of the foreign parts are recoloured: at random, or towards the host's mean as a careful forger does."""
    choice = rng.random()
    if choice < 0.25:
        return [_plan_gain(rng, 0.15, 12)]
    if choice < 0.5 and (opaque := patch.alpha > 0.5).any():
        towards = float(rng.uniform(0.2, 0.6)) * (host.mean(axis=(0, 1)) - patch.image[opaque].mean(axis=0))
        return [{"op": "gain", "gain": [1.0, 1.0, 1.0], "offset": [round(float(v), 1) for v in towards]}]
    return []


def _draw_area(rng: np.random.Generator, pool: PhotoPool, host: Host, largest: float) -> tuple[np.ndarray, str]:
    """A region of the canvas itself: an object the photo is known to show, or a drawn shape."""
    if rng.random() < 0.65:
        subject = object_in_view(rng, pool, host)
        if subject is not None and 0.002 < float((subject > 0.5).mean()) < largest:
            return subject, "object in view"
    height, width = _draw_box(rng, host.image.shape, largest)
    alpha = np.zeros(host.image.shape[:2], np.float32)
    top = int(rng.integers(alpha.shape[0] - height + 1))
    left = int(rng.integers(alpha.shape[1] - width + 1))
    drawn, shape = draw_region(rng, height, width, pool)
    alpha[top : top + height, left : left + width] = drawn
    return alpha, shape


def _draw_box_area(rng: np.random.Generator, canvas: tuple[int, ...], largest: float) -> float:
    return float(np.exp(rng.uniform(np.log(0.01), np.log(largest)))) * canvas[0] * canvas[1]


def _draw_box(rng: np.random.Generator, canvas: tuple[int, ...], largest: float) -> tuple[int, int]:
    """Height and width of a box: area log-uniform between 1 % and `largest` of the canvas, aspect 1:2.2 to 2.2:1."""
    area, aspect = _draw_box_area(rng, canvas, largest), float(np.exp(rng.uniform(-0.8, 0.8)))
    height, width = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
    return int(np.clip(height, 3, canvas[0])), int(np.clip(width, 3, canvas[1]))


def _bounding_box(alpha: np.ndarray, margin: int = _MARGIN) -> tuple[int, int, int, int]:
    """(top, left, height, width) around all non-zero alpha, with a margin inside the canvas."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
    bottom, right = int(rows[-1]) + 1 + margin, int(columns[-1]) + 1 + margin
    return top, left, min(bottom, alpha.shape[0]) - top, min(right, alpha.shape[1]) - left


def _grown(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0] + 2 * _MARGIN, shape[1] + 2 * _MARGIN


def _window(photo: np.ndarray, top: int, left: int, shape: tuple[int, int]) -> np.ndarray:
    """A window that may reach beyond the photo, where its border is repeated."""
    rows = np.clip(np.arange(top, top + shape[0]), 0, photo.shape[0] - 1)
    columns = np.clip(np.arange(left, left + shape[1]), 0, photo.shape[1] - 1)
    inner = photo[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inner.shape[:2] == shape:
        return np.ascontiguousarray(inner)
    return np.ascontiguousarray(inner[rows - rows[0]][:, columns - columns[0]])


def _transform(patch: _Patch, scale: float, angle: float, mirrored: bool, kernel: str) -> _Patch:
    """Resizes, mirrors and rotates picture and alpha together; nothing is interpolated where nothing changes."""
    height, width = (max(1, round(side * scale)) for side in patch.alpha.shape)
    image, alpha = resize(patch.image, height, width, kernel), resize(patch.alpha, height, width, "linear")
    if mirrored:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    if angle % 90 == 0:
        turns = int(angle // 90)
        image, alpha = np.rot90(image, turns), np.rot90(alpha, turns)
    else:
        image, alpha = _rotate(np.ascontiguousarray(image), np.ascontiguousarray(alpha), angle, kernel)
    return _Patch(np.ascontiguousarray(image), np.ascontiguousarray(np.clip(alpha, 0, 1)))


def _rotate(image: np.ndarray, alpha: np.ndarray, angle: float, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    height, width = alpha.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    new_width, new_height = int(np.ceil(width * cosine + height * sine)), int(np.ceil(width * sine + height * cosine))
    matrix[:, 2] += [(new_width - width) / 2, (new_height - height) / 2]
    flag = {"cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}.get(kernel, cv2.INTER_LINEAR)
    size = (new_width, new_height)
    turned = cv2.warpAffine(image, matrix, size, flags=flag, borderMode=cv2.BORDER_REPLICATE)
    return turned, cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR, borderValue=0)


def _draw_place(rng: np.random.Generator, shape: tuple[int, ...], canvas: tuple[int, ...]) -> tuple[int, int]:
    """Where to paste: mostly wholly inside, sometimes cut off by the border by up to a third."""
    cut = 0.0 if rng.random() < 0.7 else 0.33
    place = []
    for side, room in zip(shape[:2], canvas[:2], strict=True):
        low, high = -round(cut * side), room - side + round(cut * side)
        place.append(int(rng.integers(low, high + 1)) if low <= high else int(rng.integers(high, low + 1)))
    return place[0], place[1]


def _draw_other_place(
    rng: np.random.Generator, shape: tuple[int, ...], canvas: tuple[int, ...], source: tuple[int, int, int, int]
) -> tuple[int, int] | None:
    """A place whose centre is at least half a box away from the source's centre."""
    centre = source[0] + source[2] / 2, source[1] + source[3] / 2
    for _ in range(20):
        top, left = _draw_place(rng, shape, canvas)
        rows, columns = abs(top + shape[0] / 2 - centre[0]), abs(left + shape[1] / 2 - centre[1])
        if rows > 0.5 * shape[0] or columns > 0.5 * shape[1]:
            return top, left
    return None


def _paste(image: np.ndarray, patch: _Patch, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Blends a patch into a copy of a picture; what lies outside is cut off. Returns the picture and the alpha on it."""
    rows = slice(max(top, 0), min(top + patch.alpha.shape[0], image.shape[0]))
    columns = slice(max(left, 0), min(left + patch.alpha.shape[1], image.shape[1]))
    inside = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    alpha = patch.alpha[inside][..., None]
    below = image[rows, columns].astype(np.float32)
    pasted, placed = image.copy(), np.zeros(image.shape[:2], np.float32)
    pasted[rows, columns] = to_uint8(below + alpha * (patch.image[inside] - below))
    placed[rows, columns] = alpha[..., 0]
    return pasted, placed
