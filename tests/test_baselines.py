"""Baselines: each finds what it claims to find, and all keep the contract of a localizer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifl_hub.evaluation import BASELINES, find_baseline
from ifl_hub.evaluation.baselines import noise_inconsistency, random_map
from ifl_hub.evaluation.copy_move import copy_move_keypoints
from tiny_photos import texture


def planted(seed=0, angle=0.0, scale=1.0, gain=1.0, side=90):
    """A textured picture with one disc copied elsewhere, and where source and target are."""
    import cv2

    picture = texture(seed, 240, 320)
    source = cv2.circle(np.zeros(picture.shape[:2], np.uint8), (75, 80), side // 2, 1, -1)
    transform = cv2.getRotationMatrix2D((75.0, 80.0), angle, scale)
    transform[:, 2] += (160, 70)
    size = (320, 240)
    moved = cv2.warpAffine(picture, transform, size)
    target = cv2.warpAffine(source, transform, size) > 0
    forged = picture.copy()
    forged[target] = np.clip(moved[target] * gain, 0, 255).astype(np.uint8)
    return forged, picture, (source > 0) | target


def f1(predicted, truth):
    return 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())


@pytest.mark.parametrize(("angle", "scale", "gain"), [(0, 1, 1), (25, 1, 1), (0, 1.2, 1), (-10, 0.9, 1.1)])
def test_copy_move_finds_a_planted_copy_moved_turned_scaled_or_lightened(angle, scale, gain):
    forged, _, truth = planted(angle=angle, scale=scale, gain=gain)
    assert f1(copy_move_keypoints(Image.fromarray(forged)) > 0.5, truth) > 0.75


def test_copy_move_survives_compression(tmp_path):
    forged, _, truth = planted(angle=10)
    Image.fromarray(forged).save(tmp_path / "x.jpg", quality=85)
    assert f1(copy_move_keypoints(Image.open(tmp_path / "x.jpg")) > 0.5, truth) > 0.7


def test_copy_move_finds_nothing_where_nothing_was_copied():
    for seed in range(3):
        assert copy_move_keypoints(Image.fromarray(planted(seed)[1])).max() == 0


def test_copy_move_of_a_large_picture_comes_back_on_its_own_pixels(monkeypatch):
    monkeypatch.setattr("ifl_hub.evaluation.copy_move._MAX_SIDE", 200)
    forged, _, truth = planted(side=100)
    found = copy_move_keypoints(Image.fromarray(forged))
    assert found.shape == truth.shape
    assert f1(found > 0.5, truth) > 0.6


def test_copy_move_finds_a_copy_in_a_photo():
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photo")
    photo = data.astronaut()[:300, :400].copy()
    assert copy_move_keypoints(Image.fromarray(photo)).max() == 0
    photo[200:280, 20:110] = photo[40:120, 180:270]
    truth = np.zeros(photo.shape[:2], bool)
    truth[200:280, 20:110] = truth[40:120, 180:270] = True
    assert f1(copy_move_keypoints(Image.fromarray(photo)) > 0.5, truth) > 0.75


def test_noise_inconsistency_finds_the_noisy_region_and_the_clean_one():
    rng = np.random.default_rng(0)
    region = np.zeros((120, 160), bool)
    region[30:80, 50:110] = True
    for inside, outside in ((9, 2), (1, 6)):
        noise = rng.normal(0, 1, (120, 160, 1)) * np.where(region, inside, outside)[..., None]
        picture = np.clip(128 + noise.repeat(3, 2), 0, 255).astype(np.uint8)
        assert f1(noise_inconsistency(Image.fromarray(picture)) > 0.5, region) > 0.7


@given(
    st.sampled_from(sorted(BASELINES)),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["RGB", "L", "RGBA", "P"]),
    st.sampled_from(["noise", "flat"]),
)
@settings(max_examples=50)
def test_every_baseline_gives_a_finite_map_of_the_pictures_size(name, width, height, mode, content):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels if content == "noise" else np.full_like(pixels, 90)).convert(mode)
    heatmap = find_baseline(f"baseline:{name}")(image)
    assert heatmap.shape == (height, width) and heatmap.dtype == np.float32
    assert heatmap.min() >= 0 and heatmap.max() <= 1
    np.testing.assert_array_equal(heatmap, find_baseline(name)(image))


def test_random_maps_differ_between_pictures_and_not_between_calls():
    first, second = (Image.new("RGB", (20, 10), colour) for colour in ("red", "blue"))
    assert (random_map(first) == random_map(first)).all()
    assert (random_map(first) != random_map(second)).any()
    assert 0.4 < random_map(first).mean() < 0.6


def test_an_unknown_baseline_is_an_error_that_lists_them():
    with pytest.raises(ValueError, match="no baseline 'elaa': choose from all-forged, all-authentic"):
        find_baseline("baseline:elaa")
