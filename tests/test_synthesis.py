"""The forgery synthesizer: masks that are exactly right, samples that repeat, no shortcut to the label."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torch.utils.data import DataLoader, Subset

from ifl_hub.data import DEFAULT_MIXTURE, ForgerySynthesizer, PhotoPool, hosts, synthesis
from ifl_hub.data.histories import (
    KERNELS,
    apply_steps,
    plan_colour_match,
    plan_final,
    plan_history,
    plan_jpeg,
    plan_sharing,
    resize,
)
from ifl_hub.data.hosts import draw_host, object_in_view
from ifl_hub.data.manipulations import MANIPULATIONS
from ifl_hub.data.patches import Patch, blend_seamlessly, draw_places, transform
from ifl_hub.data.regions import draw_region
from ifl_hub.data.synthesis import MAX_FORGED, MIN_FORGED
from tiny_photos import texture, write_pool

FORGERIES = sorted(MANIPULATIONS)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> PhotoPool:
    return write_pool(tmp_path_factory.mktemp("pool"))


def _same(one: dict, other: dict) -> bool:
    pictures = all(np.array_equal(one[key], other[key]) for key in ("image", "mask"))
    return pictures and one["label"] == other["label"] and one["record"] == other["record"]


# Samples


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    index=st.integers(0, 999_999),
    size=st.tuples(st.integers(32, 120), st.integers(32, 120)),
    kind=st.sampled_from([*FORGERIES, "authentic"]),
)
def test_a_sample_is_complete_and_its_mask_plausible(pool, seed, index, size, kind):
    sample = ForgerySynthesizer(pool, size, seed, {kind: 1.0})[index]
    assert sample["image"].shape == (*size, 3)
    assert sample["mask"].shape == size
    assert sample["image"].dtype == sample["mask"].dtype == np.uint8
    assert sample["label"] == int(kind != "authentic")
    assert set(np.unique(sample["mask"])) <= {0, 1}
    if kind == "authentic":
        assert sample["mask"].max() == 0
    else:
        assert MIN_FORGED <= sample["mask"].mean() <= MAX_FORGED
    assert json.loads(json.dumps(sample["record"])) == sample["record"]
    assert (sample["record"]["kind"], sample["record"]["seed"], sample["record"]["index"]) == (kind, seed, index)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, index=st.integers(0, 999_999))
def test_a_sample_depends_on_seed_and_index_only(pool, seed, index):
    one, other = ForgerySynthesizer(pool, 48, seed), pickle.loads(pickle.dumps(ForgerySynthesizer(pool, 48, seed)))
    _ = other[(index + 1) % 1000]
    assert _same(one[index], other[index])
    for neighbour in ((seed + 1, index), (seed, index + 1), (seed + 1, index - 1)):
        if 0 <= neighbour[1] < len(one):
            sample = ForgerySynthesizer(pool, 48, neighbour[0])[neighbour[1]]
            assert not np.array_equal(one[index]["image"], sample["image"])


def test_samples_are_the_same_in_any_number_of_workers(pool):
    samples = Subset(ForgerySynthesizer(pool, 64, seed=5), range(24))
    runs = [list(DataLoader(samples, batch_size=None, num_workers=workers)) for workers in (0, 1, 2)]
    for run in runs[1:]:
        assert all(_same(one, other) for one, other in zip(runs[0], run, strict=True))


def test_the_mixture_is_respected(pool):
    counts = Counter(ForgerySynthesizer(pool, 32, seed=1)[index]["record"]["kind"] for index in range(400))
    for kind, share in DEFAULT_MIXTURE.items():
        assert abs(counts[kind] / 400 - share) < 4 * (share * (1 - share) / 400) ** 0.5
    halves = ForgerySynthesizer(pool, 32, seed=1, mixture={"removal": 3, "authentic": 3})
    counts = Counter(halves[index]["record"]["kind"] for index in range(60))
    assert set(counts) == {"removal", "authentic"}
    assert 15 < counts["removal"] < 45


def test_no_forgery_is_hidden_or_covers_nearly_everything(pool):
    """Replacing all around a small object would cover more than a mask may: such attempts are made again."""
    samples = [ForgerySynthesizer(pool, 32, mixture={"splicing": 1})[index] for index in range(300)]
    assert all(MIN_FORGED <= sample["mask"].mean() <= MAX_FORGED for sample in samples)
    assert any(sample["record"]["attempt"] > 0 for sample in samples)


def test_an_edit_that_alters_nothing_is_not_called_a_forgery(tmp_path):
    Image.new("RGB", (64, 64), (255, 255, 255)).save(tmp_path / "white.png")
    white = ForgerySynthesizer(PhotoPool([tmp_path / "white.png"]), 64, mixture={"retouch": 1})
    for index in range(60):
        record = white[index]["record"]
        if "noise" not in {step["op"] for step in record["host"]["history"]}:
            assert record["edit"]["step"]["op"] in ("noise", "gain", "jpeg")


# No shortcut from the picture as a whole to the label


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_hosts_do_not_depend_on_what_will_be_done_to_them(pool, seed):
    synthesizer = ForgerySynthesizer(pool, 64)
    drawn = [synthesizer._compose(np.random.default_rng(seed), kind)[0] for kind in (*FORGERIES, "authentic")]
    assert all(host.record == drawn[0].record for host in drawn)
    assert all(np.array_equal(host.image, drawn[0].image) for host in drawn)


def test_forged_and_authentic_pictures_end_alike(pool):
    """The last steps' frequencies differ by less than chance allows (5 standard deviations of 500 draws each)."""
    synthesizer = ForgerySynthesizer(pool, 32)
    shares = {}
    for kind in ("authentic", "copy_move"):
        plans = [synthesizer._compose(np.random.default_rng([7, i]), kind)[2]["steps"] for i in range(500)]
        shares[kind] = Counter(step["op"] for plan in plans for step in {step["op"]: step for step in plan}.values())
    for operation in ("jpeg", "noise", "tone", "sharpen"):
        assert abs(shares["authentic"][operation] - shares["copy_move"][operation]) < 5 * (2 * 500 * 0.25) ** 0.5
    assert 0.65 < shares["authentic"]["jpeg"] / 500 < 0.85


# Masks


@settings(max_examples=120, deadline=None)
@given(seed=seeds, kind=st.sampled_from(FORGERIES))
def test_pixels_outside_the_edit_are_the_hosts_own(pool, seed, kind):
    host, edit, _ = ForgerySynthesizer(pool, 80)._compose(np.random.default_rng(seed), kind)
    if edit is None:
        return
    assert edit.image.shape == host.image.shape
    assert edit.alpha.shape == host.image.shape[:2]
    assert edit.alpha.min() >= 0
    assert edit.alpha.max() <= 1
    assert np.array_equal(edit.image[edit.alpha == 0], host.image[edit.alpha == 0])


@settings(max_examples=40, deadline=None)
@given(seed=seeds, kind=st.sampled_from(FORGERIES))
def test_what_the_mask_claims_has_changed_and_little_else(pool, seed, kind):
    synthesizer = ForgerySynthesizer(pool, 96, mixture={kind: 1.0}, seed=seed)
    sample = synthesizer[0]
    rng = np.random.default_rng([seed, 0])
    rng.choice(1, p=[1.0])
    for _ in range(sample["record"]["attempt"] + 1):
        host, edit, after = synthesizer._compose(rng, kind)
    forged, mask = synthesizer._finish(edit.image, edit.alpha, after)
    assert np.array_equal(forged, sample["image"])
    assert np.array_equal(mask, sample["mask"])
    forged, mask = synthesizer._finish(edit.image, edit.alpha, {**after, "saved": [], "steps": []})
    pristine, _ = synthesizer._finish(host.image, edit.alpha, {**after, "saved": [], "steps": []})
    changed = (forged != pristine).any(axis=2)
    assert changed[mask == 1].mean() > 0.45
    reach = 11  # pixels: the widest feather and the widest resampling kernel
    near = Image.fromarray(mask * 255).filter(ImageFilter.MaxFilter(2 * reach + 1))
    assert not changed[np.asarray(near) == 0].any()


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds,
    scale=st.sampled_from([1.0]) | st.floats(0.4, 1.6),
    angle=st.sampled_from([0.0, 90.0, 180.0]) | st.floats(-40, 40),
    mirrored=st.booleans(),
    height=st.integers(24, 70),
    width=st.integers(24, 70),
)
def test_patch_and_alpha_are_transformed_alike(seed, scale, angle, mirrored, height, width):
    """A patch that shows its own alpha must still show it afterwards, within a grey level of rounding."""
    alpha = np.pad(draw_region(np.random.default_rng(seed), height, width)[0], 8)
    shown = Patch(np.repeat(np.uint8(255 * alpha)[..., None], 3, axis=2), alpha)
    moved = transform(shown, scale, angle, mirrored, "linear")
    assert moved.image.shape[:2] == moved.alpha.shape
    assert np.abs(moved.image[..., 0] - 255 * moved.alpha).max() <= 1.5
    assert moved.alpha.sum() == pytest.approx(alpha.sum() * scale**2, rel=0.15)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, height=st.integers(30, 90), width=st.integers(30, 90), kernel=st.sampled_from(KERNELS))
def test_the_mask_follows_a_resize_of_the_whole_picture(pool, seed, height, width, kernel):
    synthesizer = ForgerySynthesizer(pool, (64, 50))
    alpha = np.zeros((height, width), np.float32)
    alpha[8:-8, 8:-8] = draw_region(np.random.default_rng(seed), height - 16, width - 16)[0]
    shown = np.repeat(np.uint8(255 * alpha)[..., None], 3, axis=2)
    image, mask = synthesizer._finish(shown, alpha, {"saved": [], "resize": kernel, "steps": []})
    centre_image, centre_mask = (_centre(picture) for picture in (image[..., 0] > 127, mask > 0))
    assert np.abs(centre_image - centre_mask).max() < 0.6
    if kernel == "linear":
        clear = np.abs(image[..., 0].astype(int) - 127.5) > 2
        assert np.array_equal((image[..., 0] > 127)[clear], mask[clear] > 0)


def _centre(picture: np.ndarray) -> np.ndarray:
    return np.argwhere(picture).mean(axis=0)


def test_a_copy_shows_its_source(pool):
    checked = 0
    for seed in range(200):
        host = draw_host(np.random.default_rng(seed), pool, 90, 110, None)
        edit = MANIPULATIONS["copy_move"](np.random.default_rng(seed), pool, host)
        if edit is not None:
            _assert_moved(edit.record)
        if edit is None or edit.record["scale"] != 1 or edit.record["angle"] or edit.record["mirrored"]:
            continue
        if edit.record["recolour"] or edit.record["seamless"] or len(edit.record["places"]) > 1:
            continue
        margin = 7
        source = np.subtract(edit.record["source"][:2], margin)
        shift = np.subtract(edit.record["places"][0], source)
        targets = np.argwhere(edit.alpha == 1)
        origins = targets - shift
        inside = ((origins >= 0) & (origins < edit.alpha.shape)).all(axis=1)
        targets, origins = targets[inside], origins[inside]
        assert np.array_equal(edit.image[tuple(targets.T)], host.image[tuple(origins.T)])
        checked += len(targets) > 0
    assert checked > 30


def _assert_moved(record: dict) -> None:
    top, left, height, width = record["source"]
    if record["scale"] == 1 and record["angle"] == 0:
        for place in record["places"]:
            assert abs(place[0] + 7 - top) > height / 2 or abs(place[1] + 7 - left) > width / 2


def test_known_objects_are_found_on_the_canvas(pool):
    seen = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        host = draw_host(rng, pool, 96, 80, None)
        alpha = object_in_view(rng, pool, host)
        if alpha is None or any(step["op"] == "lab" for step in host.record["history"]):  # made duller, not as red
            continue
        seen += 1
        red = host.image[..., 0].astype(int) - host.image[..., 1:].max(axis=2) > 60
        assert red[alpha > 0.95].mean() > 0.9
        assert red[alpha < 0.05].mean() < 0.03
    assert seen > 40


def test_crops_drawn_around_a_known_object_show_all_of_it(pool, monkeypatch):
    monkeypatch.setattr(hosts, "_SHOWS_OBJECT", 1.0)
    for seed in range(60):
        host = draw_host(np.random.default_rng(seed), pool, 60, 60, None)
        top, left, height, width = host.crop
        row, column = pool.cutout(host.photo).box
        assert top <= row <= top + height - 41
        assert left <= column <= left + width - 41
        assert 0.3 * height * width >= 41 * 41


def test_most_copies_have_the_outline_of_a_real_object(pool):
    samples = [ForgerySynthesizer(pool, 64, mixture={"copy_move": 1})[index] for index in range(100)]
    real = sum(sample["record"]["edit"]["region"] in ("object", "object in view") for sample in samples)
    assert real > 60


# Blending


@settings(max_examples=60)
@given(
    seed=seeds,
    height=st.integers(16, 40),
    width=st.integers(16, 40),
    top=st.integers(-8, 40),
    left=st.integers(-8, 50),
    shift=st.integers(-30, 30),
)
def test_poisson_editing_removes_a_shift_of_colour_and_moves_nothing(seed, height, width, top, left, shift):
    """A part that shows what is there anyway, but brighter, vanishes; were it a pixel off, its texture would show."""
    host = texture(seed % 7, 60, 70) // 2 + 60
    rows, columns = (
        np.clip(at + np.arange(side), 0, room - 1) for at, side, room in ((top, height, 60), (left, width, 70))
    )
    there = host[rows][:, columns]
    alpha = np.zeros((height, width), np.float32)
    alpha[2:-2, 2:-2] = draw_region(np.random.default_rng(seed), height - 4, width - 4)[0]
    blended = blend_seamlessly(host, Patch(np.uint8(there.astype(int) + shift), alpha), top, left)
    assert np.array_equal(blended.alpha, alpha)
    seen = (top + np.arange(height) >= 0)[:, None] & (top + np.arange(height) < 60)[:, None]
    seen = seen & (left + np.arange(width) >= 0) & (left + np.arange(width) < 70) & (alpha > 0.5)
    extent = [np.ptp(np.flatnonzero(seen.any(axis=axis))) + 1 if seen.any() else 0 for axis in (0, 1)]
    if min(extent) >= 8:
        assert np.abs(blended.image[seen].astype(int) - there[seen]).max() <= 3
    else:
        assert np.array_equal(blended.image, np.uint8(there.astype(int) + shift))


@settings(max_examples=40)
@given(seed=seeds, side=st.sampled_from(["top", "bottom", "left", "right"]))
def test_what_a_border_cut_off_is_pasted_at_that_border_as_a_rule(seed, side):
    turns = {"top": 0, "left": 1, "bottom": 2, "right": 3}[side]
    half_disc = np.argwhere(np.ones((12, 24)))[..., :].reshape(12, 24, 2)
    half_disc = (half_disc[..., 0] ** 2 + (half_disc[..., 1] - 11.5) ** 2 <= 12**2).astype(np.float32)
    alpha = np.pad(np.rot90(half_disc, turns), 7)
    places = draw_places(np.random.default_rng(seed), alpha, (80, 90), 6)
    expected = {"top": -7, "left": -7, "bottom": 80 - alpha.shape[0] + 7, "right": 90 - alpha.shape[1] + 7}[side]
    at_border = [place[0 if side in ("top", "bottom") else 1] == expected for place in places]
    assert all(at_border) or sum(at_border) <= 3
    share = np.mean([_at_border(half_disc, index) for index in range(40)])
    assert share > 0.5


def _at_border(shape: np.ndarray, seed: int) -> bool:
    return draw_places(np.random.default_rng(seed), np.pad(shape, 7), (80, 90), 1)[0][0] == -7


# Histories


@settings(max_examples=30)
@given(
    seed=seeds,
    size=st.tuples(st.integers(2, 30), st.integers(2, 30)),
    pattern=st.sampled_from(["RGGB", "GRBG", "GBRG", "BGGR"]),
    method=st.sampled_from(["bilinear", "edge-aware"]),
)
def test_a_mosaic_keeps_what_the_sensor_saw_and_nothing_else(seed, size, pattern, method):
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    step = {"op": "demosaic", "pattern": pattern, "method": method}
    after = apply_steps(image, [step])
    unseen = image.copy()
    for position, colour in enumerate(pattern):
        cell = np.s_[position // 2 :: 2, position % 2 :: 2]
        channel = "RGB".index(colour)
        assert np.array_equal(after[cell][..., channel], image[cell][..., channel])
        for other in {0, 1, 2} - {channel}:
            unseen[cell][..., other] = 77
    assert np.array_equal(apply_steps(unseen, [step]), after)


@settings(max_examples=30)
@given(seed=seeds)
def test_matched_colours_come_closer_to_the_target(seed):
    rng = np.random.default_rng(seed)
    part, target = (
        np.uint8(rng.normal(rng.uniform(70, 180, 3), rng.uniform(5, 20), (500, 3)).clip(0, 255)) for _ in "ab"
    )
    matched = apply_steps(part[None], [plan_colour_match(rng, part, target)])[0]
    before, after = (np.abs(pixels.mean(axis=0) - target.mean(axis=0)).sum() for pixels in (part, matched))
    assert after <= 0.75 * before + 8


def test_shared_pictures_are_shrunk_and_compressed_last(pool):
    synthesizer = ForgerySynthesizer(pool, 48)
    shared = 0
    for seed in range(300):
        host, _, after = synthesizer._compose(np.random.default_rng(seed), "authentic")
        if after["saved"]:
            shared += 1
            assert host.image.shape[0] > 48
            assert after["steps"][-1]["op"] == "jpeg"
            assert 70 <= after["steps"][-1]["quality"] <= 90
    assert 5 <= shared <= 40
    saved, steps = plan_sharing(np.random.default_rng(1))
    image = texture(0, 40, 50)
    assert apply_steps(image, saved + steps).shape == image.shape


@settings(max_examples=60, deadline=None)
@given(seed=seeds, height=st.integers(1, 40), width=st.integers(1, 40))
def test_a_history_keeps_size_and_type_and_survives_json(seed, height, width):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    steps = plan_history(rng) + plan_final(rng, (3, 5))
    after = apply_steps(image, steps)
    assert after.shape == image.shape
    assert after.dtype == np.uint8
    assert np.array_equal(after, apply_steps(image, json.loads(json.dumps(steps))))


@pytest.mark.parametrize("grid", [(0, 0), (3, 5), (7, 1)])
def test_the_jpeg_grid_lies_where_the_plan_says(grid):
    rng = np.random.default_rng(0)
    image = resize(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), 128, 128, "cubic")
    step = plan_jpeg(rng, 5, 5, grid) | {"sampling": "4:4:4"}
    grey = apply_steps(image, [step]).mean(axis=2)
    for axis in (0, 1):
        jumps = np.abs(np.diff(grey, 2, axis=axis)).mean(axis=1 - axis)  # second differences straddle rows 1..126
        borders = [jumps[offset::8].mean() for offset in range(8)]
        assert int(np.argmax(borders)) in ((-grid[axis] - 1) % 8, (-grid[axis] - 2) % 8)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, height=st.integers(3, 60), width=st.integers(3, 60))
def test_regions_fill_their_box(pool, seed, height, width):
    alpha, _ = draw_region(np.random.default_rng(seed), height, width, pool)
    assert alpha.shape == (height, width)
    assert alpha.min() >= 0
    assert 0.5 < alpha.max() <= 1


# Errors


def test_photos_smaller_than_the_sample_are_enlarged(tmp_path):
    sample = ForgerySynthesizer(write_pool(tmp_path), (200, 260), mixture={"authentic": 1})[0]
    assert sample["image"].shape == (200, 260, 3)
    assert sample["record"]["host"]["kernel"] in KERNELS


def test_errors_say_the_fix(pool, tmp_path):
    with pytest.raises(ValueError, match="unknown kinds in the mixture: splice; there are: splicing"):
        ForgerySynthesizer(pool, mixture={"splice": 1})
    for mixture in ({}, {"splicing": 0}, {"splicing": 1, "removal": -1}):
        with pytest.raises(ValueError, match="positive sum"):
            ForgerySynthesizer(pool, mixture=mixture)
    with pytest.raises(ValueError, match="at least 32 pixels"):
        ForgerySynthesizer(pool, (64, 31))
    with pytest.raises(ValueError, match="seed must not be negative"):
        ForgerySynthesizer(pool, seed=-1)
    for index in (-1, 10):
        with pytest.raises(IndexError, match=r"not in 0\.\.9"):
            ForgerySynthesizer(pool, length=10)[index]
    assert len(ForgerySynthesizer(pool, length=10)) == 10


def test_a_pool_that_cannot_yield_a_forgery_says_so(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(synthesis, "_ATTEMPTS", 1)
    Image.new("RGB", (64, 64), (255, 255, 255)).save(tmp_path / "white.png")
    flat = ForgerySynthesizer(PhotoPool([tmp_path / "white.png"]), 64, mixture={"removal": 1})
    with pytest.raises(RuntimeError, match="no removal sample with a visible change"):
        for index in range(20):
            flat[index]
