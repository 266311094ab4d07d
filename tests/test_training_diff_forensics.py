"""The stages of DiffForensics in the common loop: distilled encoder, denoising and fine-tuning, one from another."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import MobileNetV2Config, MobileNetV2ForSemanticSegmentation, SegformerForSemanticSegmentation

pytest.importorskip("diffusers")

from ifl_hub import (
    AutoModelForImageForgeryLocalization,
    DiffForensicsForPreTraining,
    IflImageProcessor,
    SimplexDDPMScheduler,
)
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.engine import Trainer
from ifl_hub.training.recipe import RECIPES
from ifl_hub.training.task import build_task


class Stripes:
    """Pictures with a brighter square; asking beyond `last` is an interruption."""

    def __init__(self, last=10**9):
        self.last = last

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index):
        if index > self.last:
            raise KeyboardInterrupt
        rng = np.random.default_rng(index)
        image = rng.integers(0, 99, (32, 32, 3), np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[4:16, 8:20] = 1
        image[mask == 1] += 120
        return {"image": image, "mask": mask}


def train(folder, last=10**9, **changes):
    values = {"method": "diff_forensics", "shape": "tiny", "batch_size": 2, "steps": 4, "learning_rate": 1e-2}
    recipe = Recipe(**{**values, "validation_samples": 4, "validation_every": 2, "ema_decay": 0.5, **changes})
    return Trainer(build_task(recipe), Stripes(last), Stripes(), folder, num_workers=0).run()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    config = MobileNetV2Config(depth_multiplier=0.1, num_labels=3, image_size=32, output_stride=16)
    MobileNetV2ForSemanticSegmentation(config).save_pretrained(folder)
    return str(folder)


def test_each_stage_starts_from_the_one_before(tmp_path, teacher):
    encoder = train(tmp_path / "encoder", task="distillation", teacher=teacher)
    student = SegformerForSemanticSegmentation.from_pretrained(encoder)
    assert student.config.num_labels == 3
    processor = {"image_mean": [0.4, 0.4, 0.4], "image_std": [0.2, 0.2, 0.2]}
    scheduler = {"noise_type": "simplex", "num_train_timesteps": 100}
    denoised = train(
        tmp_path / "denoised",
        task="denoising",
        encoder_weights=str(encoder),
        processor=processor,
        options={"scheduler": scheduler},
    )
    model = DiffForensicsForPreTraining.from_pretrained(denoised)
    for name, value in student.segformer.state_dict().items():
        assert torch.equal(model.diff_forensics.encoder.state_dict()[name], value), name  # frozen
    assert SimplexDDPMScheduler.from_pretrained(denoised, subfolder="scheduler").config["num_train_timesteps"] == 100
    assert IflImageProcessor.from_pretrained(denoised).image_mean == (0.4, 0.4, 0.4)
    rows = [json.loads(line) for line in (tmp_path / "denoised" / "log.jsonl").read_text().splitlines()]
    assert {"denoising", "quarter_1", "quarter_4"} <= set(rows[-1])
    assert Image.open(tmp_path / "denoised" / "validation.png").width == 4 * 36
    start = build_task(Recipe("diff_forensics", "tiny", weights=str(denoised))).build_model()
    for name, value in model.diff_forensics.state_dict().items():
        assert torch.equal(start.diff_forensics.state_dict()[name], value), name
    final = train(tmp_path / "final", weights=str(denoised))
    assert AutoModelForImageForgeryLocalization.from_pretrained(final).config.model_type == "diff_forensics"


def test_an_interrupted_denoising_run_continues_to_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole", task="denoising")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", last=5, task="denoising")
    parts = train(tmp_path / "parts", task="denoising")
    states = [DiffForensicsForPreTraining.from_pretrained(folder).state_dict() for folder in (whole, parts)]
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())


def test_the_teacher_sees_the_pixels_it_expects(teacher):
    recipe = Recipe("diff_forensics", "tiny", task="distillation", teacher=teacher)
    image = Stripes()[0]["image"]
    divergences = []
    for mean in ([0.5] * 3, [0.2] * 3):
        task = build_task(Recipe(**{**vars(recipe), "processor": {"image_mean": mean, "image_std": mean}}))
        taught, _ = task._both(task.teacher, task.collate([{"image": image}])["pixel_values"])
        divergences.append(taught)
    torch.testing.assert_close(*divergences, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "denoising", "options": {"noise": "simplex"}}, "no option noise"),
        ({"task": "denoising", "options": {"scheduler": {"noise": 1}}}, "options.scheduler"),
        ({"task": "denoising", "options": {"scheduler": {"noise_type": "perlin"}}}, "simplex, gaussian"),
        ({"task": "distillation"}, "needs a teacher"),
        ({"task": "distillation", "teacher": "runs/no/teacher"}, "there is no folder runs/no/teacher"),
    ],
)
def test_impossible_recipes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build_task(Recipe("diff_forensics", "tiny", **changes))


def test_a_forgotten_stage_is_named():
    for name in ("diff_forensics_small_denoising", "diff_forensics_small"):
        with pytest.raises(ValueError, match=r"there is no folder runs/.*; run the stage that makes it first"):
            build_task(load_recipe(name)).build_model()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("diff_forensics*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_can_be_read(path):
    recipe = load_recipe(path)
    assert recipe.build_config().model_type == "diff_forensics"
    assert recipe.processor["image_mean"] == [0.485, 0.456, 0.406]
