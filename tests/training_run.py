"""A run that tests kill: `python training_run.py OUT JSON`, the recipe's changes as JSON; also under torchrun.

It says which sample each process asks for, and can sleep a little at each, so that a test can choose when to kill it.
Under `accelerate launch` with FSDP it runs without a GPU.
"""

import json
import os
import sys
import time
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import DistributedType

from ifl_hub.training import Recipe
from ifl_hub.training.engine import Trainer
from ifl_hub.training.task import build_task
from test_training import BrightSquares


class Announced(BrightSquares):
    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause

    def __getitem__(self, index: int) -> dict:
        print(f"sample {index} process {os.getpid()}", flush=True)
        time.sleep(self.pause)
        return super().__getitem__(index)


def main(out: str, changes: str) -> None:
    values = {"method": "safl_net", "shape": "tiny", "batch_size": 2, "learning_rate": 1e-3, **json.loads(changes)}
    pause = values.pop("pause", 0.0)
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        # PyTorch shares weights out among CPUs too; accelerate asks for it only where it sees several GPUs.
        PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    Trainer(build_task(Recipe(**values)), Announced(pause), BrightSquares(), Path(out), num_workers=0).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
