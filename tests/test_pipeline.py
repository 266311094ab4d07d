import io
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

from ifl_hub import (
    AutoModelForImageForgeryLocalization,
    IflImageProcessor,
    ImageForgeryLocalizationPipeline,
    SumiIflConfig,
    SumiIflForImageForgeryLocalization,
)
from ifl_hub.image_processing import ImageLoadError
from local_network import LocalNetwork, build

TASK = "image-forgery-localization"


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def localizer(model=None, **settings):
    return ImageForgeryLocalizationPipeline(model=model or build(), image_processor=IflImageProcessor(**settings))


def untiled_heatmap(model, pixels, **settings):
    with torch.no_grad():
        return model(IflImageProcessor(**settings)(pixels)["pixel_values"]).logits[0, 0].sigmoid().numpy()


def assert_same_results(ours, theirs, tolerance=1e-6):
    assert ours["label"] == theirs["label"]
    assert ours["score"] == pytest.approx(theirs["score"], abs=tolerance)
    np.testing.assert_allclose(ours["heatmap"], theirs["heatmap"], atol=tolerance)


@pytest.fixture(scope="module")
def sumi_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sumi")
    torch.manual_seed(0)
    model = SumiIflForImageForgeryLocalization(SumiIflConfig.tiny()).eval()
    ImageForgeryLocalizationPipeline(
        model=model, image_processor=IflImageProcessor(tile_size=96, tile_overlap=32, threshold=0.4)
    ).save_pretrained(folder)
    return folder


@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    depth=st.integers(1, 5),
    extra_overlap=st.integers(0, 9),
    extra_tile=st.integers(0, 40),
    batch_size=st.integers(1, 4),
)
@settings(max_examples=30, deadline=None)
def test_tiled_equals_untiled_once_the_overlap_covers_the_receptive_field(
    height, width, depth, extra_overlap, extra_tile, batch_size
):
    model, pixels = build(depth=depth), picture(height, width)
    overlap = 2 * depth + extra_overlap  # receptive field minus one
    result = localizer(model)(pixels, tile_size=overlap + 8 + extra_tile, tile_overlap=overlap, batch_size=batch_size)
    np.testing.assert_allclose(result["heatmap"], untiled_heatmap(model, pixels), atol=1e-5)


def test_an_overlap_below_the_receptive_field_shows_that_the_test_above_can_fail():
    model, pixels = build(depth=5), picture(120, 140)
    result = localizer(model)(pixels, tile_size=48, tile_overlap=0)
    assert np.abs(result["heatmap"] - untiled_heatmap(model, pixels)).max() > 1e-3


def test_padding_to_a_divisor_changes_no_pixel_away_from_the_border():
    model, pixels = build(depth=3), picture(101, 157)
    result = localizer(model, size_divisor=32)(pixels, tile_size=64, tile_overlap=16)
    expected = untiled_heatmap(model, pixels)
    assert result["heatmap"].shape == (101, 157)
    np.testing.assert_allclose(result["heatmap"][:-3, :-3], expected[:-3, :-3], atol=1e-5)


def test_a_network_with_a_global_view_differs_a_little_and_has_no_seam():
    model, pixels = build(uses_global_mean=True), picture(150, 300)
    pixels[:, 150:] //= 2
    tiled = localizer(model)(pixels, tile_size=96, tile_overlap=16)["heatmap"]
    whole = localizer(model)(pixels, tile_size=0)["heatmap"]
    difference = torch.from_numpy(tiled).logit() - torch.from_numpy(whole).logit()
    assert 1e-3 < difference.abs().mean() < 0.5
    # The means of two tiles differ by up to 0.5; cross-faded, no neighbouring pixels jump by a fifth of it.
    assert difference.diff(dim=1).abs().max() < 0.1


def test_sumi_pools_globally_so_tiles_move_its_map_but_not_far(sumi_folder):
    run = pipeline(TASK, model=str(sumi_folder))
    pixels = np.kron(picture(20, 30), np.ones((10, 10, 1), np.uint8))
    whole = run(pixels, tile_size=0)["heatmap"]
    difference = np.abs(run(pixels, tile_size=128, tile_overlap=32)["heatmap"] - whole)
    assert 0 < difference.mean() < 0.05
    assert run(pixels, tile_size=320)["heatmap"] == pytest.approx(whole, abs=1e-6)  # it fits one tile


def test_the_contract_of_one_result():
    result = localizer()(picture(40, 60))
    assert sorted(result) == ["heatmap", "label", "mask", "score"]
    assert result["label"] in ("forged", "authentic")
    assert isinstance(result["score"], float)
    assert result["heatmap"].dtype == np.float32
    assert result["heatmap"].shape == (40, 60)
    assert 0 <= result["heatmap"].min() <= result["heatmap"].max() <= 1
    assert (result["mask"].mode, result["mask"].size) == ("L", (60, 40))
    np.testing.assert_array_equal(np.asarray(result["mask"]), np.where(result["heatmap"] > 0.5, 255, 0))


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batches_of_pictures_of_different_sizes_give_the_same_results(batch_size):
    pictures = [picture(h, w, seed=h) for h, w in [(40, 60), (150, 210), (7, 9), (150, 210), (1, 1)]]
    run = localizer()
    together = run(pictures, batch_size=batch_size, tile_size=64, tile_overlap=16)
    assert len(together) == len(pictures)
    for pixels, result in zip(pictures, together, strict=True):
        assert_same_results(result, run(pixels, tile_size=64, tile_overlap=16))


def test_path_pil_array_generator_dataset_tuple_and_empty_list(tmp_path):
    pixels = picture(40, 60)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    run = localizer()
    expected = run(pixels)
    for one in (path, str(path), Image.open(path), Image.fromarray(pixels), path.read_bytes()):
        assert_same_results(run(one), expected)
    for many in (
        run([path, pixels]),
        list(run(item for item in [path, pixels])),
        list(run(KeyDataset([{"image": path}] * 2, "image"))),
        run((path,) * 2),
    ):
        assert len(many) == 2
        for result in many:
            assert_same_results(result, expected)
    assert run([]) == []


def test_url(tmp_path):
    pixels = picture(20, 30)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        assert_same_results(localizer()(f"{base}/a.png"), localizer()(pixels))
        with pytest.raises(ImageLoadError, match=r"b\.png: cannot be downloaded .*not found"):
            localizer()(f"{base}/b.png")
    finally:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_results_lie_on_the_upright_grid():
    upright = picture(40, 60)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(upright)).save(buffer, "PNG", exif=exif)
    assert_same_results(localizer()(buffer.getvalue()), localizer()(upright))


def test_a_broken_picture_in_a_list_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ImageLoadError, match=r"broken\.jpg: not a picture"):
        localizer()([picture(8, 8), tmp_path / "broken.jpg"])


def test_operating_points_from_checkpoint_init_and_call():
    pixels = picture(40, 60)
    own = localizer(threshold=0.7, score_threshold=1.0)
    result = own(pixels)
    assert result["label"] == "authentic"
    np.testing.assert_array_equal(np.asarray(result["mask"]) > 0, result["heatmap"] > 0.7)
    called = own(pixels, threshold=0.2, score_threshold=0.0)
    assert called["label"] == "forged"
    np.testing.assert_array_equal(np.asarray(called["mask"]) > 0, called["heatmap"] > 0.2)
    assert called["score"] == result["score"]  # the label's threshold moves no score
    built = ImageForgeryLocalizationPipeline(model=build(), image_processor=IflImageProcessor(), score_threshold=0.0)
    assert built(pixels)["label"] == "forged"
    assert built(pixels, score_threshold=1.0)["label"] == "authentic"
    assert_same_results(own(pixels, threshold=None, tile_size=None), result)


def test_the_score_follows_the_checkpoint():
    pixels = picture(40, 60)
    top = localizer()(pixels)
    count = 24  # one per cent of 2400 pixels
    assert top["score"] == pytest.approx(np.sort(top["heatmap"], axis=None)[-count:].mean(), abs=1e-6)
    assert localizer(score_reduction="mean")(pixels)["score"] == pytest.approx(top["heatmap"].mean(), abs=1e-6)
    head = build(has_image_head=True)
    for tile_size in (0, 32):  # the head of the most suspicious tile decides
        result = localizer(head)(pixels, tile_size=tile_size, tile_overlap=8)
        assert result["score"] == pytest.approx(untiled_heatmap(head, pixels).max(), abs=1e-5)
    # A map can tell more than the head.
    result = localizer(head, score_source="map", score_reduction="mean")(pixels)
    assert result["score"] == pytest.approx(result["heatmap"].mean(), abs=1e-6)


def test_a_checkpoint_that_resizes_sees_the_whole_picture():
    run = localizer(do_resize=True, size={"height": 32, "width": 48})
    pixels = picture(100, 70)
    result = run(pixels)
    assert result["heatmap"].shape == (100, 70)
    processor = run.image_processor
    with torch.no_grad():
        outputs = run.model(processor(pixels)["pixel_values"])
    [expected] = processor.post_process_image_forgery_localization(outputs, [(100, 70)])
    np.testing.assert_allclose(result["heatmap"], expected["probabilities"], atol=1e-6)
    assert result["score"] == pytest.approx(expected["score"], abs=1e-6)
    with pytest.raises(ValueError, match="leave tile_size away"):
        run(pixels, tile_size=64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold=1.5 is no probability"),
        ({"score_threshold": -1}, "score_threshold=-1 is no probability"),
        ({"tile_size": 32, "tile_overlap": 32}, "tile_size of at least 40"),
        ({"thresold": 0.5}, "unknown option thresold"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        localizer()(picture(80, 80), **options)


def test_a_pipeline_without_processor_is_refused():
    with pytest.raises(ValueError, match="needs image_processor="):
        ImageForgeryLocalizationPipeline(model=build())


def test_saved_folder_loads_through_the_task_name(sumi_folder):
    config = json.loads((sumi_folder / "config.json").read_text())
    assert "custom_pipelines" not in config
    run = pipeline(TASK, model=str(sumi_folder))
    assert type(run) is ImageForgeryLocalizationPipeline
    assert type(run.model) is SumiIflForImageForgeryLocalization
    assert run.image_processor.tile_size == 96
    pixels = picture(100, 130)
    result = run(pixels)
    np.testing.assert_array_equal(np.asarray(result["mask"]) > 0, result["heatmap"] > 0.4)
    again = pipeline(
        TASK,
        model=AutoModelForImageForgeryLocalization.from_pretrained(sumi_folder),
        image_processor=IflImageProcessor.from_pretrained(sumi_folder),
    )
    assert_same_results(again(pixels), result)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16])
def test_lower_precision_is_close_and_still_float32(sumi_folder, dtype):
    pixels = picture(64, 64)
    run = pipeline(TASK, model=str(sumi_folder), dtype=dtype, device="cpu")
    assert run.model.dtype != torch.float32
    result = run(pixels)
    assert result["heatmap"].dtype == np.float32
    np.testing.assert_allclose(
        result["heatmap"], pipeline(TASK, model=str(sumi_folder), device="cpu")(pixels)["heatmap"], atol=0.05
    )


def test_options_given_to_the_factory_reach_the_result(sumi_folder):
    pixels = picture(32, 32)
    run = pipeline(TASK, model=str(sumi_folder), threshold=0.9, score_threshold=0.0, tile_size=64, tile_overlap=16)
    result = run(pixels)
    assert result["label"] == "forged"
    np.testing.assert_array_equal(np.asarray(result["mask"]) > 0, result["heatmap"] > 0.9)


def test_the_test_network_is_as_local_as_it_says():
    model = build(depth=3)
    assert isinstance(model, LocalNetwork)
    pixels = torch.zeros(1, 3, 31, 31, requires_grad=True)
    model(pixels).logits[0, 0, 15, 15].backward()
    seen = pixels.grad.abs().sum((0, 1)).nonzero()
    assert (seen.min().item(), seen.max().item()) == (12, 18)
