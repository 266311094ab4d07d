import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifl_hub.reports import render_overlay
from ifl_hub.reports.overlay import COLOUR_MAP


def lightness(rgb):
    """CIE L* of sRGB in [0, 255]."""
    linear = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def test_the_colour_map_rises_evenly_in_lightness():
    steps = np.diff(lightness(COLOUR_MAP.astype(np.float64)))
    assert steps.min() > 0
    assert lightness(COLOUR_MAP[:1])[0] < 15
    assert lightness(COLOUR_MAP[-1:])[0] > 92
    assert steps.max() < 2.5 * steps.mean()


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([0, 128, 255]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_any_size_and_any_mask(height, width, level, seed):
    rng = np.random.default_rng(seed)
    heatmap = rng.random((height, width), dtype=np.float32)
    image = np.full((height, width, 3), level, dtype=np.uint8)
    overlay = render_overlay(image, heatmap, heatmap > rng.random())
    assert (overlay.mode, overlay.size) == ("RGB", (width, height))
    assert (image == level).all()  # the photo itself is not drawn upon


def test_where_nothing_is_suspicious_the_photo_shows_in_grey():
    photo = np.random.default_rng(0).integers(0, 256, (600, 20, 3), dtype=np.uint8)  # more rows than one band
    overlay = np.asarray(render_overlay(photo, np.zeros((600, 20)), np.zeros((600, 20), dtype=bool)))
    np.testing.assert_allclose(overlay[..., 0], photo @ np.array([0.299, 0.587, 0.114]), atol=0.51)
    assert (overlay == overlay[..., :1]).all()


def test_the_outline_stands_out_on_night_and_on_snow():
    mask = np.zeros((80, 80), dtype=bool)
    mask[30:50, 20:60] = True
    for level in (0, 128, 255):
        photo = np.full((80, 80, 3), level, dtype=np.uint8)
        drawn = np.asarray(render_overlay(photo, np.full((80, 80), 0.2), Image.fromarray(mask))).astype(int)
        bright, dark = drawn[29, 40], drawn[28, 40]
        assert abs(lightness(bright[None]) - lightness(dark[None])) > 60
        plain = np.asarray(render_overlay(photo, np.full((80, 80), 0.2), np.zeros_like(mask)))
        changed = (drawn != plain).any(axis=2)
        assert changed[28:30, 20:60].all() or level == 0
        assert not changed[34:46, 24:56].any()  # inside, only the heat map
        assert not changed[:24].any()


def test_no_mask_no_outline_and_a_full_mask_needs_none():
    photo = np.full((30, 30, 3), 90, dtype=np.uint8)
    heatmap = np.full((30, 30), 0.7)
    empty, full = (np.asarray(render_overlay(photo, heatmap, np.full((30, 30), kind))) for kind in (False, True))
    np.testing.assert_array_equal(empty, full)
    assert len(np.unique(empty.reshape(-1, 3), axis=0)) == 1


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        render_overlay(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4)), np.zeros((4, 5)))
