"""Self-similarity finds what was copied, at the displacement by which it was copied, and nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.modeling.self_similarity import NEAREST, _median, _median_by_counting, self_similarity

SIDE, PATCH = 96, 26
INNER = 8  # pixels from a patch's border to where its windows lie inside
OF_NOISE = 5.0  # prominence that noise of this size does not reach


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def copied(top, left, row, column, seed=0, size=SIDE):
    """Noise with one patch copied from (top, left) to (row, column), and the two inner areas as masks."""
    image = noise(1, 3, size, size, seed=seed)
    image[..., row : row + PATCH, column : column + PATCH] = image[..., top : top + PATCH, left : left + PATCH].clone()
    areas = torch.zeros(2, size, size, dtype=torch.bool)
    for area, (y, x) in zip(areas, ((top, left), (row, column)), strict=True):
        area[y + INNER : y + PATCH - INNER, x + INNER : x + PATCH - INNER] = True
    return image, areas


place = st.integers(0, SIDE - PATCH)


@settings(max_examples=25, deadline=None)
@given(top=place, left=place, row=place, column=place, seed=st.integers(0, 99))
def test_a_copy_and_its_source_stand_out_from_the_rest(top, left, row, column, seed):
    if max(abs(top - row), abs(left - column)) < PATCH:
        return  # overlapping: part of the source is gone
    image, (source, target) = copied(top, left, row, column, seed)
    likeness, prominence = self_similarity(image)[0]
    rest = likeness.clone()
    for y, x in ((top, left), (row, column)):
        rest[max(0, y - 8) : y + PATCH + 8, max(0, x - 8) : x + PATCH + 8] = 0
    assert likeness[source].min() > 0.9 and likeness[target].min() > 0.9
    assert likeness[source | target].min() > rest.quantile(0.95)
    assert prominence[target].min() > OF_NOISE


def test_nothing_stands_out_of_noise():
    _, prominence = self_similarity(noise(8, 3, SIDE, SIDE)).unbind(1)
    assert prominence.max() < OF_NOISE


def test_a_compressed_copy_is_still_found():
    from io import BytesIO

    import numpy as np
    from PIL import Image

    image, (source, target) = copied(6, 7, 60, 51)
    smooth = torch.nn.functional.avg_pool2d(image, 3, 1, 1)[0]
    buffer = BytesIO()
    Image.fromarray((smooth.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(buffer, "JPEG", quality=80)
    seen = torch.from_numpy(np.asarray(Image.open(buffer)).copy()).permute(2, 0, 1)[None].float() / 255
    likeness = self_similarity(seen)[0, 0]
    assert likeness[source | target].mean() > 0.6 > 0.3 > likeness[~(source | target)].mean()


def test_a_repeat_within_the_nearest_pixels_is_no_copy():
    image = noise(1, 3, SIDE, SIDE // (NEAREST - 2) + 1).repeat_interleave(NEAREST - 2, 3)[..., :SIDE]
    assert self_similarity(image)[0, 1].max() < 40  # bars of one colour: every neighbour is alike


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(0.25, 4), offset=st.floats(-2, 2))
def test_brightness_and_contrast_do_not_matter(gain, offset):
    image, _ = copied(5, 5, 60, 50)
    expected, moved = self_similarity(image), self_similarity(image * gain + offset)
    torch.testing.assert_close(moved[:, 0], expected[:, 0], rtol=0, atol=2e-2)
    # Where two displacements are equally good, rounding decides which of them is named.
    assert torch.isclose(moved[:, 1], expected[:, 1], rtol=2e-2).float().mean() > 0.999


@pytest.mark.parametrize("flip", [2, 3])
def test_mirroring_the_picture_mirrors_the_likeness(flip):
    image, _ = copied(5, 12, 60, 50)
    expected = self_similarity(image).flip(flip)[:, 0]
    torch.testing.assert_close(self_similarity(image.flip(flip))[:, 0], expected, rtol=0, atol=1e-3)


def test_a_picture_is_judged_alone_whatever_its_batch():
    batch = torch.cat([copied(5, 5, 60, 50)[0], noise(1, 3, SIDE, SIDE, seed=3), torch.zeros(1, 3, SIDE, SIDE)])
    together = self_similarity(batch)
    for index in range(len(batch)):
        torch.testing.assert_close(self_similarity(batch[index : index + 1])[0], together[index], rtol=1e-3, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(32, 70), width=st.integers(32, 70), value=st.floats(-1, 1), flat=st.booleans())
def test_every_picture_gives_finite_maps_of_its_size(height, width, value, flat):
    image = torch.full((1, 3, height, width), value) if flat else noise(1, 3, height, width)
    maps = self_similarity(image.to(torch.bfloat16))
    assert maps.shape == (1, 2, height, width) and maps.dtype == torch.float32 and maps.isfinite().all()
    assert maps[:, 0].min() >= 0 and maps[:, 0].max() <= 1
    if flat:
        assert maps[:, 1].max() < OF_NOISE


@given(st.integers(1, 3), st.integers(1, 200), st.floats(0.05, 1), st.sampled_from([1e-4, 1, 1e3]), st.integers(0, 999))
def test_the_median_by_counting_is_the_median(rows, length, share, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, length, generator=generator) * scale
    values[:, ::7] = values[:, :1].clone()  # ties
    valid = torch.rand(length, generator=generator) < share
    if valid.any():
        counted, expected = _median_by_counting(values, valid), _median(values, valid)
        torch.testing.assert_close(counted, expected, rtol=0, atol=1e-6 * scale)
