from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.pipelines.tiling import JPEG_GRID, TileAccumulator, split_axis, split_image

axes = st.integers(1, 700).flatmap(
    lambda length: st.tuples(st.just(length), st.integers(0, 96), st.sampled_from([8, 16, 24, 32])).flatmap(
        lambda drawn: st.tuples(*map(st.just, drawn), st.integers(drawn[1] + drawn[2], drawn[1] + 300))
    )
)


@given(axes)
@settings(max_examples=200, deadline=None)
def test_weights_are_a_partition_of_unity(axis):
    length, overlap, alignment, tile_size = axis
    total = np.zeros(length)
    for span in split_axis(length, tile_size, overlap, alignment):
        assert len(span.weights) == span.stop - span.start
        assert span.weights.min() >= 0
        total[span.start : span.stop] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(axes)
@settings(max_examples=200, deadline=None)
def test_tiles_are_aligned_bounded_and_give_up_half_the_overlap(axis):
    length, overlap, alignment, tile_size = axis
    spans = split_axis(length, tile_size, overlap, alignment)
    assert spans[0].start == 0
    assert spans[-1].stop == length
    for span in spans:
        assert span.start % alignment == 0
        assert span.stop - span.start < tile_size + alignment
        # Half of the overlap at every border that has a neighbour.
        margin = overlap // 2
        if span.start > 0:
            assert not span.weights[:margin].any()
        if span.stop < length:
            assert not span.weights[len(span.weights) - margin :].any()
    for before, after in pairwise(spans):
        assert before.stop - after.start >= overlap
        assert after.start > before.start


def test_neighbours_are_cross_faded_not_cut():
    first, second = split_axis(1000, 512, 64)[:2]
    falling = first.weights[second.start :]
    between = falling[(falling > 0) & (falling < 1)]
    assert len(between) >= 16
    assert (np.diff(between) < 0).all()


def test_a_picture_that_fits_is_one_tile():
    assert len(split_image(512, 512 + JPEG_GRID - 1, 512, 64)) == 1
    assert len(split_image(512, 512 + JPEG_GRID, 512, 64)) == 2
    assert len(split_image(4000, 6000, 0, 64)) == 1


def test_tiles_of_equal_shape_are_neighbours():
    shapes = [tile.shape for tile in split_image(701, 905, 128, 32)]
    changes = sum(before != after for before, after in pairwise(shapes))
    assert changes == len(set(shapes)) - 1 > 0


@pytest.mark.parametrize(("tile_size", "overlap"), [(64, 57), (64, 64), (32, 100)])
def test_an_overlap_that_leaves_no_tile_names_the_fix(tile_size, overlap):
    with pytest.raises(ValueError, match=f"tile_size of at least {overlap + 8}, or a smaller tile_overlap"):
        split_axis(1000, tile_size, overlap)


@pytest.mark.parametrize(("tile_size", "overlap"), [(-1, 0), (64, -1)])
def test_negative_sizes_are_refused(tile_size, overlap):
    with pytest.raises(ValueError, match="must not be negative"):
        split_axis(1000, tile_size, overlap)


@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    tile_size=st.integers(40, 90),
    overlap=st.integers(0, 32),
)
@settings(max_examples=50, deadline=None)
def test_cutting_and_accumulating_gives_the_picture_back(height, width, tile_size, overlap):
    values = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    accumulator = TileAccumulator(height, width)
    for tile in split_image(height, width, tile_size, overlap):
        assert tile.cut(values).shape == tile.shape
        accumulator.add(tile, tile.cut(values))
    np.testing.assert_allclose(accumulator.values, values, atol=1e-5)
