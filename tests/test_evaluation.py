"""Baselines and comparisons: known answers, and the properties an interval must have."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifl_hub.evaluation import error_level_analysis, mean_of, paired_bootstrap, read_labelled_images, score_images
from ifl_hub.evaluation.baselines import _box_mean


def photo(side: int = 96, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).normal(128, 40, (side, side, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(noise)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def test_error_level_analysis_lights_up_a_fresh_patch_in_a_compressed_photo():
    compressed = np.array(jpeg(photo(), 90))
    compressed[32:64, 32:64] = np.array(photo(seed=1))[32:64, 32:64]
    levels = error_level_analysis(Image.fromarray(compressed))
    outside = np.ones(levels.shape, bool)
    outside[24:72, 24:72] = False
    assert levels[40:56, 40:56].mean() > 2 * levels[outside].mean()


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["RGB", "L", "RGBA", "P"]))
@settings(max_examples=25, deadline=None)
def test_error_level_analysis_keeps_the_size_and_stays_in_range(width, height, mode):
    levels = error_level_analysis(photo(40).crop((0, 0, width, height)).convert(mode))
    assert levels.shape == (height, width) and levels.dtype == np.float32
    assert levels.min() >= 0 and levels.max() <= 1


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3, 9]))
@settings(deadline=None)
def test_box_mean_equals_the_naive_window_mean(height, width, window):
    values = np.random.default_rng(height * 100 + width).random((height, width), np.float32)
    mode = "reflect" if min(values.shape) > window else "edge"
    padded = np.pad(values, window // 2, mode=mode)
    expected = [[padded[y : y + window, x : x + window].mean() for x in range(width)] for y in range(height)]
    np.testing.assert_allclose(_box_mean(values, window), expected, atol=1e-5)


def test_bootstrap_finds_a_clear_difference_and_not_a_missing_one():
    rng = np.random.default_rng(0)
    theirs = rng.random(200)
    better = paired_bootstrap(theirs + 0.1 + rng.normal(0, 0.05, 200), theirs)
    equal = paired_bootstrap(theirs + rng.normal(0, 0.05, 200), theirs)
    assert better.low > 0.08 and better.high < 0.12
    assert equal.low < 0 < equal.high


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        interval = paired_bootstrap(rng.normal(0.3, 1, 60), np.zeros(60), draws=1000, seed=seed)
        hits += interval.low <= 0.3 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


@pytest.mark.parametrize("pair", [([], []), ([1.0], [1.0, 2.0])])
def test_bootstrap_refuses_unpaired_values(pair):
    with pytest.raises(ValueError, match="paired values"):
        paired_bootstrap(*pair)


def forged_folder(folder):
    """Three images with a known map each: found, missed, authentic."""
    (folder / "image").mkdir(parents=True)
    (folder / "mask").mkdir()
    rows = []
    for name, label in (("found", "forged"), ("missed", "forged"), ("clean", "authentic")):
        Image.new("RGB", (20, 10), "grey").save(folder / "image" / f"{name}.png")
        mask = np.zeros((10, 20), np.uint8)
        mask[:5] = 255
        Image.fromarray(mask).save(folder / "mask" / f"{name}.png")
        rows.append(
            {
                "file_name": f"image/{name}.png",
                "mask_file_name": f"mask/{name}.png",
                "label": label,
                "forgery_type": "splicing",
                "split": "test" if name != "missed" else "train",
            }
        )
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def test_scores_of_a_folder_are_per_image_and_authentic_images_only_count_false_alarms(tmp_path):
    half = np.zeros((10, 20))
    half[:5] = 0.9
    maps = iter([half, 1 - half, half])
    rows = score_images(read_labelled_images(forged_folder(tmp_path)), lambda image: next(maps))
    assert [row.pixel_f1 for row in rows] == [1.0, 0.0, None]
    assert [row.pixel_auc for row in rows] == [1.0, 0.0, None]
    assert [row.flagged_area for row in rows] == [0.5, 0.5, 0.5]
    assert [row.forgery_type for row in rows] == ["splicing", "splicing", "none"]
    assert mean_of(rows, "pixel_f1") == 0.5 and mean_of(rows[2:], "pixel_f1") is None


def test_a_split_is_selected_and_an_unknown_one_is_an_error(tmp_path):
    folder = forged_folder(tmp_path)
    assert [item.image.stem for item in read_labelled_images(folder, "test")] == ["found", "clean"]
    with pytest.raises(ValueError, match="no row of split 'valid'"):
        read_labelled_images(folder, "valid")
    with pytest.raises(ValueError, match=r"metadata\.jsonl"):
        read_labelled_images(tmp_path / "image")


def test_a_map_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="original pixel grid"):
        score_images(read_labelled_images(forged_folder(tmp_path)), lambda image: np.zeros((5, 5)))


def test_a_mask_of_zeros_and_ones_counts_as_one_of_black_and_white(tmp_path):
    folder = forged_folder(tmp_path)
    mask = folder / "mask" / "found.png"
    Image.fromarray(np.asarray(Image.open(mask)) // 255).save(mask)
    half = np.zeros((10, 20))
    half[:5] = 0.9
    assert score_images(read_labelled_images(folder)[:1], lambda image: half)[0].pixel_f1 == 1.0
