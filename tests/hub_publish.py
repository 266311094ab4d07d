"""Publishes from one process: `python hub_publish.py FOLDER JSON`, the commands of `ifl-hub` as a list of lists.

After them what a user of transformers does: `push_to_hub` of model, processor and pipeline. Prints what came out.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from ifl_hub import AutoModelForImageForgeryLocalization, IflImageProcessor, ImageForgeryLocalizationPipeline
from ifl_hub.cli.main import main


def call(arguments):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["ifl-hub", *arguments]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def push_as_transformers_does(folder):
    model = AutoModelForImageForgeryLocalization.from_pretrained(folder)
    processor = IflImageProcessor.from_pretrained(folder)
    model.push_to_hub("org/plain")
    processor.push_to_hub("org/plain")
    ImageForgeryLocalizationPipeline(model=model, image_processor=processor).push_to_hub("org/piped")


if __name__ == "__main__":
    folder, commands = sys.argv[1:]
    results = [call(arguments) for arguments in json.loads(commands)]
    push_as_transformers_does(Path(folder) / "sumi_ifl")
    print(json.dumps(results))
