"""Fractal OpenSimplex noise in batches, as one sparse linear map of random gradients.

Simplex noise is linear in the gradients that sit on the vertices of its lattice. For a fixed image size the map is
fixed too: it is computed once, kept, and applied to all channels of a batch at once. Nothing here needs more than
torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

_SKEW = (math.sqrt(3) - 1) / 2
_UNSKEW = _SKEW / (1 + 2 * _SKEW)
# Vertices that can reach a point, relative to the base of its cell.
_REACHING = ((-1, 1), (0, 0), (0, 1), (0, 2), (1, -1), (1, 0), (1, 1), (2, 0))
_RADIUS_SQUARED = 2.0
_SCALE = 47.0
# Mean square of one octave: that of a gradient's component, times the integral of the squared kernel times offset over
# the plane, by the area of a lattice cell.
OCTAVE_VARIANCE = (29 / 2) / _SCALE**2 * math.pi * 2**10 / (90 * math.sqrt(3))
# Octave k is shifted by k + 1 times this: unshifted, all octaves have a vertex, where noise is always 0, at (0, 0).
_SHIFT = (0.7548776662466927, 0.5698402909980532)
_BAND = 32  # rows that are computed together: their gradients and their noise stay in the processor's cache


def lattice_weights(points: Tensor) -> tuple[Tensor, Tensor]:
    """Which lattice vertices make the noise at some points, and how: noise = sum over vertices of <gradient, weight>.

    With the gradients that a permutation gives its vertices, this is OpenSimplex noise (the first version, 2-D).

    Args:
        points: `(n, 2)` float64, x and y in lattice units.

    Returns:
        Vertices `(n, 8, 2)` int64 and weights `(n, 8, 2)` float64; at most four of the eight are not 0.
    """
    base = (points - _UNSKEW * points.sum(-1, keepdim=True)).floor()
    vertices = base[:, None] + torch.tensor(_REACHING, dtype=points.dtype)
    offsets = points[:, None] - vertices - _SKEW * vertices.sum(-1, keepdim=True)
    kernel = (_RADIUS_SQUARED - offsets.square().sum(-1, keepdim=True)).clamp_min(0) ** 4 / _SCALE
    return vertices.long(), kernel * offsets


@dataclass(frozen=True)
class _Band:
    """The map of some rows of the canvas: an embedding bag for each pixel."""

    top: int
    rows: int
    index: Tensor  # (entries,) int32, rows of the table of gradients
    weight: Tensor  # (entries,) float32
    first: Tensor  # (rows * width,) int32, each pixel's first entry


@dataclass(frozen=True)
class SimplexOperator:
    """The linear map from gradients to fractal noise on a canvas; `simplex_operator` builds and keeps it.

    Args:
        width: Of the canvas.
        bands: The map, in bands of rows.
        vertices: `(n, 3)` int64, octave and lattice coordinates of the vertices that reach the canvas.
    """

    width: int
    bands: tuple[_Band, ...]
    vertices: Tensor

    def apply(self, gradients: Tensor, crops: Sequence[tuple[int, int]], size: tuple[int, int]) -> Tensor:
        """Noise of a batch.

        Args:
            gradients: `(n, 2, B, C)` float32, for each vertex.
            crops: Top and left of each sample's window of the canvas.
            size: Height and width of the windows.

        Returns:
            `(B, C, *size)` float32.
        """
        count, _, batch, channels = gradients.shape
        table = gradients.reshape(2 * count, batch * channels)
        noise = table.new_empty(batch, channels, *size)
        for band in self.bands:
            flat = F.embedding_bag(band.index, table, band.first, mode="sum", per_sample_weights=band.weight)
            pixels = flat.view(band.rows, self.width, batch, channels).permute(2, 3, 0, 1)
            for sample, (top, left) in enumerate(crops):
                start, end = max(band.top, top), min(band.top + band.rows, top + size[0])
                if start < end:
                    window = pixels[sample, :, start - band.top : end - band.top, left : left + size[1]]
                    noise[sample, :, start - top : end - top] = window
        return noise

    def to(self, device: torch.device) -> "SimplexOperator":
        """The same map on another device."""
        bands = tuple(
            _Band(band.top, band.rows, band.index.to(device), band.weight.to(device), band.first.to(device))
            for band in self.bands
        )
        return SimplexOperator(self.width, bands, self.vertices)


@lru_cache(maxsize=4)
def simplex_operator(
    height: int,
    width: int,
    frequency: float,
    octaves: int,
    persistence: float,
    amplitude: float = 1.0,
    shifted: bool = True,
    device: torch.device | None = None,
) -> SimplexOperator:
    """Build the map of amplitude sum_k persistence^k noise(2^k frequency x); the last four are kept.

    Args:
        height: Of the canvas in pixels.
        width: Of the canvas in pixels.
        frequency: Lattice units a pixel in the first octave; it doubles from one to the next.
        octaves: How many.
        persistence: Factor of the amplitude from one octave to the next.
        amplitude: Of the first octave.
        shifted: Whether octaves are shifted against each other; unshifted, all have a vertex at the top left pixel.
        device: Where the map lies, by default the CPU, which computes it, in float64.
    """
    lattices, first = [], 0
    for octave in range(octaves):
        shift = (octave + 1) * torch.tensor(_SHIFT, dtype=torch.float64) * shifted
        own = amplitude * persistence**octave
        lattices.append(_Lattice.of_canvas(height, width, frequency * 2**octave, own, shift, first))
        first += lattices[-1].size
    occupied = torch.zeros(first, dtype=torch.bool)
    pieces = []
    for top in range(0, height, _BAND):
        rows = min(_BAND, height - top)
        keys, weights = zip(*(lattice.place(_pixels(top, rows, width)) for lattice in lattices), strict=True)
        key, weight = torch.cat(keys, 1), torch.cat(weights, 1)
        used = weight.ne(0).any(-1)
        occupied[key[used]] = True
        pieces.append((top, rows, key[used], weight[used].float(), used.sum(1, dtype=torch.int32)))
    number = occupied.cumsum(0, dtype=torch.int32) - 1
    bands = tuple(_numbered_band(*piece, number) for piece in pieces)
    present = occupied.split([lattice.size for lattice in lattices])
    coordinates = [lattice.vertices(own) for lattice, own in zip(lattices, present, strict=True)]
    vertices = torch.cat([F.pad(own, (1, 0), value=octave) for octave, own in enumerate(coordinates)])
    operator = SimplexOperator(width, bands, vertices)
    return operator if device is None else operator.to(device)


@dataclass(frozen=True)
class _Lattice:
    """One octave: how pixels lie on its lattice, and where its vertices lie in a table of all octaves' vertices.

    Neighbours along the first coordinate, which a row of pixels mostly follows, are neighbours in the table.
    """

    scale: float
    amplitude: float
    shift: Tensor
    low: Tensor  # (2,) the least coordinates of a vertex that reaches the canvas
    spans: tuple[int, int]
    first: int

    @classmethod
    def of_canvas(
        cls, height: int, width: int, scale: float, amplitude: float, shift: Tensor, first: int
    ) -> "_Lattice":
        corners = torch.tensor([(0, 0), (width, 0), (0, height), (width, height)], dtype=shift.dtype) * scale + shift
        vertices, _ = lattice_weights(corners)
        low, high = vertices.amin((0, 1)), vertices.amax((0, 1))
        i, j = (high - low + 1).tolist()
        return cls(scale, amplitude, shift, low, (i, j), first)

    @property
    def size(self) -> int:
        return self.spans[0] * self.spans[1]

    def place(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the table and weights of the eight vertices about each of `(n, 2)` pixels."""
        vertices, weights = lattice_weights(pixels * self.scale + self.shift)
        i, j = (vertices - self.low).unbind(-1)
        return self.first + j * self.spans[0] + i, weights * self.amplitude

    def vertices(self, occupied: Tensor) -> Tensor:
        """Coordinates of the rows that are in use."""
        rows = occupied.nonzero()[:, 0]
        return torch.stack([rows % self.spans[0], rows // self.spans[0]], -1) + self.low


def _pixels(top: int, rows: int, width: int) -> Tensor:
    """`(rows * width, 2)` float64, x and y of the pixels of a band."""
    y, x = torch.meshgrid(torch.arange(top, top + rows), torch.arange(width), indexing="ij")
    return torch.stack([x, y], -1).flatten(0, 1).double()


def _numbered_band(top: int, rows: int, key: Tensor, weight: Tensor, count: Tensor, number: Tensor) -> _Band:
    """A band in terms of the rows of the table of gradients, of which every vertex has two, x and y."""
    row = number[key] * 2
    ends = count.cumsum(0, dtype=torch.int32) * 2
    return _Band(top, rows, torch.stack([row, row + 1], -1).flatten(), weight.flatten(), ends - 2 * count)


@dataclass(frozen=True)
class SimplexNoise:
    """Draws fractal simplex noise S(frequency, octaves, persistence), as normal noise is drawn with `torch.randn`.

    The defaults are the paper's. It says neither how octaves are normalised nor how they are drawn; here every sample,
    channel and octave has gradients of its own, so that the noise of a batch is independent.

    Args:
        frequency: nu, lattice units a pixel in the first octave.
        octaves: N; the frequency doubles from one to the next.
        persistence: gamma, the factor of the amplitude from one octave to the next.
        normalization: `"unit_variance"` divides by the standard deviation that follows from the other arguments, so
            that a diffusion schedule means the same as with normal noise; `"none"` keeps the plain sum of octaves.
        jitter: Noise near a vertex of the lattice is always weak, so each sample is a window at a random place of a
            canvas that is this many pixels larger each way.

    Raises:
        ValueError: If a value is impossible.

    Example:
        >>> noise = SimplexNoise()((2, 3, 48, 64), generator=torch.Generator().manual_seed(0))
        >>> noise.shape
        torch.Size([2, 3, 48, 64])
        >>> round(SimplexNoise(normalization="none").std, 4)
        0.592
    """

    frequency: float = 2**-6
    octaves: int = 6
    persistence: float = 0.8
    normalization: Literal["unit_variance", "none"] = "unit_variance"
    jitter: int = 64

    def __post_init__(self) -> None:
        if self.frequency <= 0 or self.persistence <= 0:
            raise ValueError(f"frequency and persistence must be above 0, got {self.frequency} and {self.persistence}")
        if self.octaves < 1 or self.jitter < 0:
            raise ValueError(f"octaves must be at least 1 and jitter 0, got {self.octaves} and {self.jitter}")
        if self.normalization not in ("unit_variance", "none"):
            raise ValueError(f"normalization must be 'unit_variance' or 'none', got {self.normalization!r}")

    @property
    def std(self) -> float:
        """Standard deviation of what is drawn, over all draws and places."""
        return 1.0 if self.normalization == "unit_variance" else self._sum_std

    @property
    def _sum_std(self) -> float:
        return math.sqrt(OCTAVE_VARIANCE * sum(self.persistence ** (2 * octave) for octave in range(self.octaves)))

    def __call__(
        self,
        shape: Sequence[int],
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Draw a batch.

        Args:
            shape: `(B, C, H, W)`.
            generator: As diffusers does it: one for the batch, or one a sample, which makes a sample's noise
                independent of the batch around it. Numbers are drawn on the generator's device.
            device: Of the result; the CPU by default.
            dtype: Of the result; the arithmetic is in float32.

        Raises:
            ValueError: If the shape has not four sizes of at least 1, there are not as many generators as samples, or
                a generator of another accelerator is given.
        """
        if len(shape) != 4 or min(shape) < 1:
            raise ValueError(f"simplex noise needs a shape (batch, channels, height, width), got {tuple(shape)}")
        batch, channels, height, width = shape
        target = torch.device(device or "cpu")
        canvas = (height + self.jitter, width + self.jitter)
        amplitude = 1 / self._sum_std if self.normalization == "unit_variance" else 1.0
        operator = simplex_operator(*canvas, self.frequency, self.octaves, self.persistence, amplitude, device=target)
        draws = [self._draw(len(operator.vertices), channels, g, target) for g in _one_each(generator, batch, target)]
        gradients = _gradients(torch.stack([codes for codes, _ in draws]).to(target))
        noise = operator.apply(gradients, [crop for _, crop in draws], (height, width))
        return noise.to(dtype)

    def _draw(
        self, vertices: int, channels: int, generator: torch.Generator | None, device: torch.device
    ) -> tuple[Tensor, tuple[int, int]]:
        """What one sample draws: a gradient's number for each channel and vertex, and the corner of its window."""
        where = generator.device if generator is not None else device
        words = torch.randint(2**63 - 1, (-(-channels * vertices // 8),), generator=generator, device=where)
        top, left = torch.randint(self.jitter + 1, (2,), generator=generator, device=where).tolist()
        return words.view(torch.int8)[: channels * vertices].view(channels, vertices), (top, left)


def _gradients(codes: Tensor) -> Tensor:
    """`(B, C, n)` int8, of which three bits count, to `(n, 2, B, C)` float32: (±5, ±2) or (±2, ±5), each as likely."""
    codes = codes.permute(2, 0, 1).contiguous()
    steep = (codes & 1) * 3
    across = (5 - steep).mul_((codes & 2).sub_(1))
    down = (2 + steep).mul_((codes >> 1 & 2).sub_(1))
    return torch.stack([across, down], 1).float()


def _one_each(
    generator: torch.Generator | Sequence[torch.Generator] | None, batch: int, device: torch.device
) -> list[torch.Generator | None]:
    """A generator for each sample: the given ones, or the same one for all, which then draw one after the other."""
    each: list[torch.Generator | None] = (
        [generator] * batch if isinstance(generator, torch.Generator | None) else [*generator]
    )
    if len(each) != batch:
        raise ValueError(f"{len(each)} generators for a batch of {batch}: give one, or one for each sample")
    for one in each:
        if one is not None and one.device.type not in ("cpu", device.type):
            raise ValueError(f"a generator on {one.device} cannot draw for {device}; use one on the CPU")
    return each


__all__ = ["SimplexNoise", "SimplexOperator", "lattice_weights", "simplex_operator"]
