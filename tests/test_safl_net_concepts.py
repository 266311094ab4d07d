"""The script of SAFL-Net's concept test: its examples are what it says they are, and it runs end to end."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifl_hub import IflImageProcessor, SaflNetConfig, SaflNetForImageForgeryLocalization
from ifl_hub.evaluation import read_labelled_images

SCRIPT = Path(__file__).parent.parent / "training_scripts" / "safl_net_concepts.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("safl_net_concepts", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six red objects of category 1 and two of category 2, four grey photos, three forged images and a tiny model."""
    root = tmp_path_factory.mktemp("concepts")
    rng = np.random.default_rng(0)
    for name in ("cutouts", "photos", "forged"):
        (root / name).mkdir()
    rows = []
    for index in range(8):
        pixels = np.zeros((40 + index, 30, 4), np.uint8)
        pixels[5:35, 5:25] = (200, 30, 30, 255)
        Image.fromarray(pixels, "RGBA").save(root / "cutouts" / f"{index}.png")
        rows.append({"file_name": f"{index}.png", "category": 1 if index < 6 else 2})
    (root / "cutouts" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for index in range(4):
        grey = rng.integers(90, 160, (120, 150, 1), np.uint8).repeat(3, 2)
        Image.fromarray(grey).save(root / "photos" / f"{index}.jpg")
    rows = []
    for index in range(3):
        Image.fromarray(rng.integers(0, 255, (70, 90, 3), np.uint8)).save(root / "forged" / f"{index}.png")
        mask = np.zeros((70, 90), np.uint8)
        mask[10:60, 20:70] = 255
        Image.fromarray(mask).save(root / "forged" / f"{index}_mask.png")
        rows.append({"file_name": f"{index}.png", "mask_file_name": f"{index}_mask.png", "label": "forged"})
    (root / "forged" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    torch.manual_seed(0)
    SaflNetForImageForgeryLocalization(SaflNetConfig.tiny()).save_pretrained(root / "model")
    IflImageProcessor().save_pretrained(root / "model")
    return root


def test_counterparts_differ_from_their_object_only_in_what_the_region_shows(script, folders):
    photos = sorted((folders / "photos").glob("*.jpg"))
    examples = script.make_examples([folders / "cutouts" / "0.png"], photos, most=5, size=64, seed=0)
    [[(picture, alpha), *counterparts]] = examples
    assert len(counterparts) == script.COUNTERPARTS >= 2
    assert picture.shape == (64, 64, 3)
    assert 0.02 < (alpha > 0.5).mean() < 0.75**2
    assert (picture[alpha == 1][:, 0] > 150).all() and np.ptp(picture[alpha == 0], axis=1).max() < 40
    for other, region in counterparts:
        assert np.array_equal(region, alpha)
        assert np.ptp(other[region == 1].astype(int), axis=1).max() < 40  # grey, as the photos are
    assert len({other.tobytes() for other, _ in counterparts}) == len(counterparts)


def test_concepts_join_categories_and_small_ones_are_left_out(script, folders):
    both = script.group_by_concept(folders / "cutouts", script.parse_concepts(["red=1,2"]), least=7)
    assert {name: len(paths) for name, paths in both.items()} == {"red": 8}
    assert list(script.group_by_concept(folders / "cutouts", {}, least=3)) == ["1"]
    with pytest.raises(ValueError, match="lower --least"):
        script.group_by_concept(folders / "cutouts", {}, least=9)
    with pytest.raises(ValueError, match="NAME=CATEGORY"):
        script.parse_concepts(["red"])


def test_the_gradient_is_the_slope_of_the_forged_regions_logit(script, folders):
    """Moving the deepest features of the region's cells together changes the mean forged logit by that slope."""
    model = SaflNetForImageForgeryLocalization.from_pretrained(folders / "model").eval().double()
    processor = IflImageProcessor.from_pretrained(folders / "model")
    [image, *_] = read_labelled_images(folders / "forged")
    pixels = processor(np.asarray(Image.open(image.image)))["pixel_values"].double()
    forged = torch.zeros(70, 90, dtype=torch.bool)
    forged[10:60, 20:70] = True
    gradient = script.forgery_gradient(model, lambda _: {"pixel_values": pixels}, image)
    direction = torch.from_numpy(np.random.default_rng(1).normal(size=gradient.shape))
    share = script.grid_share(forged.double()[None])[0]

    def forged_logit(step):
        def move(_module, _inputs, levels):
            return [*levels[:-1], levels[-1] + step * share * direction[:, None, None]]

        handle = model.encoder.register_forward_hook(move)
        with torch.no_grad():
            value = model(pixels).logits[0, 0][forged].mean().item()
        handle.remove()
        return value

    slope = (forged_logit(1e-7) - forged_logit(-1e-7)) / 2e-7
    assert slope == pytest.approx(float(gradient @ direction.numpy()), rel=1e-3)
    assert abs(slope) > 1e-9


def test_the_script_runs_and_names_the_users_mistake(folders, tmp_path):
    command = [sys.executable, str(SCRIPT), "--models", str(folders / "model"), "--photos", str(folders / "photos")]
    command += ["--cutouts", str(folders / "cutouts"), "--data", str(folders / "forged"), "--out", str(tmp_path / "o")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    common = {"capture_output": True, "text": True, "env": environment}
    done = subprocess.run([*command, "--size", "64", "--least", "4", "--concept", "red=1,2"], **common)
    assert done.returncode == 0, done.stderr
    [results] = json.loads((tmp_path / "o").read_text()).values()
    assert results["red"]["examples"] == 8
    assert 0 <= results["red"]["score"] <= 1
    assert "| red | 8 |" in done.stdout
    refused = subprocess.run([*command, "--size", "50"], **common)
    assert refused.returncode == 1 and "multiple of 32" in refused.stderr and "Traceback" not in refused.stderr
