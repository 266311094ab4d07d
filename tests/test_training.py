"""Training from the user's point of view: recipes say what they mean, a run learns, stops and continues."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifl_hub import AutoModelForImageForgeryLocalization, IflImageProcessor
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.ema import WeightAverage
from ifl_hub.training.engine import Trainer
from ifl_hub.training.recipe import RECIPES
from ifl_hub.training.sources import photo_pools
from ifl_hub.training.task import build_task

ROOT = Path(__file__).parent.parent


class BrightSquares:
    """Samples a tiny network can learn: the forged square is brighter. Asking beyond `last` is an interruption."""

    def __init__(self, last: int = 10**9) -> None:
        self.last = last

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> dict:
        if index > self.last:
            raise KeyboardInterrupt
        rng = np.random.default_rng(index)
        image = rng.integers(40, 80, (32, 32, 3), np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        if index % 4:
            top, left = rng.integers(0, 20, 2)
            mask[top : top + 12, left : left + 12] = 1
            image[mask == 1] += 120
        return {"image": image, "mask": mask}


def recipe(**changes) -> Recipe:
    defaults = {
        "method": "sumi_ifl",
        "shape": "tiny",
        "batch_size": 4,
        "steps": 6,
        "learning_rate": 1e-2,
        "validation_samples": 8,
        "validation_every": 3,
        "ema_decay": 0.9,
    }
    return Recipe(**{**defaults, **changes})


def trainer(directory: Path, settings: Recipe, data: BrightSquares | None = None) -> Trainer:
    train_data = data or BrightSquares()
    return Trainer(build_task(settings), train_data, BrightSquares(), directory, num_workers=0)


def run(directory: Path, last: int = 10**9, **changes) -> Path:
    return trainer(directory, recipe(**changes), BrightSquares(last)).run()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForImageForgeryLocalization.from_pretrained(folder).state_dict()


def test_a_run_learns_and_leaves_a_loadable_model_with_its_processor(tmp_path):
    final = run(tmp_path, steps=60, validation_every=60, ema_decay=0.5, learning_rate=2e-2)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["pixel_auc"] > 0.9
    model = AutoModelForImageForgeryLocalization.from_pretrained(final)
    sample = BrightSquares()[1]
    logits = model(**IflImageProcessor.from_pretrained(final)(sample["image"])).logits[0, 0].detach().numpy()
    assert logits[sample["mask"] == 1].mean() > logits[sample["mask"] == 0].mean()
    assert Image.open(tmp_path / "validation.png").size[0] > 100
    summary = json.loads((final / "training_summary.json").read_text())
    assert summary["recipe"]["steps"] == 60 and len(summary["weights_sha256"]) == 64


def test_an_interrupted_run_continues_to_the_same_bits(tmp_path):
    whole = weights(run(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", last=17)  # stops within the fifth step; the checkpoint of step 3 stays
    continued = weights(run(tmp_path / "broken"))
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[name], continued[name]) for name in whole)


def test_two_runs_with_one_seed_agree_and_another_seed_differs(tmp_path):
    first, second, other = (weights(run(tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_student_without_masks_to_learn_from_learns_from_its_teacher(tmp_path):
    teacher = run(tmp_path / "teacher", steps=60, validation_every=60, ema_decay=0.5, learning_rate=2e-2)

    class NoMasks(BrightSquares):
        def __getitem__(self, index: int) -> dict:
            return {**super().__getitem__(index), "mask": np.full((32, 32), 255, np.uint8)}

    settings = {"steps": 60, "validation_every": 60, "ema_decay": 0.5, "learning_rate": 2e-2, "seed": 1}
    settings |= {"teacher": str(teacher), "config": {"auxiliary_weight": 0.0, "minimality_weight": 0.0}}
    student = recipe(**settings)
    trainer(tmp_path / "student", student, NoMasks()).run()
    rows = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["pixel_auc"] > 0.8
    assert rows[-2]["teacher"] < rows[0]["teacher"]


def test_a_teacher_that_expects_other_pixels_is_refused(tmp_path):
    teacher = run(tmp_path / "teacher", processor={"image_mean": [0.4, 0.4, 0.4]})
    with pytest.raises(ValueError, match="normalises pixels otherwise"):
        run(tmp_path / "student", teacher=str(teacher))


def test_plain_sgd_on_the_poly_schedule(tmp_path):
    """One parameter group of the first step, followed by hand: nothing clipped, no warm-up, decay on kernels only."""
    settings = {"optimizer": "sgd", "schedule": "poly", "steps": 4, "momentum": 0.8, "max_grad_norm": 0.0}
    by_hand = trainer(tmp_path, recipe(**settings, ema_decay=0.0, weight_decay=0.1))
    kernel = next(parameter for parameter in by_hand.bare_model.parameters() if parameter.ndim == 4)
    before, seen = kernel.detach().clone(), []
    by_hand.optimizer.optimizer.register_step_pre_hook(lambda *_: seen.append(kernel.grad.clone()))
    by_hand.optimizer.optimizer.register_step_post_hook(lambda *_: seen.append(kernel.detach().clone()))
    by_hand.run()
    momentum = torch.zeros_like(before)
    for step in range(4):
        gradient, after = seen[2 * step : 2 * step + 2]
        momentum = 0.8 * momentum + gradient + 0.1 * before
        before = before - 1e-2 * (1 - step / 4) ** 0.9 * momentum
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)


def test_the_step_schedule_halves_the_rate_after_the_warm_up(tmp_path):
    trainer(tmp_path, recipe(schedule="halving", halving_steps=20, warmup_steps=4, steps=60, validation_every=60)).run()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    rates = [row["learning_rate"] * 20 / 1e-2 for row in rows if "learning_rate" in row]  # sums over 20 steps
    assert rates == pytest.approx([0.25 + 0.5 + 0.75 + 1 + 16, 4 + 16 / 2, 4 / 2 + 16 / 4])


def test_validation_is_on_the_samples_own_pixels_where_the_processor_resizes(tmp_path):
    run(tmp_path, steps=1, processor={"do_resize": True, "size": {"height": 48, "width": 40}})
    [row] = [
        row for line in (tmp_path / "log.jsonl").read_text().splitlines() if "pixel_auc" in (row := json.loads(line))
    ]
    assert 0 <= row["pixel_auc"] <= 1


def test_the_fingerprint_tells_recipes_apart_and_ignores_what_says_nothing():
    assert recipe().fingerprint() == recipe(optimizer="adamw", schedule="cosine").fingerprint()
    changes = ({}, {"optimizer": "sgd"}, {"schedule": "poly"}, {"seed": 3}, {"config": {"base_channels": 8}})
    assert len({recipe(**change).fingerprint() for change in changes}) == len(changes)


def test_the_fingerprint_does_not_tell_where_the_recipe_lies(tmp_path):
    shipped = load_recipe("ncl_small")
    copied = tmp_path / "ncl_small.yaml"
    copied.write_text((RECIPES / "ncl_small.yaml").read_text())
    assert load_recipe(copied).pictures != shipped.pictures
    assert load_recipe(copied).fingerprint() == shipped.fingerprint()


def test_a_folder_of_another_recipe_is_not_overwritten(tmp_path):
    run(tmp_path, steps=1)
    with pytest.raises(ValueError, match="another recipe"):
        run(tmp_path, steps=2)


def test_only_one_complete_checkpoint_is_kept(tmp_path):
    run(tmp_path)
    assert [path.name for path in tmp_path.glob("*checkpoint-*")] == ["checkpoint-0000006"]


def test_the_average_follows_the_weights_and_starts_at_them():
    model = torch.nn.Linear(2, 1)
    average = WeightAverage(model, decay=0.5)
    assert torch.equal(average.average["weight"], model.weight)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    average.update(model)
    decay = 2 / 11  # min(0.5, (1 + 1) / (10 + 1))
    torch.testing.assert_close(average.average["weight"], before * decay + (before + 1) * (1 - decay))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path):
    if path.stem == "fine_tune":
        assert load_recipe(path.stem, ["weights=safl-net-lite0"]).method == "safl_net"
    else:
        assert path.stem.startswith(load_recipe(path.stem).method)


def test_overrides_reach_into_mappings_and_keep_their_types():
    changed = load_recipe("sumi_ifl_small", ["learning_rate=5e-4", "config.sufficiency_weight=0", "steps=7"])
    assert changed.learning_rate == 5e-4 and changed.config["sufficiency_weight"] == 0 and changed.steps == 7
    assert "positive_weight" in changed.config
    assert load_recipe("ncl_small").mixed_precision == "bf16"
    assert load_recipe("ncl_small", ["mixed_precision=no"]).mixed_precision == "no"  # which YAML reads as False


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("step=5", "did you mean 'steps'"),
        ("steps", "needs key=value"),
        ("steps=many", "must be a number"),
        ("steps=1.5", "whole number"),
        ("steps=0", "at least 1"),
        ("ema_decay=1", "ema_decay"),
        ("optimizer=adam", "adamw, sgd"),
        ("schedule=linear", "cosine, poly, halving"),
        ("schedule=halving", "belong together"),
        ("halving_steps=5", "belong together"),
        ("compile=inducter", "false, true, aot_eager, eager; got 'inducter'"),
        ("accumulation_steps=0", "at least 1"),
        ("authentic_share=1.5", "share"),
        ("patience=3", "needs a metric"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("sumi_ifl_small", [override])


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(ValueError, match="sumi_ifl_small"):
        load_recipe("nothing")


def photo_folder(folder: Path, count: int = 14) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)
        grain = np.asarray(coarse, np.int16) + rng.integers(-12, 12, (120, 160, 3))
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(folder / f"{index:02d}.png")
    cut = np.zeros((40, 40, 4), np.uint8)
    cut[8:32, 8:32] = 200
    Image.fromarray(cut, "RGBA").save(folder / "object.png")
    return folder


def test_pools_of_a_users_own_folder_share_no_photo_and_find_the_cutouts(tmp_path):
    train, validation = photo_pools([photo_folder(tmp_path / "photos", 40)], None)
    assert len(train) + len(validation) == 40
    assert len(validation) >= 1 and not set(train.photos) & set(validation.photos)
    assert len(train.cutouts) + len(validation.cutouts) == 1


def test_the_command_runs_on_a_folder_of_photos_and_names_the_users_mistake(tmp_path):
    photos = photo_folder(tmp_path / "photos", 40)
    own = tmp_path / "own.yaml"
    own.write_text(
        "method: sumi_ifl\nshape: tiny\ncrop_size: 48\nbatch_size: 2\nsteps: 2\n"
        "validation_samples: 2\nvalidation_every: 2\n"
    )
    script = [sys.executable, str(ROOT / "training_scripts" / "train.py")]
    common = ["--pictures", str(photos), "--out", str(tmp_path / "run")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*script, "--recipe", str(own), *common], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "final" / "model.safetensors").exists()
    refused = subprocess.run(
        [*script, "--recipe", "sumi_ifl_small", *common], capture_output=True, text=True, env=environment
    )
    assert refused.returncode == 2 and "not in the picture manifest" in refused.stderr
    assert "Traceback" not in refused.stderr
