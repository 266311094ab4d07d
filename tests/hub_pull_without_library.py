"""Loads checkpoints by Hub id with the code that lies beside them: `without_library.py` runs it, with a JSON.

JSON: `ids`, `copy` and `copied`, an id and a folder to save it to. Prints scores by id.
"""

import json
import sys

import numpy as np
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    pipeline,
)
from transformers.utils import logging

TRUSTED = {"trust_remote_code": True}


def judge(name):
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    if "exposing" in name:
        assert AutoModelForImageClassification.from_pretrained(name, **TRUSTED) is not None
        pipe = pipeline("deepfake-detection-remote", model=name, face_cropper="none", **TRUSTED)
        return {"score": pipe(picture)["score"]}
    result = pipeline("image-forgery-localization-remote", model=name, **TRUSTED)(picture)
    assert pipeline(model=name, **TRUSTED)(picture)["score"] == result["score"]  # the only task there is
    return {"score": result["score"], "mean": float(result["heatmap"].mean())}


def load(name):
    model = AutoModel.from_pretrained(name, **TRUSTED)
    processor = AutoImageProcessor.from_pretrained(name, **TRUSTED)
    for part in (model, processor, AutoConfig.from_pretrained(name, **TRUSTED)):
        assert type(part).__module__.startswith("transformers_modules."), part
    return model, processor


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    wanted = json.loads(sys.argv[1])
    found = {}
    for name in wanted["ids"]:
        load(name)
        found[name] = judge(name)
    model, processor = load(wanted["copy"])
    model.save_pretrained(wanted["copied"])
    processor.save_pretrained(wanted["copied"])
    again, _ = load(wanted["copied"])
    assert all((again.state_dict()[key] == value).all() for key, value in model.state_dict().items())
    assert "ifl_hub" not in sys.modules
    print(json.dumps(found))
