"""`ifl-hub evaluate` as a person uses it: one table, results that survive a kill, mistakes in one line."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from transformers.utils import logging

from ifl_hub.cli.main import main
from ifl_hub.reports.gallery import Cell, comparison_grid
from labelled_folder import read_rows, write_folder
from tiny_model import write_model

EMPTY_CELL = Cell(np.zeros((6, 8, 3), np.uint8))
QUICK = ("--model", "baseline:ela", "--model", "baseline:noise")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny", tile_size=64, tile_overlap=16)


@pytest.fixture
def call(monkeypatch, capsys):
    """The command in this process, without the seconds that importing takes, with rough intervals."""
    monkeypatch.setattr("ifl_hub.evaluation.scores.DRAWS", 50)
    verbosity = logging.get_verbosity()

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["ifl-hub", "evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, exit_.value.code, captured.out, captured.err)

    yield run_here
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


def results(out, preset="default"):
    return json.loads((out / f"scores-{preset}" / "results.json").read_text())


def rows(out, name="per_image.csv", preset="default"):
    with (out / f"scores-{preset}" / name).open() as file:
        return list(csv.DictReader(file))


def test_a_model_and_every_baseline_in_one_table(tmp_path, model, call):
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    done = call("--model", model, "--model", "baseline:all", "--data", data, "--split", "validation", "--out", out)
    assert done.returncode == 0, done.stderr
    table = done.stdout.splitlines()
    head = next(line for line in table if line.startswith("model "))
    for column in ("pixel F1", "pixel AUC", "image AUC", "false-alarm area", "alarm rate"):
        assert column in head
    models = [
        str(model),
        *(f"baseline:{n}" for n in ("all-forged", "all-authentic", "random", "ela", "noise", "copy-move")),
    ]
    start = table.index(head) + 1
    assert [line.split()[0] for line in table[start : start + 7]] == models
    assert "data, split validation: 3 forged, 2 authentic, 0 left out" in table[0]
    found = results(out)
    assert found["definition"]["preset"] == "default" and found["definition"]["threshold"] == 0.5
    assert [run["model"] for run in found["runs"]] == models
    assert found["runs"][0]["weights_sha256"] and found["runs"][0]["preprocessing"]["tile_size"] == 64
    assert len(found["data"]["fingerprint"]) == 64 and found["data"]["n_images"] == 5
    values = {run["model"]: run["values"] for run in found["runs"]}
    assert values["baseline:all-forged"]["pixel_recall"] == 1 and values["baseline:all-forged"]["authentic_fpr"] == 1
    assert values["baseline:all-authentic"]["pixel_f1"] == values["baseline:all-authentic"]["authentic_fpr"] == 0
    assert len(rows(out)) == 7 * 5 and {row["definition"] for row in rows(out)} == {"default"}
    assert f"{model}, the worst group first" in done.stdout


def test_a_killed_run_goes_on_to_the_same_bytes_without_repeating_work(tmp_path, model, call):
    data = write_folder(tmp_path / "data", forged=4, authentic=2)
    Image.open(data / "image" / "5.jpg").resize((640, 480)).save(data / "image" / "5.jpg")  # the kill falls in here
    arguments = ("--model", model, "--model", "baseline:ela", "--data", data)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert call(*arguments, "--out", whole).returncode == 0
    command = [sys.executable, "-c", "from ifl_hub.cli.main import main; main()", "evaluate", *map(str, arguments)]
    with subprocess.Popen(
        [*command, "--out", str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 400
        while not list(killed.glob("predictions/*/done.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    finished = {line for path in killed.glob("predictions/*/done.jsonl") for line in path.read_text().splitlines()}
    assert 1 <= len(finished) < 12 and not (killed / "scores-default").exists()
    maps = {path: path.stat().st_mtime_ns for path in killed.glob("predictions/**/*.png")}
    names = {json.loads(line)["name"] for line in finished}
    assert call(*arguments, "--out", killed).returncode == 0
    again = [path for path, when in maps.items() if path.stat().st_mtime_ns != when]
    assert len(again) <= len(maps) - len(names)  # at most the map whose line was not written yet
    for path in killed.glob("predictions/*/done.jsonl"):
        assert len(path.read_text().splitlines()) == 6
    for name in ("results.json", "per_image.csv", "groups.csv", "summary.txt"):
        assert (killed / "scores-default" / name).read_bytes() == (whole / "scores-default" / name).read_bytes()
    maps = {path: path.stat().st_mtime_ns for path in killed.glob("predictions/**/*")}
    assert call(*arguments, "--out", killed).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in killed.glob("predictions/**/*")} == maps
    assert not list(killed.rglob("*.tmp"))


def test_two_processes_share_the_work_and_one_reports_the_same_bytes(tmp_path, call):
    data = write_folder(tmp_path / "data", forged=4, authentic=3)
    arguments = ("--model", "baseline:ela", "--model", "baseline:noise", "--data", data)
    one, two = tmp_path / "one", tmp_path / "two"
    assert call(*arguments, "--out", one).returncode == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ifl_hub"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, "evaluate", *map(str, arguments), "--out", str(two)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("false-alarm area") == 1
    for run in two.glob("predictions/*"):
        names = [json.loads(line)["name"] for path in run.glob("done*.jsonl") for line in path.read_text().splitlines()]
        assert len(list(run.glob("done*.jsonl"))) == 2 and len(names) == len(set(names)) == 7
    assert (two / "scores-default" / "per_image.csv").read_bytes() == (
        one / "scores-default" / "per_image.csv"
    ).read_bytes()
    assert call(*arguments, "--out", two).returncode == 0  # the same number of bootstrap draws, nothing predicted again
    assert not [path for path in two.glob("predictions/*/done.jsonl") if len(path.read_text().splitlines()) == 7]
    for name in ("results.json", "per_image.csv", "groups.csv", "summary.txt"):
        assert (two / "scores-default" / name).read_bytes() == (one / "scores-default" / name).read_bytes()


def test_another_definition_needs_neither_images_nor_model(tmp_path, model, call):
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    first = call("--model", model, *QUICK, "--data", data, "--out", out)
    shutil.rmtree(data)
    again = call("--rescore", out, "--preset", "imdlbenco")
    assert again.returncode == 0 and "definition imdlbenco" in again.stdout
    assert results(out, "imdlbenco")["runs"][0]["values"]["pixel_f1"] < results(out)["runs"][0]["values"]["pixel_f1"]
    other = call("--rescore", out, "--threshold", "0.1")
    assert other.returncode == 0
    assert results(out, "default-threshold-0.1")["definition"]["threshold"] == 0.1
    before = (out / "scores-default" / "per_image.csv").read_bytes()
    assert call("--rescore", out).returncode == 0
    assert (out / "scores-default" / "per_image.csv").read_bytes() == before
    assert first.returncode == 0


def test_a_grid_has_its_clean_column_first_and_a_picture(tmp_path, call):
    pytest.importorskip("matplotlib", reason="drawing needs the report extra")
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    grid = "jpeg_quality_90,jpeg_quality_50,resize_factor_0.5"
    done = call(*QUICK, "--data", data, "--out", out, "--robustness", grid)
    assert done.returncode == 0, done.stderr
    table = rows(out, "robustness.csv")
    assert list(table[0]) == ["model", "metric", "clean", *grid.split(",")]
    clean = {run["model"]: run["values"] for run in results(out)["runs"] if run["condition"] == "clean"}
    assert all(float(row["clean"]) == clean[row["model"]][row["metric"]] for row in table)
    with Image.open(out / "scores-default" / "curves.png") as picture:
        assert picture.format == "PNG"
    curves = results(out)["curves"]
    assert {curve["family"] for curve in curves} == {"jpeg_quality", "resize_factor"}
    assert "Areas under the robustness curves" in done.stdout
    alone = tmp_path / "alone"
    call(*QUICK, "--data", data, "--out", alone)
    assert results(alone)["runs"] == [run for run in results(out)["runs"] if run["condition"] == "clean"]


def test_a_papers_numbers_are_marked_and_apart(tmp_path, call):
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    done = call(*QUICK, "--data", data, "--out", out, "--protocol", "ncl/table_1")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "definition paper_ncl" in done.stdout
    assert all(line.startswith("paper") for line in lines if "NCL" in line or "0.5980" in line)
    assert "0.5980" in done.stdout and "3 forged images, the paper has 920" in done.stdout
    assert "NCL" not in (out / "scores-paper_ncl" / "per_image.csv").read_text()


def test_what_was_left_out_is_said(tmp_path, call):
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    (data / "image" / "1.jpg").write_bytes(b"")
    done = call(*QUICK, "--data", data, "--out", out)
    assert done.returncode == 0
    assert "left out: image/1.jpg: the file is empty" in done.stdout
    assert results(out)["data"]["skipped"] == ["image/1.jpg: the file is empty (0 bytes); get the original again"]
    assert str(tmp_path) not in (out / "scores-default" / "results.json").read_text()


def test_parquet_holds_the_same_rows(tmp_path, call):
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow, which datasets brings")
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    assert call(*QUICK, "--data", data, "--out", out, "--parquet").returncode == 0
    table = parquet.read_table(out / "scores-default" / "per_image.parquet").to_pylist()
    assert [row["file_name"] for row in table] == [row["file_name"] for row in rows(out)]
    assert [repr(row["pixel_f1"] or "") for row in table] == [
        repr(float(r["pixel_f1"]) if r["pixel_f1"] else "") for r in rows(out)
    ]


def mistakes(tmp_path):
    data = write_folder(tmp_path / "data")
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(data / "metadata.jsonl", other)
    return [
        ([], "give either --data DIR to judge images, or --rescore DIR"),
        (["--data", data, "--rescore", data], "give either --data DIR"),
        (["--rescore", empty], "holds no evaluation"),
        (["--rescore", empty, "--model", "baseline:ela"], "leave away --model"),
        (["--data", empty], "metadata.jsonl is missing"),
        (["--data", other, *QUICK], "no image can be scored"),
        (["--data", data, "--split", "test"], "no row of split 'test'; it has validation"),
        (["--data", data, "--model", "baseline:elaa"], "no baseline 'elaa': choose from all-forged"),
        (["--data", data, "--model", "sumi"], "no model 'sumi': give one of"),
        (["--data", data, "--preset", "truefor"], "did you mean 'trufor'"),
        (["--data", data, "--threshold", "high"], "threshold='high' is unknown"),
        (["--data", data, "--threshold", "2"], "threshold=2.0 is no probability"),
        (["--data", data, "--robustness", "jpg"], "no robustness grid or condition 'jpg'"),
        (["--data", data, "--protocol", "ncl"], "no protocol 'ncl': choose from"),
        (["--data", data, *QUICK, "--protocol", "sumi_ifl/table_3"], "has no data set 'casia1'"),
        (["--data", data, *QUICK, "--out", data / "metadata.jsonl"], "cannot hold results"),
    ]


def test_mistakes_are_one_line_and_exit_code_2(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, message in mistakes(tmp_path):
        done = call(*arguments)
        assert done.returncode == 2, message
        assert done.stdout == ""
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("cv2", ["--model", "baseline:copy-move"]), ("matplotlib", [*QUICK, "--robustness", "gamma_0.7,gamma_1.5"])],
)
def test_a_missing_package_is_named(tmp_path, call, monkeypatch, package, arguments):
    data, out = write_folder(tmp_path / "data", forged=1, authentic=1), tmp_path / "out"
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    done = call(*arguments, "--data", data, "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {package}") and "is missing: pip install" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_default_out_is_named_after_the_data(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_folder(tmp_path / "casia")
    assert call(*QUICK, "--data", data, "--split", "validation").returncode == 0
    assert (tmp_path / "out" / "evaluation" / "casia-validation" / "scores-default" / "results.json").is_file()
    assert len(read_rows(data)) == 5


def test_the_gallery_shows_every_localizer_and_the_worst_with_the_reason(tmp_path, call):
    data, out = write_folder(tmp_path / "data", forged=4, authentic=1), tmp_path / "out"
    done = call(*QUICK, "--data", data, "--split", "validation", "--out", out, "--gallery")
    assert done.returncode == 0, done.stderr
    results_folder = out / "scores-default"
    for name in ("gallery.jpg", "worst.jpg"):
        with Image.open(results_folder / name) as sheet:
            assert sheet.size == comparison_grid(["image", "mask", *QUICK[1::2]], [[EMPTY_CELL] * 4] * 4).size
    lines = (results_folder / "worst.md").read_text().splitlines()[2:]
    found = {
        row["file_name"]: float(row["pixel_f1"])
        for row in rows(out)
        if row["model"] == "baseline:ela" and row["pixel_f1"]
    }
    assert [line.split("`")[1] for line in lines] == sorted(found, key=found.get)
    assert all(" of the picture; " in line for line in lines)
    assert not (tmp_path / "data" / "gallery.jpg").exists()
    refused = call("--rescore", out, "--gallery")
    assert refused.returncode == 2 and "leave away" in refused.stderr and "--gallery" in refused.stderr
