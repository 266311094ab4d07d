"""The `evaluate` modules: by name and by path, streaming, repeated, refused, and over two real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ifl_hub
from ifl_hub import load_metric
from ifl_hub.metrics import DetectionAccumulator, LocalizationAccumulator, get_definition
from metric_cases import blocks, compute

evaluate = pytest.importorskip("evaluate", reason="needs the extra `train`")

METRICS = Path(ifl_hub.__file__).parent / "metrics"
TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """evaluate makes a folder for each metric: not in the user's cache."""
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path))


def columns(images):
    predictions, references = map(list, zip(*images, strict=True))
    return {"predictions": predictions, "references": references}


@pytest.mark.parametrize("place", ["forgery_localization", "forgery_localization/forgery_localization.py"])
def test_evaluate_loads_the_module_from_its_path_offline(place):
    images = list(blocks(4))
    metric = evaluate.load(str(METRICS / place), preset="imdlbenco", threshold=0.3)
    metric.add_batch(**columns(images))
    assert metric.name == "forgery_localization"
    assert metric.compute() == compute(images, preset="imdlbenco", threshold=0.3)


def test_detection_loads_from_its_path_and_takes_a_threshold():
    metric = evaluate.load(str(METRICS / "forgery_detection"), threshold=0.7)
    result = metric.compute(predictions=[0.6, 0.9], references=[0, 1])
    assert result["image_acc"] == 1 and result["definition"]["score_threshold"] == 0.7


def test_batches_and_single_images_of_any_size_add_up():
    images = [*blocks(3), *blocks(2, seed=1, side=13)]
    metric = load_metric("forgery_localization")
    metric.add_batch(**columns(images[:4]))
    metric.add(prediction=images[4][0], reference=images[4][1])
    assert len(metric) == 5
    assert metric.compute() == compute(images)


def test_an_array_is_a_batch_and_scores_may_be_given():
    images = [(prediction, mask) for prediction, mask in blocks(2)]
    metric = load_metric("forgery_localization")
    metric.add_batch(**{name: np.stack(column) for name, column in columns(images).items()}, scores=[0.9, 0.2])
    assert metric.compute()["image_acc"] == 1


def test_compute_again_reduces_again_and_adding_starts_afresh():
    metric, images = load_metric("forgery_localization"), list(blocks(4))
    first = metric.compute(**columns(images))
    assert metric.compute(average="pooled")["pixel_f1"] == first["pixel_f1_pooled"]
    assert metric.compute(**columns(images)) == first
    metric.add_batch(**columns(images[:2]))
    assert metric.compute()["n_images"] == 2


def test_nothing_of_the_maps_is_kept(tmp_path):
    """Memory and disk hold a row an image, whatever its size."""
    small, large = (load_metric("forgery_localization") for _ in range(2))
    small.add_batch(**columns(blocks(2, side=16)))
    large.add_batch(**columns(blocks(2, side=256)))
    sizes = [len(json.dumps(metric.accumulator.state()["rows"])) for metric in (small, large)]
    assert sizes[1] < 1.2 * sizes[0]
    assert [counts.shape for counts in small.accumulator.pooled] == [
        counts.shape for counts in large.accumulator.pooled
    ]
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("localization", {}, "choose from forgery_localization, forgery_detection"),
        ("forgery_localization", {"preset": "trufr"}, "did you mean 'trufor'"),
        ("forgery_localization", {"preset": "deepfakebench_frame"}, "does not define forgery_localization"),
        ("forgery_detection", {"preset": "catnet"}, "does not define forgery_detection"),
        ("forgery_localization", {"treshold": 0.5}, "no such choice"),
    ],
)
def test_unknown_names_and_choices_are_refused(name, choices, message):
    with pytest.raises(ValueError, match=message):
        load_metric(name, **choices)


def test_a_batch_needs_as_many_of_each():
    metric, (image, _) = load_metric("forgery_localization"), blocks(2)
    with pytest.raises(ValueError, match="as many of each"):
        metric.add_batch(predictions=[image[0]], references=[])
    with pytest.raises(ValueError, match="both predictions and references"):
        metric.compute(predictions=[image[0]])


def test_two_processes_have_the_result_of_one(tmp_path):
    """Real processes over gloo: the merged numbers are equal to the last bit, on both."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), "HF_HOME": str(tmp_path / "home")}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    script = [str(TESTS / "gather_metrics.py"), str(tmp_path)]
    done = subprocess.run([*launch, *script], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    images = list(blocks(7))
    localization = LocalizationAccumulator(get_definition(threshold="oracle_dataset"))
    detection = DetectionAccumulator()
    for prediction, mask in images:
        localization.update(prediction, mask)
        detection.update(float(prediction.max()), mask.any())
    expected = json.loads(json.dumps(localization.compute(authentic="zero")))
    for process, share in ((0, 4), (1, 3)):
        merged, own, scores = json.loads((tmp_path / f"{process}.json").read_text())
        assert merged == expected
        assert own == share
        alone = detection.compute()
        assert {key: scores[key] for key in scores if key.startswith("image_")} == {
            key: alone[key] for key in alone if key.startswith("image_")
        }
        assert scores["n_images"] == 7 and scores["video_auc"] is not None
