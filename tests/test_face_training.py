"""Training and judging face classifiers: samples, mixup, the task in the loop, videos' numbers and their intervals."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ifl_hub.data.face_samples import FaceAugmentation, LabelledFaces, video_key
from ifl_hub.data.schema import ForgeryRow, write_metadata
from ifl_hub.evaluation.faces import FaceScore, auc, folds_of, score_faces
from ifl_hub.image_processing.loading import load_image
from ifl_hub.training import Recipe, load_recipe
from ifl_hub.training.engine import Trainer, run_recipe
from ifl_hub.training.face_classification import FACES, FaceClassificationTask, mixup
from ifl_hub.training.labelled import LabelledData
from ifl_hub.training.pictures import load_manifest
from ifl_hub.training.sources import Sources
from ifl_hub.training.task import build_task


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Real faces are smooth, fake ones rough; four frames a video, two methods of which ids recur."""
    path = tmp_path_factory.mktemp("faces")
    rows, rng = [], np.random.default_rng(0)
    for number in range(20):
        forged = number % 4 == 0
        video = f"{('real', 'swapped')[forged]}/{number:03}"
        for frame in range(4):
            pixels = np.full((40, 36, 3), 90 + 5 * number, np.float64) + rng.normal(0, 40 if forged else 2, (40, 36, 3))
            (path / video).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path / video / f"{frame}.png")
            kind = "face-swap" if forged else "none"
            split = "validation" if number in (0, 1, 2, 3, 4, 5) else "train"
            label = "forged" if forged else "authentic"
            rows.append(ForgeryRow(f"{video}/{frame}.png", None, label, "mine", kind, str(number), split=split))
    write_metadata(path, rows)
    return path, rows


def recipe(**changes):
    values = {
        "method": "exposing_deception",
        "shape": "tiny",
        "task": "face_classification",
        "options": {"mixup": 0.0, "augmentation": dict.fromkeys(("colour", "grey", "noise", "blur", "jpeg"), 0.0)},
        "processor": {"size": {"height": 32, "width": 32}},
        "crop_size": 32,
        "batch_size": 12,
        "steps": 24,
        "learning_rate": 3e-3,
        "validation_every": 12,
    }
    return Recipe(**{**values, **changes})


MIDDLE = {"size": {"height": 20, "width": 20}, "cut_middle": True}


def faces(*folders):
    return Sources(data=tuple(LabelledData(str(folder)) for folder in folders))


# -- samples -----------------------------------------------------------------------------------------------------------


def test_an_epoch_shows_every_fake_once_and_every_real_face_as_often_as_asked(folder):
    path, rows = folder
    rows = [row for row in rows if row.split == "train"]  # 44 real frames, 12 fake ones
    for oversample, times in ((1, 1), (3, 3), ("auto", 1)):
        data = LabelledFaces(path, rows, 32, oversample=oversample, augmentation=FaceAugmentation())
        for epoch in range(2):
            names = [data[epoch * len(data) + i]["row"].file_name for i in range(len(data))]
            for row in rows:
                assert names.count(row.file_name) == (times if row.label == "authentic" else 1)
    orders = [[data[epoch * len(data) + i]["row"].file_name for i in range(len(data))] for epoch in range(2)]
    assert orders[0] != orders[1]
    few_real = [row for row in rows if row.label == "forged"] + [row for row in rows if row.label == "authentic"][:4]
    assert len(LabelledFaces(path, few_real, 32, oversample="auto")) == 12 + 3 * 4


@settings(max_examples=20)
@given(index=st.integers(0, 10**6), seed=st.integers(0, 100))
def test_a_sample_depends_on_seed_and_index_alone(folder, index, seed):
    path, rows = folder
    one, other = (LabelledFaces(path, rows, 32, seed, 2, FaceAugmentation())[index] for _ in range(2))
    assert np.array_equal(one["image"], other["image"])
    assert one["label"] == int(one["row"].label == "forged")
    assert one["image"].shape == (32, 32, 3)
    assert one["image"].dtype == np.uint8


def test_without_augmentation_the_faces_come_as_they_are_in_their_order(folder):
    path, rows = folder
    data = LabelledFaces(path, rows, 40)
    assert [data[i]["row"] for i in range(len(data))] == rows
    squeezed = data[0]["image"]
    assert abs(float(squeezed.mean()) - float(load_image(path / rows[0].file_name).pixels.mean())) < 3


@pytest.mark.parametrize("name", ["flip", "placement", "colour", "grey", "blur", "noise", "jpeg"])
def test_every_change_of_a_face_changes_it_and_none_leaves_it(name):
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    off = dict.fromkeys(("flip", "placement", "colour", "grey", "blur", "noise", "jpeg"), 0.0)
    assert np.array_equal(FaceAugmentation(**off)(image, np.random.default_rng(1)), image)
    changed = FaceAugmentation(**{**off, name: 1.0})(image, np.random.default_rng(1))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert not np.array_equal(changed, image)
    if name == "flip":
        assert np.array_equal(changed, image[:, ::-1])
    if name == "grey":
        assert np.array_equal(changed[..., 0], changed[..., 2])
    with pytest.raises(ValueError, match=f"{name} is a probability"):
        FaceAugmentation(**{name: 2.0})


def test_the_middle_is_cut_out_and_not_resampled(folder):
    path, rows = folder
    data, task = LabelledFaces(path, rows, 20, cut_middle=True), build_task(recipe(processor=MIDDLE, crop_size=20))
    pixels = load_image(path / rows[0].file_name).pixels  # 40 x 36
    assert np.array_equal(data[0]["image"], pixels[10:30, 8:28])
    assert torch.equal(task.processor([pixels])["pixel_values"], task.processor([data[0]["image"]])["pixel_values"])
    assert all(sample["image"].shape == (20, 20, 3) for part in task.build_data(faces(path)) for sample in [part[0]])
    assert LabelledFaces(path, rows, 48, cut_middle=True)[0]["image"].shape == (48, 48, 3)


def test_one_class_alone_is_refused(folder):
    path, rows = folder
    with pytest.raises(ValueError, match="both real and fake ones are needed"):
        LabelledFaces(path, [row for row in rows if row.label == "authentic"], 32)


def test_videos_of_the_same_id_stay_apart():
    def row(name, kind="face-swap", **extra):
        return ForgeryRow(name, None, "forged", "ffpp", kind, "071", extra=extra)

    keys = [
        video_key(row("Deepfakes/071_054/1.png")),
        video_key(row("FaceSwap/071_054/1.png")),
        video_key(row("Deepfakes/071_054/1.png", method="Deepfakes")),
        video_key(row("Deepfakes/054_071/1.png")),
    ]
    assert len(set(keys)) == 4
    assert video_key(row("Deepfakes/071_054/1.png")) == video_key(row("Deepfakes/071_054/2.png"))


@given(share=st.floats(0, 1), batch=st.integers(2, 5))
def test_mixup_mixes_pixels_and_labels_by_the_same_share(share, batch):
    pixels = torch.arange(batch, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 2, 2)
    labels = torch.arange(batch) % 2
    mixed, soft = mixup(pixels, labels, share)
    for i in range(batch):
        j = (i - 1) % batch
        assert mixed[i, 0, 0, 0].item() == pytest.approx(share * i + (1 - share) * j, abs=1e-5)
        assert soft[i, 1].item() == pytest.approx(share * labels[i].item() + (1 - share) * labels[j].item(), abs=1e-5)
    torch.testing.assert_close(soft.sum(1), torch.ones(batch))


# -- the task ----------------------------------------------------------------------------------------------------------


def test_it_learns_to_tell_rough_faces_from_smooth_ones(folder, tmp_path):
    path, _ = folder
    final = run_recipe(recipe(), faces(path), tmp_path / "run", num_workers=0)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["image_auc"] > 0.9
    assert rows[-1]["video_auc"] == 1
    assert {"cross_entropy", "local_information", "global_information"} <= set(rows[-2])
    scores = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert len(scores) == 24
    assert len({tuple(row["video"]) for row in scores}) == 6
    assert AutoModelForImageClassification.from_pretrained(final).config.id2label == {0: "real", 1: "fake"}
    assert AutoImageProcessor.from_pretrained(final).size.height == 32


def test_mixed_batches_are_the_same_in_every_worker(folder):
    path, _ = folder
    task = build_task(recipe(options={"mixup": 0.5}))
    data, _ = task.build_data(faces(path))
    one, other = (task.collate([data[index] for index in range(36, 48)]) for _ in range(2))
    assert torch.equal(one["pixel_values"], other["pixel_values"])
    assert one["labels"].shape == (12, 2)
    assert not set(one["labels"].flatten().tolist()) <= {0.0, 1.0}


def test_halving_is_a_staircase(folder, tmp_path):
    path, _ = folder
    settings = recipe(schedule="halving", halving_steps=10, warmup_steps=2, steps=40)
    task = build_task(settings)
    trainer = Trainer(task, *task.build_data(faces(path)), tmp_path, num_workers=0)
    factors = [trainer._learning_rate_factor(step) for step in (0, 1, 2, 11, 12, 21, 22, 39)]
    assert factors == [0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.125]


def test_mistakes_in_a_recipe_are_said(folder, tmp_path):
    for options, message in (
        ({"mixupp": 1}, "mixupp"),
        ({"augmentation": {"flips": 1}}, "flips"),
        ({"samples": "videos"}, "'labelled' or 'self-blended'"),
    ):
        with pytest.raises(ValueError, match=message):
            build_task(recipe(options=options))
    with pytest.raises(ValueError, match="from one folder"):
        build_task(recipe()).build_data(faces(tmp_path, tmp_path))
    with pytest.raises(ValueError, match="need `pictures`"):
        build_task(recipe(options={"samples": "self-blended"})).build_data(Sources((tmp_path,)))


FACE_RECIPES = ("paper", "small", "lite0", "frozen")


@pytest.mark.parametrize("name", [f"exposing_deception_{name}" for name in FACE_RECIPES])
def test_shipped_recipes_are_tasks(name):
    task = build_task(load_recipe(name))
    assert isinstance(task, FaceClassificationTask)
    assert task.processor.size.height == task.recipe.crop_size


def test_the_paper_recipe_is_the_papers():
    settings = load_recipe("exposing_deception_paper")
    assert (settings.learning_rate, settings.weight_decay, settings.batch_size) == (5e-4, 0, 256)
    assert settings.steps / settings.halving_steps == 4  # 20 epochs, halved every 5
    assert settings.options["mixup"] > 0 and settings.options["oversample"] == "auto"


def test_listed_faces_lie_in_photos_of_the_manifest():
    photos = {picture.sha256: picture for picture in load_manifest() if picture.role == "photo"}
    rows = [json.loads(line) for line in FACES.read_text(encoding="utf-8").splitlines()]
    assert {row["sha256"] for row in rows} <= set(photos)
    assert {photos[row["sha256"]].split for row in rows} == {"train", "validation"}
    assert all(left < right and top < bottom for left, top, right, bottom in (row["box"] for row in rows))


@settings(max_examples=20)
@given(groups=st.lists(st.integers(0, 9), min_size=1, max_size=30), count=st.integers(2, 4), seed=st.integers(0, 9))
def test_a_group_is_in_one_fold_whatever_the_kind_of_its_faces(groups, count, seed):
    kinds = ("none", "face-swap")
    rows = [
        ForgeryRow(f"{n}.png", None, ("authentic", "forged")[n % 2], "mine", kinds[n % 2], str(group))
        for n, group in enumerate(groups)
    ]
    folds = folds_of(rows, count, seed)
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups)) and set(folds) <= set(range(count))


# -- numbers -----------------------------------------------------------------------------------------------------------


def frames_of(videos):
    return [
        FaceScore(score, fake, ("set", "swap" if fake else "none", str(number)))
        for number, (fake, scores) in enumerate(videos)
        for score in scores
    ]


def test_frame_and_video_numbers_are_those_of_the_definition():
    frames = frames_of([(True, [0.9, 0.1]), (False, [0.2, 0.3, 0.4]), (True, [0.8])])
    result = score_faces(frames)
    pairs = [(a.score, b.score) for a in frames if a.is_fake for b in frames if not b.is_fake]
    assert result["image_auc"] == pytest.approx(sum(a > b for a, b in pairs) / len(pairs))
    assert result["video_auc"] == 1.0
    assert (result["frames"], result["videos"]) == (6, 3)
    assert result["by_method"] == {"swap": result["image_auc"]}


def test_intervals_draw_videos_and_not_frames():
    """Repeating every frame ten times makes no interval narrower, and scores without a meaning include 0.5."""
    rng = np.random.default_rng(0)
    videos = [(bool(number % 2), rng.random(1).tolist()) for number in range(20)]
    once = score_faces(frames_of(videos))["intervals"]["image_auc"]
    often = score_faces(frames_of([(fake, scores * 10) for fake, scores in videos]))["intervals"]["image_auc"]
    assert often == pytest.approx(once)
    assert once[0] < 0.5 < once[1] and once[1] - once[0] > 0.2
    parted = score_faces(frames_of([(fake, [0.9 if fake else 0.1]) for fake, _ in videos]))
    assert parted["intervals"]["image_auc"] == (1.0, 1.0)


def test_one_class_alone_has_no_auc():
    result = score_faces(frames_of([(True, [0.5]), (True, [0.7])]))
    assert result["image_auc"] is None and auc([]) is None
    assert result["intervals"] == {"image_auc": None, "video_auc": None}
