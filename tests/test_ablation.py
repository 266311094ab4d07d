"""Ablations as data: rows say what they mean, the table's arithmetic is checked by hand, the script runs end to end."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from ifl_hub.training.ablation import ABLATIONS, Ablation, ablation_table, load_ablation
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
    assert len({recipe.fingerprint() for recipe in recipes}) == len(recipes)
    assert recipes[0].fingerprint() != ablation.row_recipe(next(iter(ablation.rows)), seed=1).fingerprint()


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
    results = json.loads((tmp_path / "runs" / "results.json").read_text())["synthetic validation"]
    assert {row: sorted(runs) for row, runs in results.items()} == {"plain": ["0", "1"], "no minimality": ["0", "1"]}
    table = (tmp_path / "runs" / "table.md").read_text()
    assert table.count("±") >= 4 and "no minimality" in table
    refused = subprocess.run([*script, *arguments, "--rows", "nothing"], **common)
    assert refused.returncode == 1 and "no row 'nothing'" in refused.stderr and "Traceback" not in refused.stderr
