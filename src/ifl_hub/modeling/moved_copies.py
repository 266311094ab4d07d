"""Where a picture shows the same detail twice, moved, turned or scaled: the classical search by keypoints, as tensors.

Blobs of the difference of Gaussians are described by the gradients around them, seen from their own direction and at
their own size. Two that are far more alike than either is to any third are a pair; pairs that follow one similarity
transform are a suspected copy; the picture is then compared with itself under that transform, around those pairs.
Nothing is learnt here. A place is a complex number, (x, y) in the last dimension; a similarity is z -> a z + b.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .local_statistics import correlation, gaussian_blur, luminance, normalised_detail, window_mean

SIGMAS = (0.9, 1.25, 1.75, 2.4)  # pixels, scales within an octave; a blob is the difference of two neighbours
KEYPOINTS = (600, 240, 100)  # strongest blobs of each scale in each octave, every octave at half the size of the last
SPARSEST = 160  # pixels for each of them at least
CELLS, CELL = 8, 1.5  # a description has so many cells each way, and each is so many sigmas wide
BORDER = 8  # pixels of an octave without keypoints
NEAREST = 16.0  # pixels; what lies closer resembles itself anyway
DISTINCT = 0.4  # the next best must be so much worse: a squared distance of at most this part of its own
PAIRS = 256  # most distinct ones that are looked at
TRANSFORMS = 3  # suspected copies
FEWEST = 5  # pairs that make a suspicion
TOLERANCE = 3.0  # pixels by which a pair may miss a transform's prediction
NEIGHBOURS = 120.0  # pixels; pairs within this distance fit a transform
SCALES = (0.45, 2.2)
WINDOW = 13  # side of the window that is compared, pixels
SUPPORT, COARSE = 11, 4  # side in cells of the window in which a compared pixel needs two pairs; side of a cell, pixels


class Pairs(NamedTuple):
    """Details that are shown twice.

    Attributes:
        sources: `(B, P, 2)` in pixels.
        targets: `(B, P, 2)` in pixels, what each resembles.
        turns: `(B, P, 2)`, scale and rotation from source to target, as the two descriptions have them.
        valid: `(B, P)` bool; the others are padding.
    """

    sources: Tensor
    targets: Tensor
    turns: Tensor
    valid: Tensor


class Keypoints(NamedTuple):
    """Blobs.

    Attributes:
        places: `(B, N, 2)` in pixels.
        directions: `(B, N, 2)`, unit vectors times the blob's size in pixels.
        descriptions: `(B, N, D)`, of norm 1.
        valid: `(B, N)` bool; the others are padding.
    """

    places: Tensor
    directions: Tensor
    descriptions: Tensor
    valid: Tensor


@torch.no_grad()
def moved_copies(pixels: Tensor) -> Tensor:
    """How alike each place is to what one of the strongest similarity transforms makes of it.

    Args:
        pixels: `(B, 3, H, W)` RGB on any scale that is common to the channels.

    Returns:
        `(B, 2, H, W)` float32: the correlation in [0, 1] of the window around each pixel with its counterpart, 0 where
        no copy is suspected, and the number of pairs that follow the transform. Source and copy are both marked.

    Example:
        >>> noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> picture = torch.nn.functional.interpolate(noise, scale_factor=6, mode="bicubic")
        >>> picture[..., 100:180, 100:180] = picture[..., 10:90, 10:90].rot90(1, (2, 3))
        >>> likeness, pairs = moved_copies(picture)[0]
        >>> bool(likeness[120:160, 120:160].mean() > 0.8), bool(likeness[100:180, 20:80].max() < 0.5)
        (True, True)
    """
    with torch.autocast(pixels.device.type, enabled=False):
        grey = luminance(pixels.float())
        grey = grey / (grey.std((1, 2, 3), keepdim=True, correction=0) + 1e-3)
        pairs = match(find_keypoints(grey))
        detail = normalised_detail(grey)
        energy = window_mean(detail**2, WINDOW)
        likeness, standing = torch.zeros_like(grey), torch.zeros_like(grey)
        for _ in range(TRANSFORMS):
            factor, offset, followers = strongest_transform(pairs)
            count = followers.sum(1).to(grey.dtype).view(-1, 1, 1, 1)
            alike = _compare(detail, energy, factor, offset, pairs.sources, followers) * (count >= FEWEST)
            standing = torch.where(alike > likeness, count, standing)
            likeness = torch.maximum(likeness, alike)
            pairs = _without(pairs, factor, offset)
        return torch.cat([likeness, standing], 1)


def find_keypoints(grey: Tensor) -> Keypoints:
    """Blobs of `(B, 1, H, W)` at all scales, the border left out."""
    found = []
    for octave, most in enumerate(KEYPOINTS):
        levels = [gaussian_blur(grey, sigma) for sigma in SIGMAS]
        blobs = torch.stack([wide - narrow for narrow, wide in pairwise(levels)], 2).abs()
        highest = blobs >= _highest_around(blobs)
        strength = torch.where(highest & _inner(grey), blobs, -1.0)[:, 0]
        for which, sigma in enumerate(SIGMAS[:-1]):
            places, valid = _strongest(strength[:, which], most)
            directions, descriptions = _describe(levels[which], places, sigma)
            size = 2**octave
            found.append(Keypoints(places * size, directions * size, descriptions, valid))
        grey = levels[2][..., ::2, ::2]  # smooth enough for half of the pixels
    return Keypoints(*(torch.cat(parts, 1) for parts in zip(*found, strict=True)))


def _highest_around(values: Tensor) -> Tensor:
    """The highest of `(B, 1, L, H, W)` and its 26 neighbours; pooling does the same several times slower on a CPU."""
    for last in (2, 1, 0):
        sides = [0, 0] * (2 - last) + [1, 1]
        first, middle, third = (
            F.pad(values, sides, value=-1.0).narrow(2 + last, start, values.shape[2 + last]) for start in range(3)
        )
        values = torch.maximum(torch.maximum(first, third), middle)
    return values


def _inner(grey: Tensor) -> Tensor:
    """`(H, W)` bool, False where a description would reach far beyond the border."""
    rows, columns = (torch.arange(side, device=grey.device) for side in grey.shape[-2:])
    inner = [
        (line >= BORDER) & (line < side - BORDER) for line, side in zip((rows, columns), grey.shape[-2:], strict=True)
    ]
    return inner[0][:, None] & inner[1]


def _strongest(strength: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Places `(B, K, 2)` of the highest of `(B, H, W)`, and which of them are any; K is the same for equal sizes."""
    height, width = strength.shape[-2:]
    allowed = height * width // SPARSEST
    # An exported graph has one K for all sizes.
    count = most if torch.compiler.is_compiling() else max(1, min(most, allowed))
    values, flat = _highest(F.pad(strength.flatten(1), (0, count), value=-1.0), count)
    rank = torch.arange(count, device=strength.device)
    line = torch.full_like(flat, width)  # a tensor: ONNX knows no remainder by a size
    places = torch.stack([flat % line, (flat // line).clamp(max=height - 1)], -1)
    return places.to(strength.dtype), (values > 1e-3) & (rank < allowed)


def _highest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest `count` of `(B, N)` in falling order, and where they are; equal ones, as exact copies have, in order.

    `topk` leaves their order open, and eager and exported models would differ.
    """
    places = values.topk(count).indices.sort(dim=1).values
    found, order = values.gather(1, places).sort(dim=1, descending=True, stable=True)
    return found, places.gather(1, order)


def _describe(level: Tensor, places: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Directions `(B, K, 2)` of length sigma, and the gradients around each place in its own frame, `(B, K, D)`."""
    gradients = _gradients(level)
    smooth = torch.cat([gaussian_blur(part, 2 * sigma) for part in gradients.split(1, 1)], 1)
    ahead = F.normalize(_sample(smooth, places[:, :, None])[:, :, 0], dim=-1)
    steps = (torch.arange(CELLS, device=level.device, dtype=level.dtype) - (CELLS - 1) / 2) * CELL * sigma
    cells = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).flatten(0, 1)
    seen = _sample(gradients, places[:, :, None] + _times(ahead[:, :, None], cells))
    turned = _times(seen, _conjugate(ahead)[:, :, None])
    near = torch.exp(-0.5 * (cells**2).sum(-1, keepdim=True) / (4 * CELL * sigma) ** 2)
    clipped = F.normalize((turned * near).flatten(2), dim=-1).clamp(-0.25, 0.25)
    return ahead * sigma, F.normalize(clipped, dim=-1)


def _gradients(level: Tensor) -> Tensor:
    """Central differences along x and y, `(B, 2, H, W)`."""
    padded = F.pad(level, (1,) * 4, mode="replicate")
    along = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.cat([along, down], 1) / 2


def match(found: Keypoints) -> Pairs:
    """The most distinct pairs of keypoints, each at most once a direction."""
    alike = found.descriptions @ found.descriptions.transpose(1, 2)
    squares = (found.places**2).sum(-1)
    apart = squares[:, :, None] + squares[:, None] - 2 * found.places @ found.places.transpose(1, 2)
    usable = (apart >= NEAREST**2) & found.valid[:, None] & found.valid[:, :, None]
    alike = alike.masked_fill(~usable, -1.0)
    best, partner = alike.max(2)
    second = alike.scatter(2, partner[..., None], -1.0).amax(2)
    ambiguity = (1 - best) / (1 - second + 1e-6)
    good = (ambiguity < DISTINCT) & (best > 0.5)
    # Padding: a small picture has fewer keypoints than pairs are wanted.
    quality, source = _highest(F.pad(torch.where(good, 1 - ambiguity, 0.0), (0, PAIRS)), PAIRS)
    source = source * (quality > 0)
    target = partner.gather(1, source)
    turns = _divide(_pick(found.directions, target), _pick(found.directions, source))
    return Pairs(_pick(found.places, source), _pick(found.places, target), turns, quality > 0)


def strongest_transform(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """The similarity that most pairs follow: factor and offset `(B, 2)`, and which pairs do, `(B, P)` bool.

    Every pair proposes one, from its two directions; those near it that roughly agree then fit it by least squares.
    """
    factor, offset = pairs.turns, pairs.targets - _times(pairs.turns, pairs.sources)
    apart = (pairs.sources[:, None] - pairs.sources[:, :, None]).norm(dim=-1)
    both = pairs.valid[:, None] & pairs.valid[:, :, None]
    for absolute, relative in ((6.0, 0.12), (4.0, 0.03)):
        close = (_misses(factor, offset, pairs) < absolute + relative * apart) & (apart < NEIGHBOURS) & both
        factor, offset = _fit(close, factor, offset, pairs)
    follows = (_misses(factor, offset, pairs) < TOLERANCE) & both
    size = factor.norm(dim=-1)
    votes = follows.sum(2) * ((size > SCALES[0]) & (size < SCALES[1]))
    winner = votes.argmax(1, keepdim=True)
    agreed = follows.gather(1, winner[..., None].expand(-1, -1, follows.shape[2]))[:, 0]
    agreed = agreed & (votes.gather(1, winner) > 0)
    return _pick(factor, winner)[:, 0], _pick(offset, winner)[:, 0], agreed


def _misses(factor: Tensor, offset: Tensor, pairs: Pairs) -> Tensor:
    """By how many pixels each of `(B, H)` transforms misses each pair's target, `(B, H, P)`."""
    predicted = _times(factor[:, :, None], pairs.sources[:, None]) + offset[:, :, None]
    return (predicted - pairs.targets[:, None]).norm(dim=-1)


def _fit(chosen: Tensor, factor: Tensor, offset: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Least squares over the chosen `(B, H, P)` pairs of each transform; too few leave it as it is."""
    weight = chosen.to(factor.dtype)
    count = weight.sum(-1, keepdim=True)
    mean_source, mean_target = (weight @ places / count.clamp(min=1) for places in (pairs.sources, pairs.targets))
    source, target = pairs.sources[:, None] - mean_source[:, :, None], pairs.targets[:, None] - mean_target[:, :, None]
    spread = (weight * (source**2).sum(-1)).sum(-1)
    fitted = (weight[..., None] * _times(target, _conjugate(source))).sum(2) / spread.clamp(min=1e-6)[..., None]
    enough = ((count[..., 0] >= 3) & (spread > 50))[..., None]
    shifted = mean_target - _times(fitted, mean_source)
    return torch.where(enough, fitted, factor), torch.where(enough, shifted, offset)


def _without(pairs: Pairs, factor: Tensor, offset: Tensor) -> Pairs:
    """The pairs that follow a transform neither forwards nor backwards."""
    forwards = _times(factor[:, None], pairs.sources) + offset[:, None] - pairs.targets
    backwards = _times(factor[:, None], pairs.targets) + offset[:, None] - pairs.sources
    apart = torch.minimum(forwards.norm(dim=-1), backwards.norm(dim=-1))
    return pairs._replace(valid=pairs.valid & (apart > 2 * TOLERANCE))


def _compare(detail: Tensor, energy: Tensor, factor: Tensor, offset: Tensor, seeds: Tensor, chosen: Tensor) -> Tensor:
    """Correlation of each pixel with its counterpart, around the chosen `(B, P)` seeds, and the same at the copy."""
    height, width = detail.shape[-2:]
    rows, columns = (torch.arange(side, device=detail.device, dtype=detail.dtype) for side in (height, width))
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]
    there = _times(factor[:, None, None], grid) + offset[:, None, None]
    inside = _warp(torch.ones_like(detail), there) > 0.99
    other = _warp(detail, there)
    together, other_energy = window_mean(detail * other, WINDOW), window_mean(other**2, WINDOW)
    alike = correlation(together, energy, other_energy) * inside * _support(detail, seeds, chosen)
    back = _divide(grid - offset[:, None, None], factor[:, None, None])
    return torch.maximum(alike, _warp(alike, back))


def _support(detail: Tensor, seeds: Tensor, chosen: Tensor) -> Tensor:
    """1 where at least two of the chosen seeds are near, one half where one is."""
    cells = torch.zeros_like(F.avg_pool2d(detail, COARSE, ceil_mode=True))
    width = cells.shape[-1]
    column, row = (seeds.round() / COARSE).long().unbind(-1)
    place = row.clamp(0, cells.shape[-2] - 1) * width + column.clamp(0, width - 1)
    dots = cells.flatten(1).scatter_add(1, place, chosen.to(detail.dtype)).view_as(cells)
    near = (window_mean(dots, SUPPORT) * (SUPPORT**2 / 2)).clamp(0, 1)
    return F.interpolate(near, scale_factor=COARSE)[..., : detail.shape[-2], : detail.shape[-1]]


def _warp(values: Tensor, places: Tensor) -> Tensor:
    """`(B, 1, H, W)` at `(B, H, W, 2)` places in pixels, bilinear, zeros beyond the border."""
    return F.grid_sample(values, _relative(places, values), padding_mode="zeros", align_corners=True)


def _sample(maps: Tensor, places: Tensor) -> Tensor:
    """`(B, 2, H, W)` at `(B, K, P, 2)` places in pixels, `(B, K, P, 2)`; the border is repeated."""
    sampled = F.grid_sample(maps, _relative(places, maps), padding_mode="border", align_corners=True)
    return sampled.permute(0, 2, 3, 1)


def _relative(places: Tensor, maps: Tensor) -> Tensor:
    """Pixels to the coordinates of `grid_sample`, -1 and 1 at the centres of the outermost pixels."""
    height, width = maps.shape[-2:]
    return torch.stack([places[..., 0] * (2 / (width - 1)) - 1, places[..., 1] * (2 / (height - 1)) - 1], -1)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """`(B, N, 2)` at `(B, K)`."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))


def _times(first: Tensor, second: Tensor) -> Tensor:
    real = first[..., 0] * second[..., 0] - first[..., 1] * second[..., 1]
    return torch.stack([real, first[..., 0] * second[..., 1] + first[..., 1] * second[..., 0]], -1)


def _conjugate(values: Tensor) -> Tensor:
    return torch.stack([values[..., 0], -values[..., 1]], -1)


def _divide(first: Tensor, second: Tensor) -> Tensor:
    return _times(first, _conjugate(second)) / (second**2).sum(-1, keepdim=True).clamp(min=1e-6)
