"""What happened to pixels before and after a forgery: a camera, compression, resampling, noise, sharpening, tone.

A history is *planned* first (a JSON-able list of steps) and *applied* afterwards, so that the same steps can be
applied to another picture or written to a record, and so that forged and authentic samples share one distribution.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Step = dict[str, Any]

KERNELS = ("area", "linear", "cubic", "lanczos")
_SAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")
_MOSAICS = ("RGGB", "GRBG", "GBRG", "BGGR")


def plan_history(rng: np.random.Generator, grid: tuple[int, int] | None = None) -> list[Step]:
    """A photo's life before anyone edits it: sensor, tone, colours, sharpness, noise, and last, nearly always, a JPEG.

    Args:
        rng: The source of every choice.
        grid: (row, column) offset that the JPEG grid has in six cases out of seven; None for any.
    """
    steps: list[Step] = []
    if rng.random() < 0.25:
        steps += _plan_sensor(rng)
    if rng.random() < 0.2:
        steps.append(_plan_tone(rng))
    if rng.random() < 0.25:
        steps.append(_plan_colours(rng))
    if rng.random() < 0.25:
        steps.append(_plan_focus(rng))
    if rng.random() < 0.25:
        steps.append(plan_noise(rng, 0.5, 3.5))
    if rng.random() < 0.85:
        if grid is None or rng.random() < 0.15:
            grid = draw_grid(rng)
        steps.append(plan_jpeg(rng, 60, 95, grid))
    return steps


def plan_final(rng: np.random.Generator, grid: tuple[int, int]) -> list[Step]:
    """What happens to the whole picture once it is finished: seldom a filter, usually one JPEG, sometimes two.

    Editors save at high quality more often than not, which keeps the traces of what was compressed before.

    Args:
        rng: The source of every choice.
        grid: (row, column) offset of the last compression's grid.
    """
    steps: list[Step] = []
    if rng.random() < 0.08:
        steps.append(_plan_focus(rng))
    if rng.random() < 0.08:
        steps.append(plan_noise(rng, 0.3, 1.5))
    if rng.random() < 0.08:
        steps.append(_plan_tone(rng))
    if rng.random() < 0.75:
        if rng.random() < 0.15:
            steps.append(plan_jpeg(rng, 75, 99, draw_grid(rng)))
        low, high = (88, 99) if rng.random() < 0.6 else (70, 88)
        steps.append(plan_jpeg(rng, low, high, grid))
    return steps


def plan_sharing(rng: np.random.Generator) -> tuple[list[Step], list[Step]]:
    """What a social network does to a picture that an editor saved: it is made smaller and compressed once more.

    Returns:
        The steps before the resize, and those after it.
    """
    saved = [plan_jpeg(rng, 80, 99, draw_grid(rng))] if rng.random() < 0.8 else []
    sharpened = [_plan_sharpening(rng)] if rng.random() < 0.3 else []
    return saved, [*sharpened, plan_jpeg(rng, 70, 90, (0, 0) if rng.random() < 0.6 else draw_grid(rng))]


def draw_grid(rng: np.random.Generator) -> tuple[int, int]:
    """A JPEG grid offset (row, column), each in 0..7."""
    return int(rng.integers(8)), int(rng.integers(8))


def plan_jpeg(rng: np.random.Generator, low: int, high: int, grid: tuple[int, int]) -> Step:
    """One compression with a quality in low..high; high qualities are as likely as low ones."""
    sampling = _SAMPLINGS[int(rng.choice(3, p=[0.55, 0.15, 0.3]))]
    return {"op": "jpeg", "quality": int(rng.integers(low, high + 1)), "sampling": sampling, "grid": list(grid)}


def plan_noise(rng: np.random.Generator, low: float, high: float) -> Step:
    """Gaussian noise, its standard deviation in grey levels; grey (as from film) or per channel (as from a sensor)."""
    sigma = round(float(rng.uniform(low, high)), 2)
    return {"op": "noise", "sigma": sigma, "grey": bool(rng.random() < 0.3), "seed": int(rng.integers(2**31))}


def plan_gain(rng: np.random.Generator, spread: float, offset: float) -> Step:
    """A common change of contrast and brightness, and a third as much of it per channel."""
    gain = 1 + rng.uniform(-spread, spread) + rng.uniform(-spread, spread, 3) / 3
    shift = rng.uniform(-offset, offset) + rng.uniform(-offset, offset, 3) / 3
    return {"op": "gain", "gain": [round(float(v), 3) for v in gain], "offset": [round(float(v), 1) for v in shift]}


def plan_colour_match(rng: np.random.Generator, part: np.ndarray, target: np.ndarray) -> Step:
    """Moves the mean and spread of a part's Lab colours most of the way to those of a target (Reinhard et al. 2001).

    Args:
        rng: The source of how far it goes.
        part: (N, 3) uint8 RGB pixels to be recoloured, at least one.
        target: (M, 3) uint8 RGB pixels to be like, at least one.
    """
    strength = float(rng.uniform(0.4, 1.0))
    mine, wanted = _to_lab(part[None])[0], _to_lab(target[None])[0]
    gain = np.clip(wanted.std(axis=0) / np.maximum(mine.std(axis=0), 1.0), 0.6, 1.5)
    gain = 1 + strength * (gain - 1)
    offset = (1 - gain) * mine.mean(axis=0) + strength * (wanted.mean(axis=0) - mine.mean(axis=0))
    return {"op": "lab", "gain": [round(float(v), 3) for v in gain], "offset": [round(float(v), 2) for v in offset]}


def draw_kernel(rng: np.random.Generator) -> str:
    """One of `KERNELS`."""
    return KERNELS[int(rng.integers(len(KERNELS)))]


def _plan_tone(rng: np.random.Generator) -> Step:
    gamma, contrast = rng.uniform(0.8, 1.25), rng.uniform(0.85, 1.15)
    return {"op": "tone", "gamma": round(float(gamma), 3), "contrast": round(float(contrast), 3)}


def _plan_colours(rng: np.random.Generator) -> Step:
    """Duller, richer or tinted: a few hundred photos must not be known by their colours."""
    saturation, tint = rng.uniform(0.3, 1.4), rng.uniform(-6, 6, 2)
    gain = [1.0, *[round(float(saturation), 3)] * 2]
    return {"op": "lab", "gain": gain, "offset": [0.0, *(round(float(value), 1) for value in tint)]}


def _plan_focus(rng: np.random.Generator) -> Step:
    if rng.random() < 0.6:
        return _plan_sharpening(rng)
    return {"op": "blur", "sigma": round(float(rng.uniform(0.4, 1.0)), 2)}


def _plan_sharpening(rng: np.random.Generator) -> Step:
    amount, sigma = rng.uniform(0.2, 0.9), rng.uniform(0.6, 1.5)
    return {"op": "sharpen", "amount": round(float(amount), 2), "sigma": round(float(sigma), 2)}


def _plan_sensor(rng: np.random.Generator) -> list[Step]:
    """One colour a pixel, two thirds of them invented: what is pasted seldom has its colour filters in phase."""
    noise = [plan_noise(rng, 0.5, 3.0) | {"grey": False}] if rng.random() < 0.5 else []
    pattern, method = _MOSAICS[int(rng.integers(4))], ("bilinear", "edge-aware")[int(rng.integers(2))]
    return [*noise, {"op": "demosaic", "pattern": pattern, "method": method}]


def apply_steps(image: np.ndarray, steps: list[Step]) -> np.ndarray:
    """Applies planned steps in order to an (H, W, 3) uint8 RGB picture; the size never changes.

    Example:
        >>> flat = np.full((16, 16, 3), 100, np.uint8)
        >>> bool((apply_steps(flat, [{"op": "tone", "gamma": 1.0, "contrast": 1.1}]) == 97).all())
        True
    """
    for step in steps:
        parameters = {name: value for name, value in step.items() if name != "op"}
        image = _APPLY[step["op"]](image, **parameters)
    return image


def resize(image: np.ndarray, height: int, width: int, kernel: str) -> np.ndarray:
    """Resizes (H, W) or (H, W, 3) uint8 or float32 with one of `KERNELS`; the same size returns the input."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    flag = {
        "area": cv2.INTER_AREA,
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "lanczos": cv2.INTER_LANCZOS4,
    }[kernel]
    return cv2.resize(image, (width, height), interpolation=flag)


def _jpeg(image: np.ndarray, quality: int, sampling: str, grid: list[int]) -> np.ndarray:
    import cv2

    factor = {
        "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
        "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    }[sampling]
    top, left = grid
    framed = cv2.copyMakeBorder(image, top, 0, left, 0, cv2.BORDER_REFLECT_101) if top or left else image
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(framed, cv2.COLOR_RGB2BGR), options)
    decoded: np.ndarray = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(decoded[top:, left:])


def _demosaic(image: np.ndarray, pattern: str, method: str) -> np.ndarray:
    """Keeps what a sensor behind a Bayer filter sees of each pixel and interpolates the rest.

    The pattern names the colours of the top left 2×2 pixels in reading order.
    """
    import cv2

    frame = 4  # an even number keeps the phase
    framed = cv2.copyMakeBorder(image, frame, frame, frame, frame, cv2.BORDER_REFLECT_101)
    mosaic = np.empty(framed.shape[:2], np.uint8)
    for position, colour in enumerate(pattern):
        cell = np.s_[position // 2 :: 2, position % 2 :: 2]
        mosaic[cell] = framed[cell][..., "RGB".index(colour)]
    code = getattr(cv2, f"COLOR_Bayer{pattern}2RGB" + ("_EA" if method == "edge-aware" else ""))
    return np.ascontiguousarray(cv2.cvtColor(mosaic, code)[frame:-frame, frame:-frame])


def _noise(image: np.ndarray, sigma: float, grey: bool, seed: int) -> np.ndarray:
    shape = (*image.shape[:2], 1) if grey else image.shape
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return to_uint8(image + sigma * noise)


def _tone(image: np.ndarray, gamma: float, contrast: float) -> np.ndarray:
    import cv2

    levels = np.arange(256, dtype=np.float32) / 255
    table = (levels**gamma - 0.5) * contrast + 0.5
    return cv2.LUT(image, to_uint8(table * 255))


def _sharpen(image: np.ndarray, amount: float, sigma: float) -> np.ndarray:
    import cv2

    return cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), sigma), -amount, 0)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(image, (0, 0), sigma)


def _median(image: np.ndarray, size: int) -> np.ndarray:
    import cv2

    return cv2.medianBlur(image, size)


def _resample(image: np.ndarray, factor: float, kernels: list[str]) -> np.ndarray:
    height, width = image.shape[:2]
    small = resize(image, max(1, round(height * factor)), max(1, round(width * factor)), kernels[0])
    return resize(small, height, width, kernels[1])


def _gain(image: np.ndarray, gain: list[float], offset: list[float]) -> np.ndarray:
    return to_uint8(image * np.asarray(gain, np.float32) + np.asarray(offset, np.float32))


def _lab(image: np.ndarray, gain: list[float], offset: list[float]) -> np.ndarray:
    import cv2

    moved = _to_lab(image) * np.asarray(gain, np.float32) + np.asarray(offset, np.float32)
    return to_uint8(cv2.cvtColor(moved, cv2.COLOR_Lab2RGB) * 255)


def _to_lab(image: np.ndarray) -> np.ndarray:
    """CIE L* in 0..100 and a*, b* of (H, W, 3) uint8 RGB."""
    import cv2

    lab: np.ndarray = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return lab


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounds and clips real values to 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_APPLY: dict[str, Callable[..., np.ndarray]] = {
    "demosaic": _demosaic,
    "jpeg": _jpeg,
    "noise": _noise,
    "tone": _tone,
    "sharpen": _sharpen,
    "blur": _blur,
    "median": _median,
    "resample": _resample,
    "gain": _gain,
    "lab": _lab,
}
