"""Robustness conditions: what their names say happens, always the same for the same picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifl_hub.evaluation.robustness import FAMILIES, GRIDS, Condition, Step, parse_condition, parse_grid, resize_map
from tiny_photos import texture


def picture(height=60, width=80):
    return Image.fromarray(texture(0, height, width))


def pixels(name, seed="a", image=None):
    return np.asarray(parse_condition(name).apply(image or picture(), seed), np.float32)


@st.composite
def steps(draw):
    name = draw(st.sampled_from(sorted(FAMILIES)))
    family = FAMILIES[name]
    value = draw(st.floats(max(family.low, 0.05), min(family.high, 99.0)).map(lambda v: round(v, 3)))
    if family.whole:
        value = float(int(max(value, 1)) | 1 if family.odd else max(int(value), int(family.low)))
    return Step(name, value)


@given(st.lists(steps(), min_size=1, max_size=3).map(tuple))
@settings(max_examples=50)
def test_a_name_is_the_whole_definition(chain):
    condition = Condition(chain)
    assert parse_condition(condition.name) == condition


@given(steps())
@settings(max_examples=40)
def test_a_step_gives_an_rgb_picture_and_the_same_one_again(step):
    image = picture(24, 30)
    first, second = (Condition((step,)).apply(image, "seed") for _ in range(2))
    assert first.mode == "RGB"
    assert first.size == image.size or step.family.startswith("resize")
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("grid", sorted(GRIDS))
def test_named_grids_begin_clean_and_hold_each_condition_once(grid):
    names = [condition.name for condition in parse_grid(grid)]
    assert names[0] == "clean" and len(set(names)) == len(names) == len(GRIDS[grid]) + 1
    assert tuple(names[1:]) == GRIDS[grid]  # written as the parser would write them


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.identity is not None])
def test_the_identity_of_a_family_changes_nothing(family):
    identity = FAMILIES[family].identity
    np.testing.assert_array_equal(pixels(Step(family, identity).name), np.asarray(picture()))


def test_noise_is_in_grey_levels_and_a_variance_is_not_a_deviation():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    assert pixels("gaussian_noise_std_5_levels", image=grey).std() == pytest.approx(5, rel=0.03)
    assert pixels("gaussian_noise_variance_5_levels2", image=grey).std() == pytest.approx(5**0.5, rel=0.05)


def test_noise_differs_between_pictures_and_conditions_but_not_between_runs():
    name = "gaussian_noise_std_3_levels"
    assert (pixels(name, "a") == pixels(name, "a")).all()
    assert (pixels(name, "a") != pixels(name, "b")).any()
    noise = [pixels(f"gaussian_noise_std_{value}_levels") - np.asarray(picture()) for value in (3.0, 30.0)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


def test_lower_quality_and_wider_blur_change_more():
    clean = np.asarray(picture(), np.float32)
    for names in (
        [f"jpeg_quality_{quality}" for quality in (95, 70, 30)],
        [f"gaussian_blur_sigma_{sigma}_px" for sigma in (0.5, 1, 3)],
        [f"gaussian_blur_kernel_{side}_px" for side in (3, 5, 15)],
    ):
        changes = [np.abs(pixels(name) - clean).mean() for name in names]
        assert 0 < changes[0] < changes[1] < changes[2]


def test_sizes_after_a_resize():
    assert pixels("resize_factor_0.75").shape == (45, 60, 3)
    assert pixels("resize_side_40_px").shape == (30, 40, 3)
    assert pixels("resize_side_400_px").shape == (60, 80, 3)  # never enlarged
    assert pixels("resize_side_40_px+jpeg_quality_80").shape == (30, 40, 3)


def test_a_chain_is_its_steps_in_order():
    first = parse_condition("jpeg_quality_60").apply(picture(), "a")
    np.testing.assert_array_equal(
        pixels("jpeg_quality_60+resize_factor_0.5"), pixels("resize_factor_0.5", "x", image=first)
    )


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=30)
def test_a_map_comes_back_on_the_original_grid(height, width, h, w):
    small = np.random.default_rng(0).random((h, w))
    back = resize_map(small, height, width)
    assert back.shape == (height, width) and back.dtype == np.float32
    assert small.min() - 1e-6 <= back.min() and back.max() <= small.max() + 1e-6
    if (h, w) == (height, width):
        np.testing.assert_array_equal(back, small.astype(np.float32))


def test_a_half_marked_map_stays_half_marked():
    half = np.zeros((10, 20))
    half[:, 10:] = 1
    back = resize_map(half, 40, 80)
    assert back[:, :36].max() == 0 and back[:, 44:].min() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur_3", "no robustness grid or condition 'blur_3': grids are jpeg"),
        ("gaussian_noise_std_5", "gaussian_noise_std_N_levels"),
        ("jpeg_quality_0", "takes a whole number from 1 to 100"),
        ("jpeg_quality_50.5", "takes a whole number"),
        ("gaussian_blur_kernel_4_px", "takes an odd number; choose 5"),
        ("jpeg_quality_90,,clean", "no robustness grid or condition ''"),
    ],
)
def test_a_wrong_name_is_one_line_that_says_what_there_is(text, message):
    with pytest.raises(ValueError) as error:
        parse_grid(text)
    assert message in str(error.value) and "\n" not in str(error.value)
