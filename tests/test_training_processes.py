"""Runs that are killed, and runs of several processes: real processes, the same bits."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from ifl_hub import AutoModelForImageForgeryLocalization
from ifl_hub.training.engine import Trainer
from ifl_hub.training.task import build_task
from test_training import BrightSquares, recipe, weights

TESTS = Path(__file__).parent
ACCELERATE = TESTS.parent / "training_scripts" / "accelerate"
CHANGES = {"steps": 9, "validation_every": 3, "validation_samples": 5, "ema_decay": 0.9, "accumulation_steps": 2}


def start(out: Path, processes: int, sharded: bool = False, **changes) -> subprocess.Popen:
    script = [str(TESTS / "training_run.py"), str(out), json.dumps({**CHANGES, **changes})]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "TRACKIO_DIR": str(out / "trackio")}
    if sharded:
        launch = ["-m", "accelerate.commands.launch", "--config_file", str(ACCELERATE / "fsdp.yaml")]
        launch += ["--num_processes", str(processes), "--main_process_port", "0"]
        environment["ACCELERATE_TORCH_DEVICE"] = "cpu"
    else:
        environment["ACCELERATE_USE_CPU"] = "1"
    return subprocess.Popen(
        [sys.executable, *(launch if processes > 1 else []), *script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-3000:]


def kill_at(process: subprocess.Popen, sample: int) -> None:
    """Kill -9 every process when a sample is asked for that lies within a step, between two checkpoints."""
    found = {process.pid}
    for line in process.stdout:
        if match := re.search(r"sample (\d+) process (\d+)", line):
            found.add(int(match[2]))
            if int(match[1]) >= sample:
                break
    for number in found:
        os.kill(number, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0


@pytest.fixture(scope="module", params=[1, 2])
def processes(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def whole(processes, tmp_path_factory) -> Path:
    """A run that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder, processes, trackers=["trackio"]))
    return folder


def test_a_killed_run_continues_to_the_same_bits(whole, processes, tmp_path):
    kill_at(start(tmp_path, processes, pause=0.02), sample=18 * processes)  # the fifth step; the third has a checkpoint
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-0000003"]
    assert not (tmp_path / "final").exists()
    finish(start(tmp_path, processes))
    one, other = weights(whole / "final"), weights(tmp_path / "final")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert logged(whole) == logged(tmp_path)


def logged(run: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" not in row]


def test_scores_do_not_depend_on_the_number_of_processes(whole):
    """Those that a run logged are those of its weights in one process, to the last bit."""
    [*_, last] = logged(whole)
    task = build_task(recipe(method="safl_net", validation_samples=5))
    model = AutoModelForImageForgeryLocalization.from_pretrained(whole / "final").eval()
    with torch.no_grad():
        scores = task.validate(model, BrightSquares(), None)
    assert {name: last[name] for name in scores} == scores


def test_two_processes_see_the_samples_that_one_process_with_twice_the_batch_sees(tmp_path):
    """Without batch statistics the weights agree but for rounding."""
    changes = {"method": "sumi_ifl", "ema_decay": 0.0, "accumulation_steps": 1, "steps": 3, "optimizer": "sgd"}
    changes |= {"config": {"minimality_weight": 0.0}}
    finish(start(tmp_path / "two", 2, **changes))
    single = {**CHANGES, **changes, "batch_size": 4, "learning_rate": 1e-3}
    Trainer(build_task(recipe(**single)), BrightSquares(), BrightSquares(), tmp_path / "one", num_workers=0).run()
    one, two = weights(tmp_path / "one" / "final"), weights(tmp_path / "two" / "final")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-2, atol=1e-4)
    assert json.loads((tmp_path / "two" / "final" / "training_summary.json").read_text())["processes"] == 2


def test_trackio_gets_losses_scores_and_pictures_once(whole):
    with sqlite3.connect(whole / "trackio" / "ifl-hub.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics").fetchall()
    assert {name for name, _, _ in rows} == {whole.name}
    values = [(step, json.loads(metrics)) for _, step, metrics in rows]
    assert [step for step, row in values if "pixel_f1" in row] == [3, 6, 9]
    assert [step for step, row in values if "loss" in row] == [9]
    assert len([row for _, row in values if "validation" in row]) == 3
    assert len(list((whole / "trackio").rglob("*.png"))) == 3


@pytest.mark.slow
def test_weights_that_fsdp_shares_out_are_saved_whole_and_continue_to_the_same_bits(tmp_path):
    """Two processes, launched with the file that is there for GPUs; the first run agrees with one process."""
    changes = {"method": "sumi_ifl", "optimizer": "sgd", "config": {"minimality_weight": 0.0}}
    finish(start(tmp_path / "whole", 2, sharded=True, **changes))
    kill_at(start(tmp_path / "killed", 2, sharded=True, pause=0.02, **changes), sample=36)
    assert [path.name for path in (tmp_path / "killed").glob("checkpoint-*")] == ["checkpoint-0000003"]
    finish(start(tmp_path / "killed", 2, sharded=True, **changes))
    whole, continued = (weights(tmp_path / name / "final") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    assert logged(tmp_path / "whole") == logged(tmp_path / "killed")
    single = recipe(**{**CHANGES, **changes, "batch_size": 4, "learning_rate": 1e-3})
    Trainer(build_task(single), BrightSquares(), BrightSquares(), tmp_path / "one", num_workers=0).run()
    one = weights(tmp_path / "one" / "final")
    assert one.keys() == whole.keys()
    for name, value in one.items():
        torch.testing.assert_close(whole[name], value, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_the_files_for_gpus_are_what_accelerate_takes(name, monkeypatch):
    arguments = launch_command_parser().parse_args(["--config_file", str(ACCELERATE / f"{name}.yaml"), "train.py"])
    config = load_config_from_file(arguments.config_file)
    assert config.distributed_type == {"ddp": "MULTI_GPU", "fsdp": "FSDP"}[name]
    assert config.num_processes == 2 and config.mixed_precision == "no" and not config.use_cpu
    if name == "fsdp":
        for key, value in config.fsdp_config.items():
            assert hasattr(arguments, key)  # a key that it does not know would be dropped in silence
            monkeypatch.setenv(key.upper(), str(value))
        plugin = FullyShardedDataParallelPlugin()
        assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.auto_wrap_policy) == (2, False, None)
        assert plugin.state_dict_type.name == "FULL_STATE_DICT"


def test_what_cannot_be_continued_exactly_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ValueError, match=r"DeepSpeed.*fsdp\.yaml"):
        Trainer(build_task(recipe()), BrightSquares(), BrightSquares(), tmp_path, num_workers=0)
