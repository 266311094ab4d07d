"""What an evaluation keeps: maps without loss of order, records with reasons, and runs that go on."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from ifl_hub.evaluation import (
    EvaluationError,
    NamedLocalizer,
    Prediction,
    baseline_localizer,
    parse_condition,
    read_labelled_images,
)
from ifl_hub.evaluation.labelled_images import jpeg_quality, jpeg_quality_bucket, mask_size
from ifl_hub.evaluation.predicting import predict_missing
from ifl_hub.evaluation.store import EvaluationFolder, common_images
from ifl_hub.evaluation.stored_maps import BadMapError, decode_map, encode_map, load_map, save_map
from ifl_hub.metrics import pixel_auc
from labelled_folder import read_rows, write_folder, write_rows

CLEAN = parse_condition("clean")


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(0, 1, width=32)))
@settings(max_examples=50)
def test_a_stored_map_keeps_its_order_its_side_of_one_half_and_its_value(heatmap):
    back = decode_map(encode_map(heatmap))
    assert back.dtype == np.float32 and back.shape == heatmap.shape
    np.testing.assert_allclose(back, heatmap, atol=2.6e-4)
    np.testing.assert_array_equal(back > 0.5, heatmap > 0.5)
    np.testing.assert_array_equal(back < 0.5, heatmap < 0.5)
    order = np.argsort(heatmap, axis=None)
    assert (np.diff(back.ravel()[order]) >= 0).all()


def test_a_very_sure_map_keeps_its_ranking(tmp_path):
    rng = np.random.default_rng(0)
    mask = rng.random((40, 50)) < 0.2
    logits = rng.normal(-14, 1, mask.shape) + mask  # in even steps of probability nearly all of it would be 0
    heatmap = (1 / (1 + np.exp(-logits))).astype(np.float32)
    save_map(tmp_path / "x.png", heatmap)
    assert pixel_auc(load_map(tmp_path / "x.png"), mask) == pytest.approx(pixel_auc(heatmap, mask), abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.1, np.inf])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(BadMapError):
        encode_map(np.array([[0.5, value]]))


@pytest.mark.parametrize("quality", [5, 50, 75, 92, 100])
def test_the_quality_of_a_jpeg_is_read_back(tmp_path, quality):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "x.jpg", quality=quality)
    assert jpeg_quality(tmp_path / "x.jpg") == quality


def test_other_formats_have_no_quality_and_buckets_cover_everything(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    assert jpeg_quality(tmp_path / "x.png") is None
    assert len({jpeg_quality_bucket(quality) for quality in range(1, 101)}) == 5
    sizes = []
    for forged in range(101):
        labels = np.zeros(100, np.uint8)
        labels[:forged] = 1
        sizes.append(mask_size(labels))
    assert list(dict.fromkeys(sizes)) == ["none", "below 1 %", "1 to 5 %", "5 to 15 %", "15 to 30 %", "above 30 %"]


def prepare(out, data):
    return EvaluationFolder.prepare(out, read_labelled_images(data), data.name, None, lambda: None)


def test_records_say_what_an_image_is(tmp_path):
    folder = prepare(tmp_path / "out", write_folder(tmp_path / "data"))
    first, *_, last = folder.records
    assert (first.label, first.forgery_type, first.mask_size, first.jpeg_quality) == (
        *("forged", "splicing", "1 to 5 %", "70 to 79"),
    )
    assert (last.label, last.forgery_type, last.mask_size) == ("authentic", "none", "none")
    assert (last.height, last.width) == (60, 80)
    assert np.isin(folder.labels(first), (0, 1)).all() and folder.labels(first).sum() == 8 * 30
    assert folder.labels(last).sum() == 0


def spoil(data):
    """One image for each reason to leave it out, and one that is sound."""
    rows = read_rows(data)
    (data / "image" / "0.jpg").write_bytes(b"no picture")
    Image.new("L", (80, 60)).save(data / "mask" / "1.png")
    Image.new("L", (8, 6), 255).save(data / "mask" / "2.png")
    rows[3]["mask_file_name"] = ""
    (data / "mask" / "4.png").unlink()
    write_rows(data, rows)
    return data


def test_what_cannot_be_scored_is_left_out_with_its_reason(tmp_path):
    folder = prepare(tmp_path / "out", spoil(write_folder(tmp_path / "data", forged=6, authentic=0)))
    reasons = [record.skipped for record in folder.records]
    assert [bool(reason) for reason in reasons] == [True, True, True, True, True, False]
    parts = ["not a picture", "mask is empty", "mask is 8x6, the upright image 80x60", "has no mask", "is missing"]
    for reason, part in zip(reasons, parts, strict=False):
        assert part in reason and str(tmp_path) not in reason
    assert [record.name for record in folder.usable()] == ["image/5.jpg"]


def test_ignored_pixels_stay_ignored(tmp_path):
    data = write_folder(tmp_path / "data", forged=1, authentic=0)
    mask = np.zeros((60, 80), np.uint8)
    mask[:20], mask[20:30] = 1, 255
    Image.fromarray(mask).save(data / "mask" / "0.png")
    folder = prepare(tmp_path / "out", data)
    np.testing.assert_array_equal(folder.labels(folder.records[0]), mask)
    assert folder.records[0].mask_size == "above 30 %"  # 20 of 50 rows


def test_the_fingerprint_is_that_of_pictures_and_truth_and_not_of_their_order(tmp_path):
    data = write_folder(tmp_path / "data")
    first = prepare(tmp_path / "first", data).fingerprint
    write_rows(data, read_rows(data)[::-1])
    assert prepare(tmp_path / "second", data).fingerprint == first
    Image.new("L", (80, 60), 255).save(data / "mask" / "0.png")
    assert prepare(tmp_path / "third", data).fingerprint != first


def test_a_folder_of_other_images_is_not_touched(tmp_path):
    out = tmp_path / "out"
    prepare(out, write_folder(tmp_path / "data"))
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    other = write_folder(tmp_path / "other", forged=4, authentic=1)
    with pytest.raises(EvaluationError, match="holds the evaluation of other images; choose another --out"):
        prepare(out, other)
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    assert prepare(out, tmp_path / "data").records


def counting(calls, name="mine", heatmap=None):
    """A localizer that says which pictures it was asked about."""

    def predict(image):
        calls.append(image.size)
        values = np.zeros((image.height, image.width), np.float32) if heatmap is None else heatmap
        return Prediction(values, 0.25)

    return NamedLocalizer(name, {"weights_sha256": None, "preprocessing": None, "ifl_hub": "x"}, lambda: predict)


def predict(folder, data, localizer, condition=CLEAN):
    files = {image.name: image.image for image in read_labelled_images(data)}
    predict_missing(folder, folder.usable(), files, [localizer], [condition], lambda: None)
    return folder.run(localizer, condition)


def test_only_what_is_missing_is_predicted(tmp_path):
    data, calls = write_folder(tmp_path / "data"), []
    folder = prepare(tmp_path / "out", data)
    run = predict(folder, data, counting(calls))
    assert len(calls) == 5
    assert run.find(folder.records[0]).score == 0.25
    predict(prepare(tmp_path / "out", data), data, counting(calls))
    assert len(calls) == 5
    (run.folder / f"{folder.records[4].name}.png").unlink()
    lines = (run.folder / "done.jsonl").read_text().splitlines(keepends=True)
    (run.folder / "done.jsonl").write_text(
        "".join([*lines[:3], lines[4], lines[3][:20]])
    )  # as if the machine went down
    run = predict(prepare(tmp_path / "out", data), data, counting(calls))
    assert len(calls) == 7
    assert all(run.find(record) for record in folder.records)
    assert all(EvaluationFolder(tmp_path / "out").runs()[0].find(record) for record in folder.records)


def test_a_complete_run_loads_no_model(tmp_path):
    data = write_folder(tmp_path / "data")
    folder = prepare(tmp_path / "out", data)
    localizer = counting([])
    predict(folder, data, localizer)

    def refuse():
        raise AssertionError("loaded without need")

    predict(folder, data, NamedLocalizer(localizer.name, localizer.settings, refuse))


def test_other_settings_are_another_run(tmp_path):
    data, calls = write_folder(tmp_path / "data"), []
    folder = prepare(tmp_path / "out", data)
    first = counting(calls)
    other = NamedLocalizer("mine", {**first.settings, "weights_sha256": "ab"}, first.load)
    predict(folder, data, first)
    predict(folder, data, other)
    predict(folder, data, first, parse_condition("jpeg_quality_50"))
    assert len(calls) == 15 and len(folder.runs()) == 3
    assert len({run.identity for run in folder.runs()}) == 2


def test_maps_of_a_resized_picture_lie_on_the_original_grid(tmp_path):
    data, calls = write_folder(tmp_path / "data"), []
    folder = prepare(tmp_path / "out", data)
    run = predict(folder, data, counting(calls), parse_condition("resize_factor_0.5"))
    assert set(calls) == {(40, 30)}
    assert run.heatmap(folder.records[0]).shape == (60, 80)


def test_a_map_that_is_none_leaves_its_image_out_for_all(tmp_path):
    data = write_folder(tmp_path / "data")
    folder = prepare(tmp_path / "out", data)
    bad = predict(folder, data, counting([], "broken", np.full((60, 80), np.nan)))
    good = predict(folder, data, baseline_localizer("ela"))
    kept, left_out = common_images(folder.records, [good, bad])
    assert not kept
    assert left_out[0] == "image/0.jpg: broken: its heat map holds NaN or values outside 0 to 1"
    assert len(common_images(folder.records, [good])[0]) == 5


def test_a_map_of_another_size_is_an_error_not_a_resize(tmp_path):
    data = write_folder(tmp_path / "data")
    with pytest.raises(ValueError, match="answers on the original pixel grid"):
        predict(prepare(tmp_path / "out", data), data, counting([], "small", np.zeros((5, 5))))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 1: is no row"),
        ('{"label": "forged"}', "it lacks 'file_name'"),
        ('{"file_name": "x.png", "label": "real"}', "neither authentic nor forged"),
        ('{"file_name": "../x.png", "label": "forged"}', "lies outside the folder"),
        ("[]", "line 1: is no row"),
    ],
)
def test_a_row_that_is_none_is_one_clear_line(tmp_path, row, message):
    (tmp_path / "metadata.jsonl").write_text(row)
    with pytest.raises(EvaluationError) as error:
        read_labelled_images(tmp_path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_name_twice_is_refused(tmp_path):
    row = json.dumps({"file_name": "x.png", "label": "authentic"})
    (tmp_path / "metadata.jsonl").write_text(f"{row}\n{row}\n")
    with pytest.raises(EvaluationError, match="names a file_name twice"):
        read_labelled_images(tmp_path)


def test_two_pictures_get_different_noise_and_each_the_same_again(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for index, level in enumerate((0, 9)):  # the same pixels in two files
        Image.new("RGB", (40, 30), "grey").save(data / f"{index}.png", compress_level=level)
    write_rows(data, [{"file_name": f"{index}.png", "label": "authentic"} for index in range(2)])
    seen = []

    def predict_one(image):
        seen.append(np.asarray(image))
        return Prediction(np.zeros((30, 40), np.float32), None)

    settings = {"weights_sha256": None, "preprocessing": None, "ifl_hub": "x"}
    for out in ("first", "second"):
        folder = prepare(tmp_path / out, data)
        noise = parse_condition("gaussian_noise_std_5_levels")
        predict(folder, data, NamedLocalizer("mine", settings, lambda: predict_one), noise)
    assert (seen[0] != seen[1]).any()
    assert (seen[0] == seen[2]).all() and (seen[1] == seen[3]).all()
