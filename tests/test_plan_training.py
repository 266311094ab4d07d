"""The plan of a training run: what it counts on the meta device is what a real model has."""

import runpy
from pathlib import Path

import pytest

from ifl_hub import AutoModelForImageForgeryLocalization
from ifl_hub.training import Recipe, load_recipe

SCRIPT = Path(__file__).parent.parent / "training_scripts" / "plan_training.py"
PAGE = Path(__file__).parent.parent / "docs" / "training.md"


@pytest.fixture(scope="module")
def plan():
    return runpy.run_path(str(SCRIPT))


def test_parameters_are_the_models_and_work_grows_with_the_batch(plan):
    one, two = (plan["measure"](Recipe("ncl", "tiny", crop_size=64, batch_size=size)) for size in (1, 2))
    model = AutoModelForImageForgeryLocalization.from_config(Recipe("ncl", "tiny").build_config())
    assert one[0] == two[0] == sum(parameter.numel() for parameter in model.parameters())
    assert two[1] == pytest.approx(2 * one[1], rel=0.02) and two[2] == pytest.approx(2 * one[2], rel=0.02)


def test_the_page_has_every_recipe_of_a_paper_with_its_steps(plan):
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for name in plan["RECIPES"]:
        [row] = [line for line in lines if line.startswith(f"| {name} |")]
        recipe = load_recipe(name)
        assert f"| {recipe.batch_size} \u00d7 {recipe.crop_size}² |" in row and f"| {recipe.steps:,} |" in row
