import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from transformers import AutoImageProcessor

from ifl_hub import IflImageProcessor, ImageForgeryLocalizationOutput, SumiIflConfig, SumiIflForImageForgeryLocalization
from ifl_hub.image_processing.masks import to_label_map
from ifl_hub.image_processing.scoring import reduce_to_score

FIXED = {"do_resize": True, "size": {"height": 24, "width": 40}}


def rgb(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(height, width):
    rows, columns = np.mgrid[:height, :width]
    return (rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (min(height, width) / 3) ** 2


sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


def test_by_default_pixels_are_only_rescaled():
    image = rgb(13, 17)
    batch = IflImageProcessor()(image)
    assert list(batch) == ["pixel_values"]
    assert batch["pixel_values"].dtype == torch.float32
    expected = (image / 255 - 0.5) / 0.5
    np.testing.assert_allclose(batch["pixel_values"][0].permute(1, 2, 0), expected, atol=1e-6)


def test_its_batch_is_a_models_arguments():
    model = SumiIflForImageForgeryLocalization(SumiIflConfig.tiny()).eval()
    output = model(**IflImageProcessor(size_divisor=16)(rgb(37, 51), disc(37, 51)))
    assert torch.isfinite(output.loss)
    assert output.logits.shape == (1, 1, 48, 64)


@given(st.lists(sizes, min_size=1, max_size=3), st.sampled_from([1, 8, 32]))
@settings(max_examples=40, deadline=None)
def test_padding_is_right_and_bottom_and_its_labels_are_ignored(all_sizes, divisor):
    images = [rgb(*size) for size in all_sizes]
    masks = [disc(*size) for size in all_sizes]
    batch = IflImageProcessor(size_divisor=divisor)(images, masks, return_original_sizes=True)
    height, width = batch["pixel_values"].shape[-2:]
    assert height % divisor == width % divisor == 0
    assert height < max(h for h, _ in all_sizes) + divisor
    assert width < max(w for _, w in all_sizes) + divisor
    assert batch["original_sizes"].tolist() == [list(size) for size in all_sizes]
    assert batch["labels"].dtype == torch.int64
    for image, mask, (h, w), pixels, labels in zip(
        images, masks, all_sizes, batch["pixel_values"], batch["labels"], strict=True
    ):
        np.testing.assert_allclose(pixels[:, :h, :w].permute(1, 2, 0), image / 127.5 - 1, atol=1e-6)
        np.testing.assert_array_equal(labels[:h, :w], mask)
        assert (labels[h:] == 255).all()
        assert (labels[:, w:] == 255).all()
        assert pixels.min() >= -1.001  # reflected pixels, not a black frame outside the value range
        assert pixels.max() <= 1.001


def test_fixed_size_resizes_image_and_mask_together():
    mask = np.zeros((12, 20), dtype=bool)
    mask[:, 10:] = True
    image = np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    batch = IflImageProcessor(**FIXED)(image, mask)
    assert batch["pixel_values"].shape == (1, 3, 24, 40)
    assert set(batch["labels"].unique().tolist()) == {0, 1}
    np.testing.assert_array_equal(batch["labels"][0], np.arange(40)[None].repeat(24, 0) >= 20)
    agree = (batch["pixel_values"][0, 0] > 0) == (batch["labels"][0] == 1)
    assert agree.float().mean() > 0.97


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({**FIXED, "size_divisor": 32}, "do_resize and size_divisor exclude each other"),
        ({"do_resize": True}, "do_resize needs a fixed size"),
        ({"do_resize": True, "size": {"shortest_edge": 64}}, "do_resize needs a fixed size"),
        ({"size_divisor": 0}, "size_divisor=0 is no divisor"),
    ],
)
def test_contradicting_size_settings_are_refused_early_and_in_the_call(settings_, message):
    with pytest.raises(ValueError, match=message):
        IflImageProcessor(**settings_)
    with pytest.raises(ValueError, match=message):
        IflImageProcessor()(rgb(8, 8), **settings_)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"threshold": 1.2}, "threshold=1.2 is no probability"),
        ({"score_threshold": -0.1}, "score_threshold=-0.1 is no probability"),
        ({"score_reduction": "median"}, "choose from top_1_percent_mean, mean, max"),
        ({"score_source": "heat"}, "choose from detection_head, map"),
    ],
)
def test_operating_points_are_checked(settings_, message):
    with pytest.raises(ValueError, match=message):
        IflImageProcessor(**settings_)


def test_cropping_is_refused():
    with pytest.raises(ValueError, match="do_center_crop would drop or move evidence"):
        IflImageProcessor()(rgb(8, 8), do_center_crop=True, crop_size={"height": 4, "width": 4})


def test_different_sizes_need_padding_or_lists():
    with pytest.raises(ValueError, match=r"8x8, 8x9.*set size_divisor to pad them"):
        IflImageProcessor()([rgb(8, 9), rgb(8, 8)])
    batch = IflImageProcessor()([rgb(8, 9), rgb(8, 8)], return_tensors=None)
    assert [values.shape for values in batch["pixel_values"]] == [(3, 8, 9), (3, 8, 8)]


def test_images_of_every_kind_give_the_same_pixels(tmp_path):
    image = rgb(9, 11)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = IflImageProcessor()(image)["pixel_values"]
    kinds = [
        Image.fromarray(image),
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        torch.from_numpy(image).permute(2, 0, 1),
        image / np.float32(255),
        [image],
        image[None],
    ]
    for kind in kinds:
        torch.testing.assert_close(IflImageProcessor()(kind)["pixel_values"], expected)
    batch = IflImageProcessor()(torch.from_numpy(image / np.float32(255)).permute(2, 0, 1), do_rescale=False)
    torch.testing.assert_close(batch["pixel_values"], expected)
    grey = IflImageProcessor()(image[..., 0])["pixel_values"]
    torch.testing.assert_close(grey[0, 0], grey[0, 2])


def test_exif_orientation_is_applied_and_masks_belong_to_the_upright_image():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = Image.fromarray(rgb(8, 12))
    image.getexif().update(exif)
    batch = IflImageProcessor()(image, np.zeros((12, 8), dtype=bool))
    assert batch["pixel_values"].shape == (1, 3, 12, 8)
    with pytest.raises(ValueError, match="turned: masks belong to the upright image"):
        IflImageProcessor()(image, np.zeros((8, 12), dtype=bool))


def mask_spellings():
    mask = disc(20, 30)
    eight = mask.astype(np.uint8) * 255
    palette = Image.fromarray(mask.astype(np.uint8), "L").convert("P")
    palette.putpalette([0, 0, 0, 224, 64, 32])
    yield from {
        "bool": mask,
        "0/1": mask.astype(np.uint8),
        "0/255": eight,
        "int64": mask.astype(np.int64),
        "float": mask.astype(np.float32),
        "float 255": eight.astype(np.float64),
        "uint16": mask.astype(np.uint16) * 65535,
        "PIL 1": Image.fromarray(mask),
        "PIL L": Image.fromarray(eight),
        "PIL RGB": Image.fromarray(eight).convert("RGB"),
        "PIL RGBA": Image.fromarray(eight).convert("RGBA"),
        "PIL LA": Image.fromarray(eight).convert("LA"),
        "PIL P grey": Image.fromarray(eight).convert("P"),
        "PIL P coloured indices": palette,
        "PIL I;16": Image.fromarray(mask.astype(np.uint16) * 65535),
        "channel last": eight[..., None],
        "channel first": torch.from_numpy(eight)[None],
        "jpeg edges": np.where(mask, 250, 4).astype(np.uint8),
    }.items()


@pytest.mark.parametrize(("name", "spelling"), list(mask_spellings()))
def test_a_mask_in_any_spelling_is_the_same_mask(name, spelling):
    batch = IflImageProcessor()(rgb(20, 30), spelling)
    np.testing.assert_array_equal(batch["labels"][0], disc(20, 30))


@given(st.lists(st.sampled_from([0, 1, 255]), min_size=1, max_size=8))
def test_255_is_forged_unless_there_is_a_1(values):
    labels = to_label_map(np.array([values])).tolist()[0]
    assert labels == (values if 1 in values else [int(value == 255) for value in values])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (rgb(8, 8), "is coloured"),
        (np.array([[0, 1, 2, 3]] * 4), "neither 0/1 nor 0/255"),
        (np.array([[-1, 0, 1]] * 3), "values -1 to 1 are no mask"),
        (np.array([[0.0, np.nan, 1.0]] * 3), "NaN"),
        (np.dstack([np.zeros((6, 6, 3), np.uint8), disc(6, 6).astype(np.uint8) * 255]), "partly transparent"),
        (np.zeros((2, 8, 8, 8)), "is no mask"),
        ("mask.png", "str is no mask"),
    ],
)
def test_masks_without_a_single_reading_are_refused_by_name(mask, message):
    with pytest.raises(ValueError, match=f"mask 7: .*{message}"):
        to_label_map(mask, "mask 7")


def test_counts_and_sizes_must_agree():
    with pytest.raises(ValueError, match="1 segmentation maps for 2 images"):
        IflImageProcessor()([rgb(8, 8)] * 2, [disc(8, 8)])
    with pytest.raises(ValueError, match="segmentation map 1 is 8x9 but its image is 8x8"):
        IflImageProcessor()([rgb(8, 8)] * 2, [disc(8, 8), disc(8, 9)])
    batched = IflImageProcessor()(np.stack([rgb(8, 8)] * 2), np.stack([disc(8, 8)] * 2))
    assert batched["labels"].shape == (2, 8, 8)


def test_everything_survives_saving_and_loading(tmp_path):
    SumiIflConfig.tiny().save_pretrained(tmp_path)
    settings_ = {
        "size_divisor": 32,
        "tile_size": 320,
        "tile_overlap": 48,
        "threshold": 0.4,
        "score_threshold": 0.7,
        "score_source": "map",
        "score_reduction": "max",
        "image_mean": (0.4, 0.5, 0.6),
    }
    IflImageProcessor(**settings_).save_pretrained(tmp_path)
    assert (
        json.loads((tmp_path / "preprocessor_config.json").read_text())["image_processor_type"] == "IflImageProcessor"
    )
    for loaded in (AutoImageProcessor.from_pretrained(tmp_path), IflImageProcessor.from_pretrained(tmp_path)):
        assert type(loaded) is IflImageProcessor
        assert {name: getattr(loaded, name) for name in settings_} == settings_
        assert loaded.to_dict() == IflImageProcessor(**settings_).to_dict()


def test_fixed_size_survives_saving_and_loading(tmp_path):
    IflImageProcessor(**FIXED).save_pretrained(tmp_path)
    batch = IflImageProcessor.from_pretrained(tmp_path)(rgb(9, 9))
    assert batch["pixel_values"].shape == (1, 3, 24, 40)


@given(st.lists(sizes, min_size=1, max_size=3), st.sampled_from([8, 32]), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_padding_is_cropped_back(all_sizes, divisor, threshold):
    processor = IflImageProcessor(size_divisor=divisor)
    batch = processor([rgb(*size) for size in all_sizes], return_original_sizes=True)
    logits = batch["pixel_values"].mean(1, keepdim=True) * 4
    results = processor.post_process_image_forgery_localization(
        ImageForgeryLocalizationOutput(logits=logits), batch["original_sizes"], threshold
    )
    for (height, width), own, result in zip(all_sizes, logits, results, strict=True):
        assert sorted(result) == ["mask", "probabilities", "score"]
        assert result["probabilities"].dtype == torch.float32
        torch.testing.assert_close(result["probabilities"], own[0, :height, :width].sigmoid())
        assert torch.equal(result["mask"], result["probabilities"] > threshold)
        assert result["score"] == pytest.approx(reduce_to_score(result["probabilities"].numpy()), abs=1e-6)


def test_fixed_size_maps_go_back_to_the_original_grid():
    processor = IflImageProcessor(**FIXED)
    ramp = torch.linspace(-3, 3, 40).expand(1, 1, 24, 40).to(torch.bfloat16)
    [result] = processor.post_process_image_forgery_localization(
        ImageForgeryLocalizationOutput(logits=ramp), [(48, 80)], None
    )
    assert result["probabilities"].shape == (48, 80)
    # Bilinear at twice the size: linear ramps stay linear, the ends are held.
    row = result["probabilities"][5].logit()
    np.testing.assert_allclose(row[1:-1].diff(), 6 / 39 / 2, atol=0.02)


def test_scores_come_from_the_head_where_there_is_one():
    outputs = ImageForgeryLocalizationOutput(logits=torch.zeros(2, 1, 4, 4), image_logits=torch.tensor([[2.0], [-1.0]]))
    results = IflImageProcessor().post_process_image_forgery_localization(outputs)
    assert [result["score"] for result in results] == pytest.approx([0.880797, 0.268941], abs=1e-6)


def test_target_sizes_that_cannot_be_are_refused():
    outputs = ImageForgeryLocalizationOutput(logits=torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="2 target_sizes for 1 images"):
        IflImageProcessor().post_process_image_forgery_localization(outputs, [(8, 8)] * 2)
    with pytest.raises(ValueError, match="cannot be cropped"):
        IflImageProcessor().post_process_image_forgery_localization(outputs, [(9, 8)])


def test_score_reductions_by_hand():
    probabilities = np.arange(200, dtype=np.float32).reshape(10, 20) / 200
    assert reduce_to_score(probabilities) == pytest.approx((199 + 198) / 2 / 200)
    assert reduce_to_score(probabilities, "mean") == pytest.approx(99.5 / 200)
    assert reduce_to_score(probabilities, "max") == pytest.approx(199 / 200)
    assert reduce_to_score(np.array([[0.3]], dtype=np.float32)) == pytest.approx(0.3)
