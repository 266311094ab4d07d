"""The embedded checkpoints: whole, small, described, and their cards made from the description."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from ifl_hub import AutoModelForImageForgeryLocalization, checkpoint_path, list_checkpoints
from ifl_hub.files import file_sha256
from ifl_hub.hub.model_card import render_model_card
from ifl_hub.training import load_recipe
from ifl_hub.training.face_classification import pictures_with_faces
from ifl_hub.training.pictures import load_manifest, manifest_table

ROOT = Path(__file__).parent.parent
NAMES = sorted(list_checkpoints())
LARGEST = {
    "sumi-ifl-small": 5_000_000,
    "safl-net-lite0": 16_000_000,
    "diff-forensics-small": 6_000_000,
    "ncl-small": 5_000_000,
    "exposing-deception-small": 8_000_000,
}
#: Auto class and image processor by the task that a checkpoint was trained for.
KINDS = {
    "localization": (AutoModelForImageForgeryLocalization, "IflImageProcessor"),
    "face_classification": (AutoModelForImageClassification, "FaceImageProcessor"),
}


def test_together_they_keep_the_package_small():
    assert sum(entry["size_bytes"] for entry in list_checkpoints().values()) <= 32_000_000


@pytest.mark.parametrize("name", NAMES)
class TestCheckpoint:
    def test_loads_through_the_auto_classes(self, name):
        folder = checkpoint_path(name)
        auto_class, processor = KINDS[list_checkpoints()[name].get("task", "localization")]
        model = auto_class.from_pretrained(folder)
        assert model.config.model_type == AutoConfig.from_pretrained(folder).model_type
        assert model.num_parameters() == list_checkpoints()[name]["parameters"]
        assert type(AutoImageProcessor.from_pretrained(folder)).__name__ == processor

    def test_is_small_and_is_the_file_that_was_trained(self, name):
        weights = Path(checkpoint_path(name)) / "model.safetensors"
        assert weights.stat().st_size == list_checkpoints()[name]["size_bytes"] <= LARGEST[name]
        assert file_sha256(weights) == list_checkpoints()[name]["weights_sha256"]

    def test_holds_nothing_but_safetensors_and_text(self, name):
        assert {path.suffix for path in Path(checkpoint_path(name)).iterdir()} <= {".safetensors", ".json", ".md"}

    def test_metadata_agrees_with_the_recipe(self, name):
        training = list_checkpoints()[name]["training"]
        recipe = load_recipe(training["recipe"])
        assert {key: training[key] for key in ("seed", "steps", "batch_size", "crop_size")} == {
            key: getattr(recipe, key) for key in ("seed", "steps", "batch_size", "crop_size")
        }
        assert recipe.pictures is not None
        pictures = (pictures_with_faces if "faces" in training else load_manifest)(recipe.pictures)
        assert list_checkpoints()[name]["training_data"] == manifest_table(pictures)

    def test_operating_point_of_the_card_is_the_processors(self, name):
        point = list_checkpoints()[name]["operating_point"]
        processor = AutoImageProcessor.from_pretrained(checkpoint_path(name))
        assert (processor.threshold, processor.score_threshold) == (point["threshold"], point["score_threshold"])

    def test_card_has_not_drifted(self, name):
        card = render_model_card(checkpoint_path(name))
        assert (Path(checkpoint_path(name)) / "README.md").read_text(encoding="utf-8") == card
        assert (ROOT / "model_cards" / f"{name}.md").read_text(encoding="utf-8") == card

    def test_card_says_what_a_reader_must_know(self, name):
        card = render_model_card(checkpoint_path(name))
        for phrase in ("re-implementation", "## Limits", "interval", "must be brought", "installs from", "sha256"):
            assert phrase in card

    def test_every_score_carries_its_definition(self, name):
        scores = list_checkpoints()[name]["scores"]
        assert scores and all(score["definition"] and score["n_forged"] and score["date"] for score in scores)


def test_a_card_cannot_leave_out_what_it_must_say(tmp_path):
    metadata = dict(list_checkpoints()[NAMES[0]])
    del metadata["limits"]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="limits"):
        render_model_card(tmp_path)
