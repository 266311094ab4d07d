"""Ablations as data: rows say what they mean, the table's arithmetic is checked by hand, the script runs end to end."""

import json
import os
import runpy
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifl_hub.data.schema import ForgeryRow, write_metadata
from ifl_hub.training.ablation import ABLATIONS, Ablation, ablation_table, load_ablation
from ifl_hub.training.task import build_task
from test_training import photo_folder

ROOT = Path(__file__).parent.parent
SHIPPED = sorted(path.stem for path in ABLATIONS.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_rows_of_a_shipped_ablation_are_valid_and_differ(name):
    ablation = load_ablation(name)
    recipes = [ablation.row_recipe(row, seed=0) for row in ablation.rows]
    for recipe in recipes:
        recipe.build_config()
        assert recipe.validation_every == recipe.steps  # scored once, at the end
        if recipe.task == "face_classification":
            assert build_task(recipe).options.samples == "labelled"
    assert len({recipe.fingerprint() for recipe in recipes}) == len(recipes)
    assert recipes[0].fingerprint() != ablation.row_recipe(next(iter(ablation.rows)), seed=1).fingerprint()


def test_every_ablation_of_a_paper_has_its_file():
    assert set(SHIPPED) == {
        *("sumi_ifl_losses", "safl_net_plugins", "ncl_losses", "ncl_patches", "ncl_weights"),
        *("diff_forensics_losses", "diff_forensics_timestep", "diff_forensics_pretraining"),
        *("exposing_deception_losses", "exposing_deception_backbones", "exposing_deception_blocks"),
        "exposing_deception_frozen",
    }
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in SHIPPED)


def test_the_rows_of_exposing_deception_are_those_of_table_4_table_5_and_figure_5():
    def configs(name):
        ablation = load_ablation(name)
        return {row: ablation.row_recipe(row, 0).build_config() for row in ablation.rows}

    losses = [(config.use_lil, config.use_gil) for config in configs("exposing_deception_losses").values()]
    assert losses == [(False, False), (False, True), (True, False), (True, True)]
    backbones = [config.backbone.model_type for config in configs("exposing_deception_backbones").values()]
    assert backbones == ["resnet", "efficientnet", "mobilenet_v1"]
    assert [config.num_local_blocks for config in configs("exposing_deception_blocks").values()] == [4, 3, 5, 6, 7]


def test_the_rows_of_safl_net_are_those_of_table_3():
    ablation = load_ablation("safl_net_plugins")
    configs = {row[0]: ablation.row_recipe(row, 0).build_config() for row in ablation.rows}
    tasks = {row[0]: ablation.row_recipe(row, 0).task for row in ablation.rows}
    assert [configs[row].image_head for row in "01"] == ["mean_mask", "pooled"]
    assert [bool(configs[row].boundary_weight) for row in "012346"] == [False, False, True, True, True, True]
    assert [configs[row].boundary_block for row in "234"] == ["plain", "difference", "difference"]
    assert [configs[row].boundary_target for row in "234"] == ["hard", "hard", "soft"]
    assert [configs[row].semantic_weight for row in "456"] == [0, 0.5, 0.5]
    assert [configs[row].semantic_balance for row in "56"] == [0, 0.5]  # alpha of eq. 5: L_cons alone, then both
    assert [tasks[row] for row in "1456"] == ["localization"] * 2 + ["semantic_suppression"] * 2


def test_a_rows_own_overrides_come_last():
    ablation = Ablation("sumi_ifl_small", {"a": ["steps=3"]}, set=["steps=1", "batch_size=2"])
    recipe = ablation.row_recipe("a", seed=7, overrides=["steps=2", "batch_size=4"])
    assert (recipe.steps, recipe.batch_size, recipe.seed) == (3, 4, 7)


def test_rows_are_chosen_in_the_order_of_their_names():
    ablation = Ablation("sumi_ifl_small", {"a": [], "b": [], "c": []})
    assert list(ablation.only(["c", "a"]).rows) == ["c", "a"]
    with pytest.raises(ValueError, match="no row 'd'; name one of: 'a', 'b', 'c'"):
        ablation.only(["d"])


@pytest.mark.parametrize(
    ("text", "message"),
    [("recipe: sumi_ifl_small", "rows"), ("recipe: a\nrows: {}", "at least one row"), ("arms: {}", "recipe, rows")],
)
def test_a_file_that_is_no_ablation_says_so(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_ablation(tmp_path / "own.yaml")
    with pytest.raises(ValueError, match="safl_net_plugins"):
        load_ablation("nothing")


def test_the_table_by_hand():
    def scores(auc, area):
        return {"pixel_auc": auc, "pixel_f1": 0.25, "authentic_fpr": area}

    results = {
        "base": {0: scores(0.5, 0.1), 3: scores(0.7, 0.3)},
        "more": {0: scores(0.6, None), 3: scores(0.65, None)},
    }
    base, more = ([cell.strip() for cell in line.split("|")[1:-1]] for line in ablation_table(results).splitlines()[2:])
    deviation = statistics.stdev([0.5, 0.7])
    assert base == ["base", "0.500, 0.700", f"0.600 ± {deviation:.3f}", "", "0.250 ± 0.000", "0.200 ± 0.141"]
    assert more == ["more", "0.600, 0.650", "0.625 ± 0.035", "+0.100, -0.050", "0.250 ± 0.000", ""]


def test_another_score_is_compared_where_an_ablation_names_one():
    ablation = Ablation(
        "r", {"a": [], "b": []}, scores={"image_auc": "frame AUC"}, paper={"b": "AUC .9"}, paper_note="X"
    )
    runs = {"a": {0: {"image_auc": 0.5}}, "b": {0: {"image_auc": 0.75}}}
    head, _, _, last = ablation_table(runs, ablation).splitlines()
    assert head.startswith("| row | frame AUC of each seed | frame AUC |") and head.endswith(
        "*the paper's, not ours*: X |"
    )
    assert last == "| b | 0.750 | 0.750 | +0.250 | *AUC .9* |"


def test_faces_run_through_the_same_command(tmp_path, monkeypatch):
    faces, rows, rng = tmp_path / "faces", [], np.random.default_rng(0)
    faces.mkdir()
    for number in range(16):
        label, split = ("forged", "authentic")[number % 2], ("train", "validation")[number // 2 % 2]
        Image.fromarray(rng.integers(0, 255, (40, 36, 3), np.uint8)).save(faces / f"{number}.png")
        kind = "face-swap" if label == "forged" else "none"
        rows.append(ForgeryRow(f"{number}.png", None, label, "mine", kind, str(number), split=split))
    write_metadata(faces, rows)
    (tmp_path / "recipe.yaml").write_text(
        "method: exposing_deception\nshape: tiny\ntask: face_classification\ncrop_size: 32\nbatch_size: 4\n"
        "processor: {size: {height: 32, width: 32}}\n"
    )
    (tmp_path / "own.yaml").write_text(
        f"recipe: {tmp_path}/recipe.yaml\nset: [steps=1, validation_every=1]\n"
        "scores: {image_auc: frame AUC, image_auc_low: low}\n"
        "rows: {both: [], neither: [config.use_lil=false, config.use_gil=false]}\n"
    )
    arguments = ["--ablation", str(tmp_path / "own.yaml"), "--data", str(faces), "--out", str(tmp_path / "runs")]
    arguments += ["--seeds", "0", "--workers", "0", "--folds", "2"]
    monkeypatch.setattr(sys, "argv", ["compare_losses.py", *arguments])
    runpy.run_path(str(ROOT / "training_scripts" / "compare_losses.py"), run_name="__main__")
    tables = json.loads((tmp_path / "runs" / "results.json").read_text())
    assert list(tables) == ["validation", "each of 2 folds", "all folds together"]
    assert list(tables["each of 2 folds"]["both"]) == ["0", "1"]
    for together in tables["all folds together"].values():
        assert together["0"]["image_auc_low"] <= together["0"]["image_auc"]
    judged = (tmp_path / "runs" / f"neither-fold{fold}of2" / "validation.jsonl" for fold in range(2))
    videos = [{tuple(json.loads(line)["video"]) for line in file.read_text().splitlines()} for file in judged]
    assert not videos[0] & videos[1] and len(videos[0] | videos[1]) == 16
    results = tables["validation"]
    assert list(results) == ["both", "neither"] and 0 <= results["both"]["0"]["image_auc"] <= 1
    assert "| row | frame AUC of each seed |" in (tmp_path / "runs" / "table.md").read_text()


def test_the_script_trains_scores_and_continues(tmp_path):
    photos = photo_folder(tmp_path / "photos", 40)
    (tmp_path / "recipe.yaml").write_text("method: sumi_ifl\nshape: tiny\ncrop_size: 48\nbatch_size: 2\n")
    (tmp_path / "own.yaml").write_text(
        f"recipe: {tmp_path}/recipe.yaml\nset: [steps=1, validation_samples=8, validation_every=1]\n"
        "validation_size: 48\nrows: {plain: [], 'no minimality': [config.minimality_weight=0]}\n"
    )
    script = [sys.executable, str(ROOT / "training_scripts" / "compare_losses.py")]
    arguments = ["--ablation", str(tmp_path / "own.yaml"), "--pictures", str(photos), "--out", str(tmp_path / "runs")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    common = {"capture_output": True, "text": True, "env": environment}
    done = subprocess.run([*script, *arguments, "--seeds", "0", "1", "--workers", "0"], **common)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "runs" / "results.json").read_text())["validation"]
    assert {row: sorted(runs) for row, runs in results.items()} == {"plain": ["0", "1"], "no minimality": ["0", "1"]}
    table = (tmp_path / "runs" / "table.md").read_text()
    assert table.count("±") >= 4 and "no minimality" in table
    refused = subprocess.run([*script, *arguments, "--rows", "nothing"], **common)
    assert refused.returncode == 1 and "no row 'nothing'" in refused.stderr and "Traceback" not in refused.stderr
