"""Self-blended faces: the twin differs by the blending alone, inside the mask, the same on every machine."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Subset

from ifl_hub.data import Face, SelfBlendedFaces
from ifl_hub.data.self_blended import BLENDING_RATIOS, self_blend
from tiny_photos import texture

seeds = st.integers(0, 2**32 - 1)
LANDMARKS = tuple((70 + 40 * np.cos(angle), 60 + 45 * np.sin(angle)) for angle in np.linspace(0, 6, 12))


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> list[Face]:
    folder = tmp_path_factory.mktemp("faces")
    paths = []
    for number in range(3):
        paths.append(folder / f"face{number}.png")
        Image.fromarray(texture(number, 120, 140)).save(paths[-1])
    return [Face(paths[0]), Face(paths[1], landmarks=LANDMARKS), Face(paths[2], box=(40.0, 10.0, 100.0, 95.0))]


@settings(max_examples=30)
@given(seed=seeds, pair=st.integers(0, 1000), size=st.integers(32, 100))
def test_twins_differ_by_the_blending_alone(faces, seed, pair, size):
    samples = SelfBlendedFaces(faces, size, seed)
    real, fake = samples[2 * pair], samples[2 * pair + 1]
    for sample, label in ((real, 0), (fake, 1)):
        assert sample["image"].shape == (size, size, 3)
        assert sample["image"].dtype == sample["mask"].dtype == np.uint8
        assert sample["mask"].shape == (size, size)
        assert sample["label"] == label
        assert json.loads(json.dumps(sample["record"])) == sample["record"]
        assert set(np.unique(sample["mask"])) <= {0, 1}
    assert real["mask"].max() == 0
    assert fake["mask"].max() == 1
    assert fake["mask"].mean() < 0.95
    common = {"face", "seed", "crop", "flipped", "after"}
    assert {key: real["record"][key] for key in common} == {key: fake["record"][key] for key in common}
    assert not np.array_equal(real["image"], fake["image"])


@settings(max_examples=40)
@given(seed=seeds, height=st.integers(48, 100), width=st.integers(48, 100))
def test_what_lies_outside_the_mask_is_the_target(seed, height, width):
    image = texture(seed % 5, height, width)
    face = np.zeros((height, width), np.float32)
    face[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    blended, mask, record = self_blend(np.random.default_rng(seed), image, face)
    assert record["ratio"] in BLENDING_RATIOS
    assert blended.shape == image.shape
    if record["altered"] == "source":
        changed = (blended != image).any(axis=2)
        reach = 2 + height // 16 + width // 16 + round(0.08 * max(height, width))
        rows, columns = np.argwhere(mask).min(axis=0), np.argwhere(mask).max(axis=0)
        touched = np.argwhere(changed)
        assert (touched >= rows - reach).all()
        assert (touched <= columns + reach).all()
    else:
        kept = mask.astype(bool) & (record["ratio"] == 1)
        assert not np.array_equal(blended[~kept.astype(bool)], image[~kept.astype(bool)])


def test_the_mask_goes_where_the_face_goes():
    """Without bend and smoothing to speak of, a face drawn into the picture lies where the mask says after blending."""
    face = np.zeros((200, 200), np.float32)
    face[60:140, 70:130] = 1
    image = np.repeat(np.uint8(face * 200)[..., None], 3, axis=2)
    for seed in range(30):
        _, mask, record = self_blend(np.random.default_rng(seed), image, face)
        place = record["placement"]
        expected = np.array([99.5 + place["dy"], 99.5 + place["dx"]])
        assert np.abs(np.argwhere(mask).mean(axis=0) - expected).max() < 9  # the bend moves up to 4 % of the side


def test_samples_are_the_same_in_any_number_of_workers(faces):
    samples = Subset(SelfBlendedFaces(faces, 48, seed=5), range(16))
    runs = [list(DataLoader(samples, batch_size=None, num_workers=workers)) for workers in (0, 1, 2)]
    for run in runs[1:]:
        for one, other in zip(runs[0], run, strict=True):
            assert all(np.array_equal(one[key], other[key]) for key in ("image", "mask"))
            assert one["record"] == other["record"]


def test_landmarks_and_boxes_say_where_the_face_is(faces):
    samples = SelfBlendedFaces(faces[1:], 64, seed=1)
    for index in range(1, 40, 2):
        record, mask = samples[index]["record"], samples[index]["mask"]
        side = record["crop"][2]
        assert side == record["crop"][3] <= 120
        assert side >= 85
        assert 0.1 < mask.mean() < 0.9


def test_errors_say_the_fix(faces, tmp_path):
    with pytest.raises(ValueError, match="landmarks enclose no area"):
        Face(Path("a.png"), landmarks=((1, 1), (2, 1), (5, 1)))
    with pytest.raises(ValueError, match="landmarks enclose no area"):
        Face(Path("a.png"), landmarks=())
    with pytest.raises(ValueError, match="encloses no area"):
        Face(Path("a.png"), box=(5, 5, 5, 9))
    with pytest.raises(ValueError, match="at least one face"):
        SelfBlendedFaces([])
    with pytest.raises(ValueError, match="at least 32"):
        SelfBlendedFaces(faces, 31)
    with pytest.raises(ValueError, match="negative"):
        SelfBlendedFaces(faces, seed=-1)
    with pytest.raises(IndexError, match="not in 0"):
        SelfBlendedFaces(faces, length=4)[4]
    with pytest.raises(RuntimeError, match="too small or thin"):
        self_blend(np.random.default_rng(0), texture(0, 40, 40), np.zeros((40, 40), np.float32))
