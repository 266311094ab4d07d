"""Exported models: the same maps as torch at any size, tiles included, wherever a checkpoint can go."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline
from transformers.utils import logging

from ifl_hub import AutoModelForImageForgeryLocalization, IflImageProcessor, ImageForgeryLocalizationPipeline
from ifl_hub.checkpoints import weights_sha256
from ifl_hub.cli.main import main
from ifl_hub.export import BACKENDS, ExportedLocalizer, export_localizer, largest_difference
from ifl_hub.registration import LOCALIZATION_MODELS

#: Smaller than the network's stride, odd, wide, and larger than what it was traced with.
SIZES = ((1, 64, 64), (1, 33, 40), (2, 97, 65), (1, 72, 200), (3, 160, 136))
METHODS = {config.model_type: config for config in LOCALIZATION_MODELS}


def tiny_model(method):
    torch.manual_seed(0)
    config = METHODS[method].tiny()
    return LOCALIZATION_MODELS[type(config)](config).eval()


@pytest.mark.slow
@pytest.mark.parametrize("format", BACKENDS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_maps_at_every_size(method, format):
    model = tiny_model(method)
    assert largest_difference(model, export_localizer(model, format), SIZES) < 1e-4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_model("ncl").save_pretrained(folder)
    IflImageProcessor(tile_size=64, tile_overlap=16).save_pretrained(folder)
    (folder / "metadata.json").write_text(json.dumps({"name": "mine", "method": "NCL"}))
    return folder


def run(*arguments):
    """The command in this process: its exit code."""
    verbosity = logging.get_verbosity()
    try:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit_:
            patch.setattr(sys, "argv", ["ifl-hub", *map(str, arguments)])
            main()
        return exit_.value.code
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def exported(request, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / request.param
    assert run("export", checkpoint, "--format", request.param, "--out", folder) == 0
    return request.param, folder


def test_the_pipeline_runs_on_the_exported_folder(exported, checkpoint):
    format, folder = exported
    photo = np.random.default_rng(0).integers(0, 256, (90, 150, 3), dtype=np.uint8)  # six tiles of 64 pixels
    expected = pipeline("image-forgery-localization", model=str(checkpoint))(photo)
    localize = pipeline("image-forgery-localization", model=str(folder), backend=BACKENDS[format])
    assert isinstance(localize.model, ExportedLocalizer)
    for options in ({}, {"batch_size": 4}):
        result = localize(photo, **options)
        np.testing.assert_allclose(result["heatmap"], expected["heatmap"], atol=1e-4)
        assert result["score"] == pytest.approx(expected["score"], abs=1e-4)
    with pytest.raises(ValueError, match=f"runs on {BACKENDS[format]}"):
        pipeline("image-forgery-localization", model=str(folder), backend="tpu")


def test_the_command_line_takes_it_for_a_checkpoint(exported, checkpoint, tmp_path):
    format, folder = exported
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    maps = []
    for model in (checkpoint, folder):
        out = tmp_path / model.name
        assert run("localize", tmp_path / "x.png", "--model", model, "--out", out, "--report") == 0
        maps.append(np.asarray(Image.open(out / "x.png.heatmap.png")) / 65535)
        [record] = map(json.loads, (out / "results.jsonl").read_text().splitlines())
        assert record["weights_sha256"] == weights_sha256(model)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)
    page = (out / "x.png.report.html").read_text()
    assert f"{BACKENDS[format]};" in page and record["weights_sha256"] in page


def test_it_says_where_it_comes_from(exported, checkpoint):
    _, folder = exported
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["name"] == "mine"
    assert metadata["exported"]["from_weights_sha256"] == weights_sha256(checkpoint)
    assert 0 <= metadata["exported"]["largest_difference"] < 1e-4
    assert not list(folder.parent.glob(".*"))  # nothing half-written is left


def test_openvino_computes_in_float32(exported):
    format, folder = exported
    if format == "openvino":
        model = AutoModelForImageForgeryLocalization.from_pretrained(folder)
        precision = model._exported.runners["model"].compiled_model.get_property("INFERENCE_PRECISION_HINT")
        assert precision.get_type_name() == "f32"


def test_a_torch_model_is_no_exported_one(checkpoint):
    with pytest.raises(ValueError, match="export its checkpoint"):
        ImageForgeryLocalizationPipeline(
            model=tiny_model("ncl"), image_processor=IflImageProcessor(), backend="onnxruntime"
        )


def test_a_folder_that_is_there_stays_as_it_is(checkpoint, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert run("export", checkpoint, "--format", "onnx", "--out", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_face_model_is_refused_in_one_line(tmp_path, capsys):
    assert run("export", "exposing-deception-small", "--format", "onnx", "--out", tmp_path / "x") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: exposing-deception-small") and error.count("\n") == 1
    assert not (tmp_path / "x").exists()
