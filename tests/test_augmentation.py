"""Augmentation: picture and mask never part, and by default no pixel value changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Subset

from ifl_hub.data import Augmentation, AugmentedSamples
from ifl_hub.data.augmentation import _rescale
from ifl_hub.data.histories import KERNELS

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 60)
crops = st.none() | st.integers(1, 70) | st.tuples(st.integers(1, 70), st.integers(1, 70))
shares = st.sampled_from([0.0, 0.5, 1.0])


def _shown_labels(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose red is its label and whose green and blue tell every pixel from its neighbours."""
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), (height, width), p=[0.7, 0.25, 0.05])
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([labels, rows, columns]).astype(np.uint8), labels


@settings(max_examples=100)
@given(seeds, sides, sides, crops, shares, st.booleans(), st.booleans())
def test_every_pixel_keeps_its_label_and_its_value(seed, height, width, crop, forged_crops, flip, turns):
    image, labels = _shown_labels(seed, height, width)
    before = image.copy(), labels.copy()
    augmentation = Augmentation(crop, forged_crops, flip, turns)
    moved, moved_labels = augmentation(image, labels, np.random.default_rng(seed))
    assert moved.shape[:2] == moved_labels.shape
    assert moved.dtype == moved_labels.dtype == np.uint8
    assert np.array_equal(image, before[0])
    assert np.array_equal(labels, before[1])
    assert not np.shares_memory(moved, image)
    size = (crop, crop) if isinstance(crop, int) else crop
    if size is None:
        assert sorted(moved_labels.shape) == sorted(labels.shape)
    else:
        assert moved_labels.shape == size
    padding = (moved_labels == 255) & (moved == 0).all(axis=2)
    expected = labels[moved[..., 1], moved[..., 2]]
    assert np.array_equal(moved_labels[~padding], expected[~padding])
    assert np.array_equal(moved[~padding][:, 0], moved_labels[~padding])
    if size is not None:
        seen = min(size[0], height) * min(size[1], width)
        assert size[0] * size[1] - seen == (padding & (moved[..., 0] == 0)).sum()
    if forged_crops == 1 and (labels == 1).any():
        assert (moved_labels == 1).any()


@settings(max_examples=50)
@given(seeds, st.integers(20, 60), st.integers(20, 60), st.floats(0.5, 2), st.sampled_from(KERNELS))
def test_rescaling_keeps_the_mask_on_what_it_marks(seed, height, width, factor, kernel):
    labels = np.zeros((height, width), np.uint8)
    rng = np.random.default_rng(seed)
    top, left = int(rng.integers(0, height - 12)), int(rng.integers(0, width - 12))
    labels[top : top + 12, left : left + 12] = 1
    image = np.repeat(labels[..., None] * 255, 3, axis=2)
    moved, moved_labels = _rescale(image, labels, factor, kernel)
    assert moved.shape[:2] == moved_labels.shape == (max(1, round(height * factor)), max(1, round(width * factor)))
    centres = [np.argwhere(picture).mean(axis=0) for picture in (moved[..., 0] > 127, moved_labels == 1)]
    assert np.abs(centres[0] - centres[1]).max() <= 0.6
    assert (moved[..., 0] > 127).sum() == pytest.approx((moved_labels == 1).sum(), rel=0.2, abs=2 * (12 * factor + 12))


@settings(max_examples=25)
@given(seeds, st.integers(16, 60), st.integers(16, 60))
def test_filters_leave_the_mask_alone(seed, height, width):
    image, labels = _shown_labels(seed, height, width)
    plain = Augmentation(16)(image, labels, np.random.default_rng(seed))
    filtered = Augmentation(16, blur=1.0, jpeg=1.0)(image, labels, np.random.default_rng(seed))
    assert np.array_equal(plain[1], filtered[1])
    assert not np.array_equal(plain[0], filtered[0])


def test_crops_prefer_forged_pixels_as_often_as_asked():
    image, labels = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), np.uint8)
    labels[7, 190] = 1
    for share in (0.0, 0.5, 1.0):
        crops = [Augmentation(10, forged_crops=share)(image, labels, np.random.default_rng(i))[1] for i in range(200)]
        assert np.mean([crop.any() for crop in crops]) == pytest.approx(share, abs=0.12)


def test_every_crop_that_holds_a_forged_pixel_can_occur():
    image, labels = np.zeros((6, 6, 3), np.uint8), np.zeros((6, 6), np.uint8)
    labels[1, 4] = 1
    augmentation = Augmentation(3, forged_crops=1.0, flip=False, quarter_turns=False)
    places = {tuple(np.argwhere(augmentation(image, labels, np.random.default_rng(i))[1])[0]) for i in range(300)}
    assert places == {(row, column) for row in (0, 1) for column in (1, 2)}


def test_what_does_not_fit_is_refused():
    image, labels = np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4), np.uint8)
    with pytest.raises(ValueError, match="the picture is 6x4 and its mask 4x6"):
        Augmentation()(image, labels, np.random.default_rng(0))
    with pytest.raises(ValueError, match="jpeg is a share"):
        Augmentation(jpeg=2)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        Augmentation((0, 3))


# Series of samples


def _rows(count: int = 7) -> list[dict]:
    rows = []
    for number in range(count):
        image, labels = _shown_labels(number, 20 + number, 30)
        image[0, 0] = number
        mask = None if number == 0 else Image.fromarray(np.uint8(labels == 1) * 255)
        rows.append({"image": Image.fromarray(image), "mask": mask, "label": "forged" if number else "authentic"})
    return rows


def test_samples_are_the_same_in_any_number_of_workers():
    samples = Subset(AugmentedSamples(_rows(), Augmentation(16, jpeg=0.5, rescale=0.5, blur=0.5), seed=3), range(20))
    runs = [list(DataLoader(samples, batch_size=None, num_workers=workers)) for workers in (0, 1, 2)]
    for run in runs[1:]:
        for one, other in zip(runs[0], run, strict=True):
            assert one["row"] == other["row"]
            assert all(np.array_equal(one[key], other[key]) for key in ("image", "mask"))


def test_every_epoch_shows_each_row_once_in_another_order():
    samples = AugmentedSamples(_rows(), Augmentation(), epochs=3)
    epochs = [[samples[7 * epoch + place]["row"] for place in range(7)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(samples) == 21
    assert samples[0]["row"] == epochs[0][0], "going back is no different"


def test_an_authentic_picture_needs_no_mask_and_a_forged_one_does():
    rows = _rows(1)
    assert AugmentedSamples(rows, Augmentation())[0]["mask"].max() == 0
    with pytest.raises(ValueError, match="row 0 has neither a mask nor the label authentic"):
        AugmentedSamples([{**rows[0], "label": "forged"}], Augmentation())[0]
    with pytest.raises(ValueError, match="no picture to augment"):
        AugmentedSamples([], Augmentation())
    with pytest.raises(ValueError, match="must not be negative"):
        AugmentedSamples(rows, Augmentation(), seed=-1)
    with pytest.raises(IndexError, match="not in 0"):
        AugmentedSamples(rows, Augmentation(), epochs=2)[2]
