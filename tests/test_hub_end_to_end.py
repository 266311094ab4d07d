"""The Hub from end to end, over real HTTP on this machine, every step in a process of its own.

A tiny model is trained, pushed, loaded by its id with the library and without, online and offline; so are all methods.
One test, because what it looks at takes four processes to make: `check_*` say what must be so.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifl_hub import FaceImageProcessor, IflImageProcessor
from ifl_hub.registration import FACE_CLASSIFICATION_MODELS, LOCALIZATION_MODELS
from mini_hub import MiniHub
from test_training import run as train

HERE = Path(__file__).parent
STATED = ("--licence", "apache-2.0", "--trained-on", "bright squares=cc0-1.0")


def run(hub, home, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=hub.environment(home, **environment), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def make_checkpoints(root):
    """A trained model and an untrained one of every method."""
    torch.manual_seed(0)
    for config_class, model_class in {**LOCALIZATION_MODELS, **FACE_CLASSIFICATION_MODELS}.items():
        folder = root / config_class.model_type
        model_class(config_class.tiny()).save_pretrained(folder)
        is_face = config_class in FACE_CLASSIFICATION_MODELS
        processor = (
            FaceImageProcessor(size={"height": 64, "width": 64})
            if is_face
            else IflImageProcessor(tile_size=64, tile_overlap=16)
        )
        processor.save_pretrained(folder)
    return train(root / "run", steps=4, validation_every=4, validation_samples=2)


@pytest.mark.slow  # two minutes of CPU, most of it four processes that import and load everything
def test_the_hub_from_end_to_end(tmp_path):
    trained = make_checkpoints(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "photo.png")
    methods = [config.model_type for config in (*LOCALIZATION_MODELS, *FACE_CLASSIFICATION_MODELS)]
    folders = {"org/trained": trained} | {f"org/{method}": tmp_path / method for method in methods}
    with MiniHub() as hub:
        world = {"hub": hub, "root": tmp_path, "commands": publish(hub, tmp_path, folders)}
        hub.faults = {"org/breaks": "breaks off", "org/shorter": "shorter", "org/other": "other content"}
        world |= pull(hub, tmp_path, {name: str(folder) for name, folder in folders.items()})
    for name, check in sorted(globals().items()):
        if name.startswith("check_"):
            check(world)


def publish(hub, root, folders):
    """Push everything from one process; what was called, and what came of it."""
    commands = [["push", str(folder), name, "--with-code", *STATED] for name, folder in folders.items()]
    commands += [
        ["push", str(root / "safl_net"), "org/trained", "--revision", "v2", *STATED],
        ["push", str(root / "ncl"), "org/private", "--private", *STATED],
        ["push", str(root / "ncl"), "org/trained", "--private", *STATED],
        ["push", str(root / "ncl"), "org/refused", "--licence", "none of your business", *STATED[2:]],
        *(["push", str(root / "ncl"), f"org/{fault}", *STATED] for fault in ("breaks", "shorter", "other")),
    ]
    results = run(hub, root / "publisher", HERE / "hub_publish.py", root, json.dumps(commands))
    return list(zip(commands, results, strict=True))


def pull(hub, root, folders):
    """Load everything in fresh processes: with the library, without it, and with it once more but offline."""
    same = folders | {"org/plain": str(root / "sumi_ifl"), "org/piped": str(root / "sumi_ifl")}
    localize = ("localize", str(root / "photo.png"), "--out", str(root / "out"), "--model")
    wanted = {
        "same": same,
        "revisions": [["org/trained", "v2", str(root / "safl_net")]],
        "faulty": ["org/breaks", "org/shorter", "org/other", "org/nowhere"],
        "copy": "org/trained",
        "copied": str(root / "copied"),
        "commands": [[*localize, "org/trained@v2"], [*localize, "org/other"]],
    }
    found = {"pulled": run(hub, root / "reader", HERE / "hub_pull.py", json.dumps(wanted))}
    found["requests"] = list(hub.requests)
    alone = {"ids": list(folders), "copy": "org/trained", "copied": str(root / "copied_without")}
    script = ("-I", HERE / "without_library.py", HERE / "hub_pull_without_library.py")
    found["without"] = run(hub, root / "stranger", *script, json.dumps(alone))
    before = len(hub.requests)
    found["offline"] = run(hub, root / "reader", HERE / "hub_pull.py", json.dumps({"same": same}), HF_HUB_OFFLINE="1")
    return {**found, "offline_requests": len(hub.requests) - before}


def check_a_trained_model_goes_to_the_hub_and_comes_back_with_the_library_and_without(world):
    """The results of a fresh process are those of the folder it was trained into (`hub_pull.py` compares them)."""
    ours, theirs = world["pulled"]["same"], world["without"]
    assert "org/trained" in ours and theirs.keys() <= ours.keys() and len(theirs) == 6
    for name, numbers in theirs.items():
        assert numbers == pytest.approx(ours[name], abs=1e-6), name


def check_what_a_repository_holds(world):
    files = world["hub"].repos["org/trained"].files()
    for name in (
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ):
        assert name in files
    assert "modeling_sumi_ifl.py" in files and "pipelines_image_forgery_localization.py" in files
    assert not any(name.endswith((".bin", ".pt", ".jsonl")) for name in files)
    card = files["README.md"].decode()
    assert 'model="org/trained"' in card and "trust_remote_code=True" in card and "bright squares" in card
    assert "library_name: transformers" in card and "Not measured" in card


def check_private_repositories_and_branches(world):
    hub = world["hub"]
    assert hub.repos["org/private"].private and not hub.repos["org/trained"].private
    main, branch = (json.loads(hub.repos["org/trained"].files(name)["config.json"]) for name in ("main", "v2"))
    assert (main["model_type"], branch["model_type"]) == ("sumi_ifl", "safl_net")
    late = result_of(world, "org/trained", "--private")
    assert late["code"] == 2 and "is public" in late["err"] and late["err"].count("\n") == 1


def check_nothing_is_sent_where_a_check_fails(world):
    refused = result_of(world, "org/refused")
    assert refused["code"] == 2 and refused["err"].startswith("error: nothing was sent: licence")
    assert "org/refused" not in world["hub"].repos


def result_of(world, *words):
    [result] = [result for command, result in world["commands"] if set(words) <= set(command)]
    return result


def check_push_to_hub_of_transformers_gives_a_usable_repository(world):
    hub = world["hub"]
    assert {"org/plain", "org/piped"} <= world["pulled"]["same"].keys()
    for name in ("org/plain", "org/piped"):
        config = json.loads(hub.repos[name].files()["config.json"])
        assert "custom_pipelines" not in config and "auto_map" not in config
    assert "ifl-hub" in hub.repos["org/plain"].files()["README.md"].decode()


def check_a_warm_cache_is_used_again_and_is_all_that_offline_needs(world):
    weights = [path for method, path, _ in world["requests"] if method == "GET" and "trained/resolve" in path]
    main = [path for path in weights if path.endswith("model.safetensors")]
    assert len(main) == len(set(main)) == 2  # once for each revision, although loaded several times
    assert world["offline_requests"] == 0
    assert world["offline"]["same"] == world["pulled"]["same"]


def check_a_damaged_download_is_an_error_of_one_line(world):
    errors = world["pulled"]["faulty"]
    for name, (kind, message) in errors.items():
        assert kind.endswith("Error"), (name, kind, message)
    assert errors["org/breaks"][0] == errors["org/shorter"][0] == errors["org/other"][0] == "OSError"
    assert "did not arrive whole" in errors["org/breaks"][1] and "size" in errors["org/shorter"][1]
    assert "damaged" in errors["org/other"][1] and "delete" in errors["org/other"][1]
    localized, refused = world["pulled"]["commands"]
    assert localized["code"] == 0, localized["err"]
    assert refused["code"] == 2 and "damaged" in refused["err"] and refused["err"].strip().count("\n") == 0


def check_fine_tuned_copies_name_no_code_that_is_not_there(world):
    copied, alone = world["root"] / "copied", world["root"] / "copied_without"
    for name in ("config.json", "preprocessor_config.json"):
        values = json.loads((copied / name).read_text())
        assert not {"auto_map", "custom_pipelines"} & values.keys()
    config = json.loads((alone / "config.json").read_text())
    assert "custom_pipelines" not in config
    for reference in config["auto_map"].values():
        assert (alone / f"{reference.partition('.')[0]}.py").is_file()
