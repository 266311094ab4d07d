"""Copies that were moved, turned or scaled are found with their sources, and pictures without copies stay empty."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.modeling.moved_copies import (
    FEWEST,
    PAIRS,
    Pairs,
    _divide,
    _times,
    find_keypoints,
    match,
    moved_copies,
    strongest_transform,
)

SIDE, RADIUS = 192, 36
SOURCE, TARGET = (50.0, 52.0), (136.0, 138.0)  # centres, (x, y)


def texture(seed=0, side=SIDE, batch=1):
    """Noise of all sizes, as pictures have it."""
    generator = torch.Generator().manual_seed(seed)
    octaves = [torch.rand(batch, 3, side // cell, side // cell, generator=generator) for cell in (3, 6, 12, 24)]
    return sum(
        weight * F.interpolate(noise, size=(side, side), mode="bicubic") for weight, noise in enumerate(octaves, 1)
    )


def distances(centre, side=SIDE):
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2).sqrt()


def copied(image, angle, scale):
    """A disc around SOURCE, turned and scaled, pasted around TARGET."""
    side = image.shape[-1]
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    here = torch.stack([columns - TARGET[0], rows - TARGET[1]], -1)
    turn = torch.tensor([math.cos(angle), math.sin(angle)]) * scale
    there = _divide(here, turn) + torch.tensor(SOURCE)
    pasted = F.grid_sample(image, (there / (side - 1) * 2 - 1)[None], mode="bicubic", align_corners=True)
    return torch.where(distances(TARGET) < RADIUS * scale, pasted, image)


@settings(max_examples=12, deadline=None)
@given(angle=st.floats(-math.pi, math.pi), scale=st.floats(0.8, 1.25), seed=st.integers(0, 50))
def test_a_turned_and_scaled_copy_is_found_with_its_source(angle, scale, seed):
    likeness, pairs = moved_copies(copied(texture(seed), angle, scale))[0]
    source, target = distances(SOURCE), distances(TARGET)
    assert likeness[target < RADIUS * scale / 2].mean() > 0.7 and likeness[source < RADIUS / 2].mean() > 0.7
    assert pairs[target < RADIUS * scale / 2].median() >= FEWEST
    assert likeness[(source > RADIUS + 20) & (target > RADIUS * scale + 20)].mean() < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_that_shows_nothing_twice_stays_empty(seed):
    assert (moved_copies(texture(seed))[:, 0] > 0).float().mean() < 0.01


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(-math.pi, math.pi),
    scale=st.floats(0.6, 1.6),
    shift=st.tuples(st.floats(-80, 80), st.floats(-80, 80)),
    strangers=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_the_transform_that_most_pairs_follow_is_recovered(angle, scale, shift, strangers, seed):
    generator = torch.Generator().manual_seed(seed)
    sources = torch.rand(1, 40, 2, generator=generator) * 100
    factor = torch.tensor([math.cos(angle), math.sin(angle)]) * scale
    targets = _times(factor, sources) + torch.tensor(shift)
    targets[:, :strangers] = torch.rand(1, strangers, 2, generator=generator) * 400 - 200
    turns = factor * (1 + 0.05 * torch.rand(1, 40, 1, generator=generator))  # descriptions know the scale roughly
    found, offset, followers = strongest_transform(Pairs(sources, targets, turns, torch.ones(1, 40, dtype=torch.bool)))
    assert followers[0, strangers:].all()
    torch.testing.assert_close(
        _times(found, sources) + offset, _times(factor, sources) + torch.tensor(shift), rtol=0, atol=2.0
    )


def test_without_pairs_nobody_follows():
    nothing = torch.zeros(2, 6, 2)
    _, _, followers = strongest_transform(Pairs(nothing, nothing, nothing, torch.zeros(2, 6, dtype=torch.bool)))
    assert not followers.any()


def test_pairs_are_padded_and_lie_apart():
    pairs = match(find_keypoints(texture().mean(1, keepdim=True)))
    assert pairs.sources.shape == (1, PAIRS, 2)
    shifted = match(find_keypoints(copied(texture(), 0.0, 1.0).mean(1, keepdim=True)))
    assert shifted.valid.sum() > pairs.valid.sum() + 10
    apart = (shifted.sources - shifted.targets).norm(dim=-1)[shifted.valid]
    assert apart.min() >= 15.9


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(0.25, 4), offset=st.floats(-2, 2))
def test_brightness_and_contrast_do_not_matter(gain, offset):
    image = copied(texture(), 0.4, 1.1)
    expected = moved_copies(image)[0, 0]
    assert ((moved_copies(image * gain + offset)[0, 0] - expected).abs() > 0.05).float().mean() < 0.02


def test_a_picture_is_judged_alone_whatever_its_batch():
    batch = torch.cat([copied(texture(), 0.3, 1.0), texture(5), torch.zeros(1, 3, SIDE, SIDE)])
    together = moved_copies(batch)
    for index in range(len(batch)):
        torch.testing.assert_close(moved_copies(batch[index : index + 1])[0], together[index], rtol=1e-3, atol=1e-2)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(32, 90), width=st.integers(32, 90), value=st.floats(-1, 1), flat=st.booleans())
def test_every_picture_gives_finite_maps_of_its_size(height, width, value, flat):
    image = torch.full((1, 3, height, width), value) if flat else torch.rand(1, 3, height, width)
    maps = moved_copies(image.to(torch.bfloat16))
    assert maps.shape == (1, 2, height, width) and maps.dtype == torch.float32 and maps.isfinite().all()
    assert maps[:, 0].min() >= 0 and maps[:, 0].max() <= 1
    assert not flat or not maps.any()


def test_a_compiled_graph_of_one_size_of_lists_finds_the_same():
    image = copied(texture(), 0.4, 1.1)
    compiled = torch.compile(moved_copies, backend="eager")
    torch.testing.assert_close(compiled(image), moved_copies(image), rtol=1e-3, atol=1e-3)
