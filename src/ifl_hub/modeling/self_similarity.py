"""Where a picture shows the same detail twice: the trace of a copy-move, which has no foreign statistics to find.

The autocorrelation of a whitened picture has a peak at every displacement by which something was copied; the picture is
then compared with itself at the strongest displacements, pixel by pixel. Nothing is learnt here: a network that reads
the two maps learns what they are worth. Copies that were turned or scaled have no single displacement:
`moved_copies` looks for those.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .local_statistics import correlation, luminance, normalised_detail, window_mean

DISPLACEMENTS = 4  # strongest ones that are compared
NEAREST = 10  # pixels; what lies closer resembles itself anyway
WINDOW = 13  # side of the window that is compared, pixels
WHITENING = 0.8  # 0 leaves the spectrum, 1 makes it flat
SMALLEST_OVERLAP = 0.03  # of the picture; a displacement that leaves less of it is not considered
BISECTIONS = 32  # of the range of the values, to find their median by counting


@torch.no_grad()
def self_similarity(pixels: Tensor) -> Tensor:
    """How alike each place is to the same place after one of the strongest displacements.

    Args:
        pixels: `(B, 3, H, W)` RGB on any scale that is common to the channels.

    Returns:
        `(B, 2, H, W)` float32: the correlation in [0, 1] of the window around each pixel with its most similar partner,
        and how far that displacement stands out of the autocorrelation, in robust standard deviations.

    Example:
        >>> noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> noise[..., 8:32, 40:60] = noise[..., 30:54, 4:24]
        >>> likeness, prominence = self_similarity(noise)[0]
        >>> bool(likeness[14:26, 46:54].min() > 0.9), bool(likeness[14:26, 10:30].mean() < 0.5)
        (True, True)
    """
    with torch.autocast(pixels.device.type, enabled=False):
        detail = normalised_detail(luminance(pixels.float()))
        rows, columns, prominence = _displacements(detail)
        return _compare(detail, rows, columns, prominence)


def _displacements(detail: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The `(B, K)` rows and columns of the strongest displacements, and how far each stands out."""
    height, width = detail.shape[-2:]
    size = (2 * height, 2 * width)  # room for every displacement without wrapping around
    correlation = _whitened_autocorrelation(detail[:, 0], size)
    row, column = (torch.arange(2 * side, device=detail.device) for side in (height, width))
    row, column = row - 2 * height * (row >= height), column - 2 * width * (column >= width)
    overlap = (height - row.abs())[:, None] * (width - column.abs())[None]
    # A displacement and its opposite are one: half of them is enough.
    half = (row[:, None] > 0) | ((row[:, None] == 0) & (column[None] > 0))
    far = row[:, None] ** 2 + column[None] ** 2 >= NEAREST**2
    valid = half & far & (overlap > SMALLEST_OVERLAP * height * width)
    score = correlation / (overlap.clamp(min=1).sqrt() + 20)
    middle = _median(score.flatten(1), valid.flatten())
    spread = 1.48 * _median((score.flatten(1) - middle).abs(), valid.flatten())
    score = (score - middle[..., None]) / (spread[..., None] + 1e-6)
    local = score - F.avg_pool2d(score[:, None], 9, 1, 4)[:, 0]
    # Before anything is left out: the slope of the peak at 0 is no peak.
    peak = local >= F.max_pool2d(local[:, None], 5, 1, 2)[:, 0]
    peaks = local.masked_fill(~(peak & valid), -torch.inf)
    prominence, place = peaks.flatten(1).topk(DISPLACEMENTS)
    found = prominence.isfinite()
    line = torch.full_like(place, size[1])  # a tensor: ONNX knows no remainder by a size
    rows, columns = row[place // line] * found, column[place % line] * found
    return rows, columns, prominence.masked_fill(~found, 0.0)


def _whitened_autocorrelation(detail: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, *size)` from `(B, H, W)`, by way of the spectrum."""
    if not torch.compiler.is_compiling():
        return torch.fft.irfft2(_whitened(torch.fft.rfft2(detail, s=size)), s=size)
    # ONNX Runtime loses the shape of half a spectrum, and ONNX pads no complex numbers.
    padded = F.pad(detail, (0, size[1] - detail.shape[2], 0, size[0] - detail.shape[1]))
    white = _whitened(torch.fft.fft2(torch.complex(padded, padded * 0)))
    return torch.fft.ifft2(torch.complex(white, white * 0)).real


def _whitened(spectrum: Tensor) -> Tensor:
    """Its power, nearly the same at all frequencies."""
    power = spectrum.real**2 + spectrum.imag**2
    return power / (power**WHITENING + 1e-3)


def _median(values: Tensor, valid: Tensor) -> Tensor:
    """The median `(B, 1)` of those of the values `(B, N)` that are valid `(N,)`, of two middle ones the lower."""
    if not torch.compiler.is_compiling():
        return values.masked_fill(~valid, torch.nan).nanmedian(1, keepdim=True).values
    return _median_by_counting(values, valid)


def _median_by_counting(values: Tensor, valid: Tensor) -> Tensor:
    """The same for runtimes that have no `nanmedian`: halves the range that holds it, until only it is left."""
    wanted = (valid.sum() + 1) // 2
    low = values.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    high = values.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        enough = ((values <= middle) & valid).sum(1, keepdim=True) >= wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return values.masked_fill(~(valid & (values <= high)), -torch.inf).amax(1, keepdim=True)


def _compare(detail: Tensor, rows: Tensor, columns: Tensor, prominence: Tensor) -> Tensor:
    energy = window_mean(detail**2, WINDOW)
    likeness = torch.zeros_like(detail)
    standing = torch.zeros_like(detail)
    for which in range(DISPLACEMENTS):
        by = rows[:, which], columns[:, which]
        together = window_mean(detail * _displaced(detail, *by), WINDOW)
        partner = _displaced(energy, *by)
        alike = correlation(together, energy, partner)
        # A window that reaches into the picture from a pixel whose partner lies beyond the border proves nothing.
        alike = alike * ((partner > 0) & (prominence[:, which] > 0).view(-1, 1, 1, 1))
        alike = torch.maximum(alike, _displaced(alike, -by[0], -by[1]))  # both, what was copied and where to
        standing = torch.where(alike > likeness, prominence[:, which].view(-1, 1, 1, 1), standing)
        likeness = torch.maximum(likeness, alike)
    return torch.cat([likeness, standing], 1)


def _displaced(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`out[b, 0, y, x] = values[b, 0, y + rows[b], x + columns[b]]`, 0 beyond the border."""
    height, width = values.shape[-2:]
    y = torch.arange(height, device=values.device)[None] + rows[:, None]
    x = torch.arange(width, device=values.device)[None] + columns[:, None]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    place = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None]
    moved = values.flatten(1).gather(1, place.flatten(1)).view_as(values)
    return moved * inside[:, None]
