"""Semantic suppression from the user's point of view: two recipes, the first one's folder given to the second."""

import json

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from ifl_hub import SaflNetConfig, SaflNetForImageForgeryLocalization, SaflNetForSemanticAlignment
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.engine import Trainer
from ifl_hub.training.task import build_task


class Colours:
    """Pictures of one colour each, with some noise: what two random encoders can agree on. A quarter is authentic."""

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> dict:
        rng = np.random.default_rng(index)
        image = rng.integers(30, 220, 3)[None, None] + rng.integers(-8, 8, (64, 64, 3))
        mask = np.zeros((64, 64), np.uint8)
        if index % 4:
            mask[: rng.integers(34, 60)] = 1
            image[mask == 1] += 20
        return {"image": image.astype(np.uint8), "mask": mask}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder, names = tmp_path_factory.mktemp("encoders"), []
    for index, shape in enumerate(SaflNetConfig.tiny().semantic_encoders):
        torch.manual_seed(index)
        values = {name: value for name, value in shape.items() if name != "model_type"}
        model = ResNetModel(ResNetConfig(**values))
        model.save_pretrained(folder / str(index))
        names.append(str(folder / str(index)))
    return names


def recipe(task, **changes):
    defaults = {"batch_size": 4, "steps": 4, "learning_rate": 1e-2, "validation_samples": 12, "validation_every": 100}
    return Recipe("safl_net", "tiny", **{**defaults, "task": task, **changes})


def align(folder, encoders, **changes):
    settings = {"batch_size": 8, "steps": 40, "learning_rate": 2e-2, "options": {"semantic_encoders": encoders}}
    stage = recipe("semantic_alignment", **{**settings, **changes})
    return Trainer(build_task(stage), Colours(), Colours(), folder, num_workers=0).run()


@pytest.fixture(scope="module")
def alignment(encoders, tmp_path_factory):
    return align(tmp_path_factory.mktemp("alignment"), encoders)


def suppression(alignment, encoders, **changes):
    config = {"semantic_weight": 0.5, **changes.pop("config", {})}
    options = {"alignment": str(alignment), "semantic_encoders": encoders}
    return recipe("semantic_suppression", **{"config": config, "options": options, **changes})


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_stage_one_brings_the_encoders_to_agree_and_leaves_readers_without_them(alignment):
    rows = log_of(alignment.parent)
    assert rows[1]["alignment"] < rows[0]["alignment"]
    assert rows[-1]["matched"] > 0.5
    assert rows[-1]["matched"] - rows[-1]["mismatched"] > 0.3
    model = SaflNetForSemanticAlignment.from_pretrained(alignment)
    assert all(name.startswith("readers.") for name in model.state_dict())


def test_stage_two_trains_all_terms_against_that_benchmark_and_ships_nothing_of_it(alignment, encoders, tmp_path):
    stage = suppression(alignment, encoders)
    trainer = Trainer(build_task(stage), Colours(), Colours(), tmp_path, num_workers=0)
    benchmark = trainer.bare_model.semantic_benchmark
    trained = SaflNetForSemanticAlignment.from_pretrained(alignment).readers[0].state_dict()
    final = trainer.run()
    for name, value in benchmark.reader.state_dict().items():
        assert torch.equal(value, trained[name]), name
    row = log_of(tmp_path)[0]
    assert {"localization", "classification", "boundary", "consistency", "contrast"} <= set(row)
    assert row["contrast"] != 0
    loaded, report = SaflNetForImageForgeryLocalization.from_pretrained(final, output_loading_info=True)
    assert not any(report.values()), report
    assert loaded.semantic_benchmark is None


def test_the_localizer_starts_as_it_would_without_suppression(alignment, encoders):
    plain = recipe("localization", seed=3)
    shared = suppression(alignment, encoders, seed=3, config={"semantic_projection": "frozen_shared"})
    states = []
    for stage in (plain, shared):
        torch.manual_seed(stage.seed)
        states.append(build_task(stage).build_model().state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_suppression_lowers_what_the_encoder_shares_with_the_benchmark(alignment, encoders, tmp_path):
    """With the frozen projection nothing but the encoder can lower the squared cosine."""
    shared = {"semantic_projection": "frozen_shared", "consistency_similarity": "squared", "semantic_balance": 0.0}
    last = {}
    for weight in (1e-9, 20.0):
        stage = suppression(alignment, encoders, steps=40, config={**shared, "semantic_weight": weight})
        Trainer(build_task(stage), Colours(), Colours(), tmp_path / str(weight), num_workers=0).run()
        last[weight] = [row["consistency"] for row in log_of(tmp_path / str(weight)) if "consistency" in row][-1]
    assert last[20.0] < 0.9 * last[1e-9]


def test_a_collapsed_alignment_is_not_saved(encoders, tmp_path):
    """Eq. 1 as written has no negatives: one vector for every picture satisfies it."""
    with pytest.raises(ValueError, match=r"collapsed.*alignment_objective"):
        align(tmp_path, encoders, config={"alignment_objective": "cosine"})
    assert not (tmp_path / "final").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {}}, "needs --set options.semantic_encoders"),
        ({"options": {"semantic_encoders": ["one"]}}, "names two encoders"),
        ({"options": {"semantic_encoders": ["a", "b"], "e1": "c"}}, "has no option 'e1'"),
        ({"options": {"semantic_encoders": ["a", "b"]}, "processor": {"image_mean": [0.4] * 3}}, "image_mean"),
    ],
)
def test_a_recipe_that_does_not_fit_says_what_to_set(changes, message):
    with pytest.raises(ValueError, match=message):
        build_task(recipe("semantic_alignment", **changes))


def test_the_tasks_are_only_for_safl_net_and_suppression_needs_a_weight(alignment, encoders):
    stranger = Recipe("ncl", "tiny", task="semantic_alignment", options={"semantic_encoders": encoders})
    with pytest.raises(ValueError, match="SAFL-Net's, and the method is ncl"):
        build_task(stranger).build_model()
    with pytest.raises(ValueError, match=r"config\.semantic_weight above 0"):
        build_task(suppression(alignment, encoders, config={"semantic_weight": 0.0})).build_model()


@pytest.mark.parametrize("name", ["safl_net_paper", "safl_net_lite0"])
def test_the_shipped_stages_fit_each_other(name):
    """The readers that stage one trains have the width of the localizer's deepest level, and both take one E1."""
    second = load_recipe("safl_net_lite0_ssm" if name == "safl_net_lite0" else name)
    first = load_recipe(f"{name}_alignment")
    assert first.task == "semantic_alignment" and second.task == "semantic_suppression"
    assert first.processor == second.processor
    with torch.device("meta"):
        reader = SaflNetForSemanticAlignment(first.build_config()).readers[0]
        localizer = SaflNetForImageForgeryLocalization(second.build_config())
    assert reader.convolutions[-1].out_channels == localizer.encoder.channels[-1]
    assert first.options.get("semantic_encoders") == second.options.get("semantic_encoders")


def test_the_papers_schedule_is_25_epochs_halved_every_5():
    paper = load_recipe("safl_net_paper")
    pictures, batch = 17_554 + 30_000, 16
    assert paper.steps == round(25 * pictures / batch)
    assert paper.halving_steps == round(5 * pictures / batch)
    assert (paper.batch_size, paper.learning_rate, paper.optimizer, paper.crop_size) == (16, 2e-4, "adamw", 512)
    factors = [0.5 ** (step // paper.halving_steps) for step in (0, paper.steps - 1)]
    assert factors == [1, 0.5**4]
