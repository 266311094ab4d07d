import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from transformers.utils import logging

from ifl_hub import (
    IflImageProcessor,
    ImageForgeryLocalizationPipeline,
    SumiIflForImageForgeryLocalization,
)
from ifl_hub.cli.main import main
from tiny_model import write_model

NO_NETWORK = """
import socket
def refuse(*_):
    raise AssertionError("the network was touched")
socket.socket.connect = socket.getaddrinfo = refuse
from ifl_hub.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), tile_size=64, tile_overlap=16)


def save_picture(path, height=40, width=56, seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def run(*arguments, **options):
    """The command in a process of its own, without network."""
    command = [sys.executable, "-c", NO_NETWORK, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)


@pytest.fixture
def call(monkeypatch, capsys):
    """The command in this process: as `run`, without the seconds that importing takes."""
    verbosity = logging.get_verbosity()

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["ifl-hub", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, exit_.value.code, captured.out, captured.err)

    yield run_here
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


def records(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_a_folder_with_a_broken_file_in_a_process_without_network(tmp_path, model):
    photos, out = tmp_path / "photos", tmp_path / "out"
    save_picture(photos / "a" / "x.jpg", 100, 150)
    save_picture(photos / "b" / "x.png", 40, 56, seed=1)
    (photos / "broken.jpg").write_bytes(b"not a picture")
    (photos / "notes.txt").write_text("no picture, not looked at")
    done = run("localize", photos, "--model", model, "--out", out, "--batch-size", "2")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip() == (
        f"error: {photos / 'broken.jpg'}: not a picture this program can read; "
        "give a JPEG, PNG, TIFF, WebP, GIF or BMP file"
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert str(photos / "a" / "x.jpg") in lines[0]
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    pipe = ImageForgeryLocalizationPipeline(
        model=SumiIflForImageForgeryLocalization.from_pretrained(model),
        image_processor=IflImageProcessor.from_pretrained(model),
    )
    for record, name, size in zip(records(out), ["a/x.jpg", "b/x.png"], [(150, 100), (56, 40)], strict=True):
        path = photos / name
        assert record["file"] == str(path)
        assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (record["model"], record["weights_sha256"]) == (str(model), weights)
        assert record["preprocessing"]["tile_size"] == 64
        assert record["overlay"] == f"{name}.overlay.png"
        expected = pipe(path)
        assert record["label"] == expected["label"]
        assert record["score"] == pytest.approx(expected["score"], abs=1e-5)
        mask, heatmap = Image.open(out / record["mask"]), np.asarray(Image.open(out / record["heatmap"]))
        assert mask.size == Image.open(out / record["overlay"]).size == size
        assert (np.asarray(mask) != np.asarray(expected["mask"])).mean() < 1e-3  # batches round differently
        assert heatmap.dtype == np.uint16
        np.testing.assert_allclose(heatmap / 65535, expected["heatmap"], atol=2e-5)
        assert record["forged_area"] == pytest.approx((np.asarray(mask) > 0).mean(), abs=1e-6)


def test_json_goes_to_stdout_and_a_second_run_repeats_it(tmp_path, model, call):
    picture, out = save_picture(tmp_path / "x.jpg"), tmp_path / "out"
    first = run("localize", picture, "--model", model, "--out", out, "--json")
    assert (first.returncode, first.stderr) == (0, "")
    assert [json.loads(line) for line in first.stdout.splitlines()] == records(out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    second = call("localize", picture, "--model", model, "--out", out, "--json")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_what_changed_is_done_again_and_one_line_stands_for_each_file(tmp_path, model, call):
    folder, out = tmp_path / "photos", tmp_path / "out"
    save_picture(folder / "a.png", seed=1)
    save_picture(folder / "b.png", seed=2)
    arguments = ("localize", folder, "--model", model, "--out", out)
    assert call(*arguments).stdout.count("done before") == 0
    save_picture(folder / "b.png", seed=3)
    assert [line.endswith("(done before)") for line in call(*arguments).stdout.splitlines()] == [True, False]
    assert call(*arguments, "--threshold", "0.9").stdout.count("done before") == 0
    assert [record["preprocessing"]["threshold"] for record in records(out)] == [0.9, 0.9]
    (out / "a.png.mask.png").unlink()
    assert call(*arguments, "--threshold", "0.9").stdout.count("done before") == 1
    assert sorted(record["name"] for record in records(out)) == ["a.png", "b.png"]


def test_a_killed_run_leaves_nothing_half_written_and_goes_on(tmp_path, model, call):
    folder, out = tmp_path / "photos", tmp_path / "out"
    names = [save_picture(folder / f"{index}.png", seed=index).name for index in range(4)]
    names.append(save_picture(folder / "large.png", 320, 400).name)  # the kill falls into its seconds
    command = [sys.executable, "-c", NO_NETWORK, "localize", str(folder), "--model", str(model), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while not list(out.glob("*.heatmap.png")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    done = records(out) if (out / "results.jsonl").exists() else []
    assert len(done) < len(names)
    for path in out.glob("*.png"):
        Image.open(path).load()
    resumed = call("localize", folder, "--model", model, "--out", out)
    assert resumed.returncode == 0
    assert resumed.stdout.count("done before") == len(done)
    assert records(out)[: len(done)] == done
    assert sorted(record["name"] for record in records(out)) == names
    assert not list(out.rglob("*.tmp"))


def test_two_processes_share_a_folder_and_go_on_after_a_kill_to_the_bytes_of_one(tmp_path, model, call):
    folder, one, two = tmp_path / "photos", tmp_path / "one", tmp_path / "two"
    for index in range(6):
        save_picture(folder / f"{index}.png", *((320, 400) if index > 3 else (40, 56)), seed=index)
    (folder / "7.png").write_bytes(b"not a picture")  # the first process's last one
    arguments = ["localize", str(folder), "--model", str(model), "--out"]
    assert call(*arguments, one).returncode == 1
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ifl_hub"]
    command += [*arguments, str(two)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as launcher:
        deadline = time.monotonic() + 600
        while len(lines_of_all_processes(two)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in [*psutil.Process(launcher.pid).children(recursive=True), launcher]:
            process.kill()
    before = lines_of_all_processes(two)
    assert 0 < len(before) < 6
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert resumed.returncode == 1 and resumed.stderr.count("7.png: not a picture") == 1
    assert len(resumed.stdout.splitlines()) == 6 and resumed.stdout.count("done before") == len(before)
    assert set(before) < set(lines_of_all_processes(two))
    assert {path.relative_to(two): path.read_bytes() for path in two.rglob("*")} == {
        path.relative_to(one): path.read_bytes() for path in one.rglob("*")
    }


def lines_of_all_processes(out):
    return [line for path in out.glob("results*.jsonl") for line in path.read_text().splitlines(keepends=True)]


def test_the_lines_have_the_order_of_the_last_call(tmp_path, model, call):
    pictures, out = [save_picture(tmp_path / f"{seed}.png", seed=seed) for seed in range(3)], tmp_path / "out"
    for named, order in (([2], [2]), ([1, 2], [1, 2]), ([0, 2], [1, 0, 2])):
        call("localize", *(pictures[index] for index in named), "--model", model, "--out", out)
        assert [record["name"] for record in records(out)] == [f"{index}.png" for index in order]


def test_a_line_cut_off_is_done_again(tmp_path, model, call):
    picture, out = save_picture(tmp_path / "x.png"), tmp_path / "out"
    call("localize", picture, "--model", model, "--out", out)
    line = (out / "results.jsonl").read_text()
    (out / "results.jsonl").write_text(line[: len(line) // 2])
    assert "done before" not in call("localize", picture, "--model", model, "--out", out).stdout
    assert (out / "results.jsonl").read_text() == line


def test_equal_names_get_their_own_results(tmp_path, model, call):
    out = tmp_path / "out"
    pictures = [save_picture(tmp_path / name, seed=seed) for seed, name in enumerate(["a/x.png", "b/x.png", "a/x.bmp"])]
    for named in (pictures[:1], pictures, pictures[::-1]):
        assert call("localize", *named, "--model", model, "--out", out).returncode == 0
    assert len({record["name"] for record in records(out)}) == 3
    scores = {record["file"]: record["score"] for record in records(out)}
    for picture in pictures:
        call("localize", picture, "--model", model, "--out", tmp_path / "alone" / picture.parent.name / picture.name)
        [alone] = records(tmp_path / "alone" / picture.parent.name / picture.name)
        assert scores[str(picture)] == alone["score"]
    assert len(list(out.glob("*.overlay.png"))) == 3


def test_results_beside_the_inputs_never_overwrite_or_become_inputs(tmp_path, model, call):
    save_picture(tmp_path / "x.png")
    save_picture(tmp_path / "sub" / "y.png")
    trap = save_picture(tmp_path / "x.png.mask.png", seed=5)
    inputs = [tmp_path / "x.png", tmp_path / "sub", trap]
    before = {path: path.read_bytes() for path in (tmp_path / "x.png", trap, tmp_path / "sub" / "y.png")}
    assert call("localize", *inputs, "--model", model, "--out", tmp_path).returncode == 0
    assert {path: path.read_bytes() for path in before} == before
    assert len(records(tmp_path)) == 3
    again = call("localize", tmp_path / "sub", tmp_path / "x.png", "--model", model, "--out", tmp_path)
    assert again.stdout.count("done before") == 2
    inside = call("localize", tmp_path / "sub", "--model", model, "--out", tmp_path / "sub" / "results")
    twice = call("localize", tmp_path / "sub", "--model", model, "--out", tmp_path / "sub" / "results")
    assert len(inside.stdout.splitlines()) == len(twice.stdout.splitlines()) == 1


def test_notes_and_odd_files(tmp_path, model, call):
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    save_picture(tmp_path / "dot.png", 1, 1)
    (tmp_path / "empty.png").write_bytes(b"")
    done = call("localize", tmp_path, "--model", model, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "empty.png: the file is empty (0 bytes)" in done.stderr
    assert "moving.gif [animated (2 frames): first frame only]" in done.stdout
    assert {record["name"] for record in records(tmp_path / "out")} == {"moving.gif", "dot.png"}


def test_a_missing_file_among_others_fails_at_the_end(tmp_path, model, call):
    picture = save_picture(tmp_path / "x.png")
    done = call("localize", tmp_path / "none.png", picture, picture, "--model", model, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "none.png: no such file" in done.stderr
    assert len(done.stdout.splitlines()) == 1  # named twice, done once


def mistakes(tmp_path, model):
    picture = save_picture(tmp_path / "photos" / "x.png")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("")
    return [
        ([tmp_path / "none.png", "--model", model], "none.png: no such file or folder"),
        ([tmp_path / "nothing", "--model", model], "nothing: no picture in this folder"),
        ([picture, "--model", "sumi"], "no model 'sumi': give one of"),
        ([picture, "--model", tmp_path / "nothing"], "is no model folder: it holds no config.json"),
        ([picture, "--model", model, "--tile-size", "16"], "tile_size=16 leaves no room"),
        ([picture, "--model", model, "--out", tmp_path / "file"], "cannot be the results folder"),
    ]


def test_mistakes_are_one_line_and_exit_code_2(tmp_path, model, call):
    for arguments, message in mistakes(tmp_path, model):
        done = call("localize", "--out", tmp_path / "out", *arguments)
        assert done.returncode == 2, message
        assert done.stdout == ""
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--threshold", "2"], ["--batch-size", "0"], ["--tile-size", "-1"], ["--bogus"]])
def test_options_out_of_range_are_refused(tmp_path, model, call, arguments):
    done = call("localize", save_picture(tmp_path / "x.png"), "--model", model, *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_models_lists_what_ships(call):
    done = call("models")
    assert done.returncode == 0
    assert "sumi-ifl-small" in done.stdout
