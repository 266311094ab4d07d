"""Robustness grids: what a picture may go through on its way to us, each condition named by what it does, with units.

The name is the definition: `gaussian_noise_std_5.0_levels` adds noise of 5 grey levels standard deviation, and
`resize_side_1080_px+jpeg_quality_75` is a chain of two steps. (Printed bare, "noise 5" is a variance in one paper and a
standard deviation in another.) Every step works on the 8-bit picture at its original size, before any preprocessing,
and all randomness comes from the picture and the condition, never from the order in which pictures are judged.
"""

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from .labelled_images import EvaluationError

CLEAN = "clean"


@dataclass(frozen=True)
class Family:
    """One kind of step, with one number.

    Args:
        apply: `(image, value, generator)` to the new RGB image.
        unit: What follows the number in a name, such as `"px"`; empty for a bare factor.
        low: Smallest allowed value.
        high: Largest allowed value.
        whole: Whether the value is an integer.
        odd: Whether it must be odd.
        identity: The value that changes nothing (where the clean picture lies on a curve); None if there is none.
    """

    apply: Callable[[Image.Image, float, np.random.Generator], Image.Image]
    unit: str
    low: float
    high: float
    whole: bool = False
    odd: bool = False
    identity: float | None = None


@dataclass(frozen=True)
class Step:
    """A family and its value."""

    family: str
    value: float

    @property
    def name(self) -> str:
        """Such as `"gaussian_blur_sigma_1.0_px"`."""
        kind = FAMILIES[self.family]
        number = str(int(self.value)) if kind.whole else str(float(self.value))
        return "_".join(part for part in (self.family, number, kind.unit) if part)


@dataclass(frozen=True)
class Condition:
    """What is done to every picture of a column: no step for the clean one, several for a chain.

    Example:
        >>> parse_condition("resize_side_1080_px+jpeg_quality_75").steps[1]
        Step(family='jpeg_quality', value=75.0)
    """

    steps: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """The steps' names joined by `+`, or `"clean"`."""
        return "+".join(step.name for step in self.steps) or CLEAN

    def apply(self, image: Image.Image, seed: str) -> Image.Image:
        """The picture after all steps.

        Args:
            image: RGB.
            seed: What identifies the picture, such as the sha256 of its file; noise depends on it and on the name.

        Returns:
            RGB, of another size after a resize.
        """
        digest = hashlib.sha256(f"{seed} {self.name}".encode()).digest()
        generator = np.random.default_rng(list(digest))
        for step in self.steps:
            image = FAMILIES[step.family].apply(image, step.value, generator)
        return image


def parse_condition(name: str) -> Condition:
    """The condition of a name.

    Raises:
        EvaluationError: If a step is unknown, lacks its unit or has a value out of range.

    Example:
        >>> parse_condition("gaussian_blur_sigma_1_px").name
        'gaussian_blur_sigma_1.0_px'
    """
    if name == CLEAN:
        return Condition()
    return Condition(tuple(_parse_step(part) for part in name.split("+")))


def parse_grid(text: str) -> list[Condition]:
    """A named grid or condition names joined by commas, the clean column first and none twice.

    Raises:
        EvaluationError: As `parse_condition`; the message lists the named grids.

    Example:
        >>> [condition.name for condition in parse_grid("jpeg_quality_90,jpeg_quality_70")]
        ['clean', 'jpeg_quality_90', 'jpeg_quality_70']
    """
    names = GRIDS[text] if text in GRIDS else tuple(part.strip() for part in text.split(","))
    conditions = [Condition(), *(parse_condition(name) for name in names)]
    return list({condition.name: condition for condition in conditions}.values())


def resize_map(heatmap: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]:
    """A map on a resized picture back onto the original grid, bilinearly; the same size is returned as it is.

    Args:
        heatmap: `(h, w)` in [0, 1].
        height: Of the original picture, in pixels.
        width: Of the original picture, in pixels.

    Returns:
        `(height, width)` float32 in [0, 1].
    """
    values = np.asarray(heatmap, np.float32)
    if values.shape == (height, width):
        return values
    resized = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized), 0, 1)


def _parse_step(text: str) -> Step:
    for name, family in FAMILIES.items():
        unit = f"_{family.unit}" if family.unit else ""
        if found := re.fullmatch(rf"{name}_(\d+(?:\.\d+)?){unit}", text):
            value = float(found[1])
            if not family.low <= value <= family.high or (family.whole and value != int(value)):
                kind = "a whole number" if family.whole else "a number"
                raise EvaluationError(f"{text}: {name} takes {kind} from {family.low:g} to {family.high:g}")
            if family.odd and value % 2 == 0:
                raise EvaluationError(f"{text}: {name} takes an odd number; choose {value + 1:g}")
            return Step(name, value)
    forms = ", ".join("_".join(filter(None, (name, "N", family.unit))) for name, family in FAMILIES.items())
    raise EvaluationError(
        f"no robustness grid or condition {text!r}: grids are {', '.join(GRIDS)}; conditions are {forms}"
    )


def _jpeg(image: Image.Image, quality: float, _: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(quality), subsampling="4:2:0")
    return Image.open(buffer).convert("RGB")


def _blur_sigma(image: Image.Image, sigma: float, _: np.random.Generator) -> Image.Image:
    import cv2

    return Image.fromarray(cv2.GaussianBlur(np.asarray(image), (0, 0), sigma)) if sigma else image


def _blur_kernel(image: Image.Image, side: float, _: np.random.Generator) -> Image.Image:
    """A kernel of `side` pixels; its sigma is OpenCV's default, 0.3 ((side - 1) / 2 - 1) + 0.8."""
    import cv2

    return Image.fromarray(cv2.GaussianBlur(np.asarray(image), (int(side), int(side)), 0))


def _noise_std(image: Image.Image, deviation: float, generator: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    noise = generator.standard_normal(pixels.shape, np.float32) * np.float32(deviation)
    return Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def _noise_variance(image: Image.Image, variance: float, generator: np.random.Generator) -> Image.Image:
    return _noise_std(image, variance**0.5, generator)


def _resize_factor(image: Image.Image, factor: float, _: np.random.Generator) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC) if factor != 1 else image


def _resize_side(image: Image.Image, side: float, generator: np.random.Generator) -> Image.Image:
    """Shrinks until the longer side has at most `side` pixels; smaller pictures stay as they are."""
    return _resize_factor(image, min(1.0, side / max(image.size)), generator)


def _gamma(image: Image.Image, gamma: float, _: np.random.Generator) -> Image.Image:
    table = np.rint((np.arange(256) / 255) ** gamma * 255).astype(np.uint8)
    return Image.fromarray(table[np.asarray(image)])


def _contrast(image: Image.Image, factor: float, _: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def _saturation(image: Image.Image, factor: float, _: np.random.Generator) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


#: Every step a condition may be made of, by the name before its number.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "jpeg_quality": Family(_jpeg, "", 1, 100, whole=True),
        "gaussian_blur_sigma": Family(_blur_sigma, "px", 0, 100, identity=0),
        "gaussian_blur_kernel": Family(_blur_kernel, "px", 1, 99, whole=True, odd=True, identity=1),
        "gaussian_noise_std": Family(_noise_std, "levels", 0, 255, identity=0),
        "gaussian_noise_variance": Family(_noise_variance, "levels2", 0, 255**2, identity=0),
        "resize_factor": Family(_resize_factor, "", 0.01, 4, identity=1),
        "resize_side": Family(_resize_side, "px", 8, 100_000, whole=True),
        "gamma": Family(_gamma, "", 0.1, 10, identity=1),
        "contrast_factor": Family(_contrast, "", 0, 4, identity=1),
        "saturation_factor": Family(_saturation, "", 0, 4, identity=1),
    }
)

_JPEG_100_TO_50 = tuple(f"jpeg_quality_{quality}" for quality in range(100, 49, -10))

#: Named grids, without their clean column. The papers' grids repeat what a paper prints; where it prints only a curve
#: or a level, the values are ours, as the comment says.
GRIDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "jpeg": (*_JPEG_100_TO_50, "jpeg_quality_30"),
        "double_jpeg": tuple(f"jpeg_quality_90+jpeg_quality_{quality}" for quality in (95, 80, 70)),
        "blur": tuple(f"gaussian_blur_sigma_{sigma}_px" for sigma in (0.5, 1.0, 1.5, 2.0, 3.0)),
        "noise": tuple(f"gaussian_noise_std_{deviation}_levels" for deviation in (1.0, 2.0, 3.0, 5.0, 10.0)),
        "resize": tuple(f"resize_factor_{factor}" for factor in (0.9, 0.75, 0.5, 0.25, 1.25, 1.5)),
        "tone": (
            *(f"gamma_{gamma}" for gamma in (0.7, 0.85, 1.2, 1.5)),
            *(f"contrast_factor_{factor}" for factor in (0.7, 0.85, 1.2, 1.5)),
            *(f"saturation_factor_{factor}" for factor in (0.0, 0.5, 1.5)),
        ),
        # What services that rescale and recompress do, in two strengths.
        "social_media": ("resize_side_2048_px+jpeg_quality_85", "resize_side_1080_px+jpeg_quality_75"),
        # SUMI-IFL, figure 5 (DEFACTO-12): curves over JPEG quality and blur kernel without printed values; values ours.
        "sumi_ifl": (*_JPEG_100_TO_50, *(f"gaussian_blur_kernel_{side}_px" for side in (3, 5, 7, 9, 11))),
        # NCL, table 3 (NIST16).
        "ncl": (
            *("resize_factor_0.78", "resize_factor_0.25", "gaussian_blur_kernel_3_px", "gaussian_blur_kernel_5_px"),
            *("gaussian_noise_std_3.0_levels", "gaussian_noise_std_5.0_levels", "jpeg_quality_50", "jpeg_quality_100"),
        ),
        # SAFL-Net, table 7 (NIST16).
        "safl_net": (
            *("resize_factor_0.78", "resize_factor_0.25", "gaussian_blur_kernel_3_px", "gaussian_blur_kernel_15_px"),
            *("jpeg_quality_100", "jpeg_quality_50"),
        ),
        # DiffForensics, figure 5: its axis says variance; read on the 0..255 scale.
        "diff_forensics": (
            *_JPEG_100_TO_50,
            *(f"gaussian_noise_variance_{float(variance)}_levels2" for variance in (5, 10, 15, 20, 25, 30)),
        ),
        # Exposing the Deception, table 6: five levels each of contrast, saturation and compression; values ours.
        "exposing_deception": (
            *(f"contrast_factor_{factor}" for factor in (0.85, 0.725, 0.6, 0.475, 0.35)),
            *(f"saturation_factor_{factor}" for factor in (0.4, 0.3, 0.2, 0.1, 0.0)),
            *(f"jpeg_quality_{quality}" for quality in (90, 70, 50, 30, 10)),
        ),
    }
)
