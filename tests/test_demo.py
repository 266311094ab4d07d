import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifl_hub import (
    IflImageProcessor,
    ImageForgeryLocalizationPipeline,
    SumiIflForImageForgeryLocalization,
)
from ifl_hub.cli.main import main
from ifl_hub.cli.models import find_model
from ifl_hub.image_processing import ImageLoadError

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

from ifl_hub.demo.analysis import Localizer, TooSlowError
from ifl_hub.demo.evidence import ResultsZip
from ifl_hub.demo.examples import FACES, PHOTOS, recognise
from ifl_hub.demo.pictures import MAX_FILE_MB, read_picture
from ifl_hub.demo.views import VIEWS, available_views, render_view, truth
from ifl_hub.demo.wording import area, caution, verdict
from tiny_model import write_model

SAMPLE = Path(__file__).parent.parent / "docs" / "sample.jpg"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), tile_size=256, tile_overlap=32)


@pytest.fixture
def localizer(model):
    return Localizer(find_model(str(model)), timeout=3600)


def save_picture(path, height=90, width=120, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_many_thresholds_and_views_run_the_model_once(tmp_path, localizer):
    runs = []
    localizer._pipeline.model.register_forward_hook(lambda *_: runs.append(1))
    analysis = localizer(save_picture(tmp_path / "x.png", 90, 400))
    tiles = len(runs)
    assert tiles > 1
    values = analysis.result["heatmap"]
    shares = []
    for threshold in np.quantile(values, [0.1, 0.5, 0.9]):
        views = [np.asarray(render_view(analysis, view, threshold)) for view in VIEWS[:-1]]
        assert all(view.shape == (90, 400, 3) for view in views)
        mask = views[VIEWS.index("Mask")]
        np.testing.assert_array_equal(mask[..., 0] > 0, values > threshold)
        shares.append(float((mask > 0).mean()))
        assert f"<b>{shares[-1]:.1%}</b>" in area(analysis, threshold)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    assert len(runs) == tiles


def test_a_result_is_that_of_the_pipeline_on_the_file(tmp_path, model, localizer):
    path = tmp_path / "x.jpg"
    Image.open(SAMPLE).crop((100, 100, 220, 190)).save(path, quality=80)
    expected = ImageForgeryLocalizationPipeline(
        model=SumiIflForImageForgeryLocalization.from_pretrained(model).eval(),
        image_processor=IflImageProcessor.from_pretrained(model),
    )(path)
    analysis = localizer(path)
    np.testing.assert_array_equal(analysis.result["heatmap"], expected["heatmap"])
    assert f"Suspicion <b>{expected['score']:.2f}</b>" in verdict(analysis)


def test_large_pictures_are_shown_smaller_and_small_regions_stay_visible(tmp_path, localizer):
    analysis = localizer(save_picture(tmp_path / "x.png", 8, 2600))
    values = np.zeros((8, 2600), np.float32)
    values[3, 1300] = 1
    analysis.result["heatmap"] = values
    mask = np.asarray(render_view(analysis, "Mask", 0.5))
    assert mask.shape == (4, 1280, 3)
    assert (mask > 0).any()
    assert render_view(analysis, "Overlay", 0.5).size == (1280, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Image.new("L", (6000, 5000)).save(path, "PNG"), "6000x5000 is 30 megapixels"),
        (lambda path: path.open("wb").truncate(MAX_FILE_MB * 10**6 + 10**6), "41 MB is more than the 40 MB"),
        (lambda path: path.write_bytes(b"no picture"), "not a picture this program can read"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_bytes(SAMPLE.read_bytes()[:30000]), "damaged or truncated"),
    ],
)
def test_what_cannot_be_read_is_one_line_without_the_servers_folder(tmp_path, make, message):
    path = tmp_path / "secret-folder" / "my photo.jpg"
    path.parent.mkdir()
    make(path)
    with pytest.raises(ImageLoadError) as caught:
        read_picture(path)
    assert str(caught.value).startswith("my photo.jpg: ")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_that_takes_too_long_is_given_up(tmp_path, model):
    localizer = Localizer(find_model(str(model)), timeout=0)
    with pytest.raises(TooSlowError, match=r"^x\.png: took longer than 0 s; give a smaller picture"):
        localizer(save_picture(tmp_path / "x.png"))
    assert not localizer._lock.locked()


def test_examples_are_known_by_their_content(tmp_path, localizer):
    assert PHOTOS[0].path.read_bytes() == SAMPLE.read_bytes()
    for example in (*PHOTOS, *FACES):
        image, mask = read_picture(example.path), example.mask()
        assert mask is None or (mask.shape == image.size and mask.any() and not mask.all())
        assert recognise(example.path) == example
    assert [example.mask() is None for example in PHOTOS] == [False, False, False, True]
    renamed = tmp_path / "other.jpg"
    renamed.write_bytes(PHOTOS[0].path.read_bytes())
    analysis = localizer(renamed)
    np.testing.assert_array_equal(truth(analysis), PHOTOS[0].mask())
    assert available_views(analysis)[-1] == "Truth"
    assert PHOTOS[0].history in area(analysis, 0.5)
    stranger = localizer(save_picture(tmp_path / "x.png"))
    assert truth(stranger) is None
    assert "Truth" not in available_views(stranger)
    assert "What happened" not in area(stranger, 0.5)


def test_of_an_example_the_page_says_how_much_was_found(localizer):
    analysis = localizer(PHOTOS[0].path)
    analysis.result["heatmap"] = PHOTOS[0].mask().astype(np.float32)
    assert "<b>100%</b> is marked; of what is marked, <b>100%</b> was changed" in area(analysis, 0.5)
    assert "<b>0%</b> is marked; of what is marked, <b>nothing</b> was changed" in area(analysis, 1)


def test_names_of_files_cannot_become_html(tmp_path, localizer):
    analysis = localizer(save_picture(tmp_path / "<img src=x onerror=alert(1)>.png"))
    assert "<img" not in verdict(analysis)
    assert "&lt;img" in verdict(analysis)


@pytest.mark.parametrize(
    ("flagged", "point", "words"),
    [
        (True, {"false_alarm_rate": 0.107, "sensitivity": 0.5}, "also flagged 11 of 100 untouched pictures"),
        (False, {"false_alarm_rate": 0.107, "sensitivity": 0.538}, "missed 46 of 100 altered pictures"),
        (True, {"false_alarm_rate": 0.058, "sensitivity": 0.051}, "its verdict says nothing"),
        (True, None, "has not been measured"),
    ],
)
def test_a_verdict_says_how_often_it_is_wrong(flagged, point, words):
    assert words in caution(flagged, point)


def test_the_zip_holds_what_the_command_line_writes(tmp_path, model, localizer, monkeypatch, capsys):
    first, second = tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"
    for seed, path in enumerate((first, second)):
        path.parent.mkdir()
        save_picture(path, seed=seed)
    with ResultsZip(tmp_path / "results.zip") as archive:
        archive.add(localizer(first), 0.4)
        archive.add(localizer(second), 0.4)
    arguments = ["localize", first, "--model", model, "--threshold", "0.4", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["ifl-hub", *map(str, arguments)])
    with pytest.raises(SystemExit):
        main()
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        for kind in ("overlay", "mask", "heatmap"):
            written = np.asarray(Image.open(tmp_path / "out" / f"x.png.{kind}.png"))
            np.testing.assert_array_equal(
                np.asarray(Image.open(io.BytesIO(archive.read(f"x.png.{kind}.png")))), written
            )
        ours, other = map(json.loads, archive.read("results.jsonl").splitlines())
        assert "x-2.png.mask.png" in archive.namelist()
    theirs = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert {**ours, "file": theirs["file"]} == theirs
    assert (ours["file"], other["file"]) == ("x.png", "x-2.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "sumi"], "error: no model 'sumi': give one of"),
        (["--model", "exposing-deception-small"], "error: exposing-deception-small: the model cannot be loaded"),
    ],
)
def test_mistakes_are_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ifl-hub", "demo", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr().err
    assert exit_.value.code == 2
    assert captured.startswith(message)
    assert len(captured.splitlines()) == 1


def test_without_gradio_the_command_says_what_to_install(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("ifl_hub.demo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(sys, "argv", ["ifl-hub", "demo"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "error: the demo needs gradio: pip install 'ifl-hub[demo]'\n"
