"""Loads checkpoints by Hub id and compares them with the folders they were pushed from: `python hub_pull.py JSON`.

JSON: `same` as id -> folder, `faulty` ids, `copy` and `copied` an id and a folder to save it to, `commands` of
`ifl-hub`. Prints scores by id, the error of each faulty id, and what the commands printed.
"""

import json
import sys

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline
from transformers.utils import logging

import ifl_hub
from hub_publish import call
from ifl_hub.registration import FACE_CLASSIFICATION_MODELS


def picture():
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def judge(name, **options):
    """The pipeline's result on the picture, as numbers."""
    is_face = type(AutoModel.from_pretrained(name, **options).config) in FACE_CLASSIFICATION_MODELS
    if is_face:
        pipe = pipeline("deepfake-detection", model=name, face_cropper="none", **options)
        return {"score": pipe(picture())["score"]}
    pipe = pipeline("image-forgery-localization", model=name, **options)
    result = pipe(picture())
    return {"score": result["score"], "mean": float(result["heatmap"].mean()), "map": result["heatmap"].tolist()}


def load(name, **options):
    kind = ifl_hub.AutoModelForImageForgeryLocalization
    if "exposing" in name:
        kind = AutoModelForImageClassification
    return kind.from_pretrained(name, **options)


def compare(name, folder, **options):
    there, here = load(name, **options).state_dict(), load(folder).state_dict()
    assert there.keys() == here.keys() and all(torch.equal(there[key], here[key]) for key in here), name
    result = judge(name, **options)
    assert result == judge(folder), name
    result.pop("map", None)
    return result


def error_of(name):
    try:
        load(name)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def save_copy(name, folder):
    """As after a fine-tuning."""
    load(name).save_pretrained(folder)
    AutoImageProcessor.from_pretrained(name).save_pretrained(folder)


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    wanted = json.loads(sys.argv[1])
    found = {"same": {name: compare(name, folder) for name, folder in wanted.get("same", {}).items()}}
    for name, revision, folder in wanted.get("revisions", []):
        compare(name, folder, revision=revision)
    found["faulty"] = {name: error_of(name) for name in wanted.get("faulty", [])}
    if "copy" in wanted:
        save_copy(wanted["copy"], wanted["copied"])
    found["commands"] = [call(arguments) for arguments in wanted.get("commands", [])]
    print(json.dumps(found))
