"""Forgeries made on the fly from authentic photos, as many as a training run can eat.

The networks see what low-level traces a composite leaves, so realism here decides what they learn. Authentic and forged
samples go through the same histories before and after; only what happens in between differs.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from .histories import apply_steps, draw_grid, draw_kernel, plan_final, plan_sharing, resize
from .hosts import Edit, Host, draw_host
from .manipulations import MANIPULATIONS
from .photos import PhotoPool
from .workers import one_thread_per_worker

DEFAULT_MIXTURE: Mapping[str, float] = MappingProxyType(
    {"splicing": 0.36, "copy_move": 0.28, "removal": 0.1, "retouch": 0.11, "authentic": 0.15}
)
MIN_FORGED, MAX_FORGED = 0.003, 0.6  # share of the picture that a forged sample's mask covers
_ATTEMPTS = 60
_SHARED = 0.07  # how often a picture was shared over a social network, which makes it smaller
_VISIBLE = 2.0  # mean change in grey levels; less would not outlive the compression that follows


class ForgerySynthesizer:
    """A seeded, map-style data set of forged and authentic pictures, made when they are asked for.

    A sample depends on `(seed, index)`, the pool, the size and the mixture only, so it is the same in whatever worker
    it is made. It works as a `torch.utils.data.Dataset`; samples are independent, so shuffling them gains nothing.

    Args:
        pool: The photos and cut-outs to forge from.
        size: Side of the square samples, or (height, width), in pixels; at least 32. Smaller photos are enlarged.
        seed: Seed of the whole series.
        mixture: Relative frequency of each kind: `splicing`, `copy_move`, `removal`, `retouch`, `authentic`. Kinds
            left out do not occur. By default 36, 28, 10, 11 and 15 %.
        length: How many samples the series has; it costs nothing.

    Raises:
        ValueError: If the size is too small or the mixture names an unknown kind or has nothing to draw.
    """

    def __init__(
        self,
        pool: PhotoPool,
        size: int | tuple[int, int] = 256,
        seed: int = 0,
        mixture: Mapping[str, float] | None = None,
        length: int = 1_000_000,
    ) -> None:
        self.pool = pool
        self.height, self.width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if min(self.height, self.width) < 32:
            raise ValueError(f"size must be at least 32 pixels each way, not {self.height}x{self.width}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, but is {seed}")
        self.seed = seed
        self.length = length
        self.mixture = _normalised(DEFAULT_MIXTURE if mixture is None else mixture)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Makes one sample.

        Returns:
            `image` (H, W, 3) uint8 RGB; `mask` (H, W) uint8, 1 where forged; `label`, 1 for forged and 0 for authentic;
            and `record`, a JSON-able account of everything that was done.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}; a larger `length` costs nothing")
        one_thread_per_worker()
        rng = np.random.default_rng([self.seed, index])
        kind = str(rng.choice(list(self.mixture), p=list(self.mixture.values())))
        for attempt in range(_ATTEMPTS):
            host, edit, after = self._compose(rng, kind)
            if edit is None:
                continue
            image, mask = self._finish(edit.image, edit.alpha, after)
            if kind == "authentic" or (_really_changed(host.image, edit) and _sized_like_a_forgery(mask)):
                record = {"kind": kind, "seed": self.seed, "index": index, "attempt": attempt}
                record |= {"host": host.record, "edit": edit.record, "after": after}
                return {"image": image, "mask": mask, "label": int(kind != "authentic"), "record": record}
        raise RuntimeError(
            f"no {kind} sample with a visible change in {_ATTEMPTS} attempts (seed {self.seed}, index {index}); "
            "give the pool more, larger or less uniform photos"
        )

    def _compose(self, rng: np.random.Generator, kind: str) -> tuple[Host, Edit | None, dict[str, Any]]:
        """A host, its edit, and the plan of what will happen to the picture as a whole."""
        shared = bool(rng.random() < _SHARED)
        factor = _draw_factor(rng, shared)
        height, width = round(self.height / factor), round(self.width / factor)
        grid = (0, 0) if rng.random() < 0.6 else draw_grid(rng)
        host = draw_host(rng, self.pool, height, width, grid if factor == 1.0 else None)
        if kind == "authentic":
            edit: Edit | None = Edit(host.image, np.zeros((height, width), np.float32), {})
        else:
            edit = MANIPULATIONS[kind](rng, self.pool, host)
        saved, steps = plan_sharing(rng) if shared else ([], plan_final(rng, grid))
        return host, edit, {"saved": saved, "resize": draw_kernel(rng), "steps": steps}

    def _finish(self, image: np.ndarray, alpha: np.ndarray, after: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Saves the picture, brings it and the alpha to the sample's size, then filters and compresses the picture."""
        image = resize(apply_steps(image, after["saved"]), self.height, self.width, after["resize"])
        alpha = resize(alpha, self.height, self.width, "linear")
        return apply_steps(image, after["steps"]), (alpha > 0.5).astype(np.uint8)


def _draw_factor(rng: np.random.Generator, shared: bool) -> float:
    """By how much the finished picture is resized: social networks shrink, others seldom touch the size."""
    if shared:
        return float(rng.uniform(0.5, 0.95))
    return float(rng.uniform(0.8, 1.2)) if rng.random() < 0.2 else 1.0


def _normalised(mixture: Mapping[str, float]) -> dict[str, float]:
    known = set(DEFAULT_MIXTURE)
    if unknown := sorted(set(mixture) - known):
        raise ValueError(f"unknown kinds in the mixture: {', '.join(unknown)}; there are: {', '.join(DEFAULT_MIXTURE)}")
    total = sum(mixture.values())
    if min(mixture.values(), default=0) < 0 or not total > 0:
        raise ValueError(f"the mixture needs frequencies of at least 0 with a positive sum, not {dict(mixture)}")
    return {kind: frequency / total for kind, frequency in mixture.items()}


def _really_changed(before: np.ndarray, edit: Edit) -> bool:
    """Whether an edit altered what its mask claims: half of the pixels, by two grey levels on average."""
    forged = edit.alpha > 0.5
    if not forged.any():
        return False
    difference = np.abs(edit.image[forged].astype(np.int16) - before[forged]).max(axis=1)
    return float((difference > 0).mean()) >= 0.5 and float(difference.mean()) >= _VISIBLE


def _sized_like_a_forgery(mask: np.ndarray) -> bool:
    return MIN_FORGED <= float(mask.mean()) <= MAX_FORGED
