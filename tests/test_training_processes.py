"""Runs that are killed, and runs of several processes: real processes, the same bits."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ifl_hub import AutoModelForImageForgeryLocalization
from ifl_hub.training.engine import Trainer
from ifl_hub.training.task import build_task
from test_training import BrightSquares, recipe, weights

TESTS = Path(__file__).parent
CHANGES = {"steps": 9, "validation_every": 3, "validation_samples": 5, "ema_decay": 0.9, "accumulation_steps": 2}


def start(out: Path, processes: int, **changes) -> subprocess.Popen:
    script = [str(TESTS / "training_run.py"), str(out), json.dumps({**CHANGES, **changes})]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, *(launch if processes > 1 else []), *script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=300)
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
    finish(start(folder, processes))
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
