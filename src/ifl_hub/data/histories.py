"""What happened to pixels before and after a forgery: compression, resampling, noise, sharpening, tone.

A history is *planned* first (a JSON-able list of steps) and *applied* afterwards, so that the same steps can be
applied to another picture or written to a record, and so that forged and authentic samples share one distribution.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Step = dict[str, Any]

KERNELS = ("area", "linear", "cubic", "lanczos")
_SAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")


def plan_history(rng: np.random.Generator, grid: tuple[int, int] | None = None) -> list[Step]:
    """A photo's life before anyone edits it: light tone, blur or sharpening, noise, and last, nearly always, a JPEG.

    Args:
        rng: The source of every choice.
        grid: (row, column) offset that the JPEG grid has in six cases out of seven; None for any.
    """
    steps: list[Step] = []
    if rng.random() < 0.2:
        steps.append(_plan_tone(rng))
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


def draw_kernel(rng: np.random.Generator) -> str:
    """One of `KERNELS`."""
    return KERNELS[int(rng.integers(len(KERNELS)))]


def _plan_tone(rng: np.random.Generator) -> Step:
    gamma, contrast = rng.uniform(0.8, 1.25), rng.uniform(0.85, 1.15)
    return {"op": "tone", "gamma": round(float(gamma), 3), "contrast": round(float(contrast), 3)}


def _plan_focus(rng: np.random.Generator) -> Step:
    if rng.random() < 0.6:
        amount, sigma = rng.uniform(0.2, 0.9), rng.uniform(0.6, 1.5)
        return {"op": "sharpen", "amount": round(float(amount), 2), "sigma": round(float(sigma), 2)}
    return {"op": "blur", "sigma": round(float(rng.uniform(0.4, 1.0)), 2)}


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


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounds and clips real values to 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_APPLY: dict[str, Callable[..., np.ndarray]] = {
    "jpeg": _jpeg,
    "noise": _noise,
    "tone": _tone,
    "sharpen": _sharpen,
    "blur": _blur,
    "median": _median,
    "resample": _resample,
    "gain": _gain,
}
