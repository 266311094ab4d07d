"""Repairs lose nothing and can be undone; and the command line over the dataset doctor."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps
from typer.testing import CliRunner

from ifl_hub.cli.errors import CommandError
from ifl_hub.cli.main import app
from ifl_hub.data.doctor import ORIGINALS, check_dataset, repair_dataset, repairs, undo_repairs
from ifl_hub.image_processing.masks import to_label_map
from tiny_photos import texture
from tiny_sets import FORGED, edit_row, mask_of, pixels_of, save, write_set

MASKS = [mask_of(name) for name in FORGED]


def files_of(folder):
    """Every file and the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def forged_of(path):
    with Image.open(path) as mask:
        return to_label_map(mask) == 1


@pytest.fixture
def folder(tmp_path):
    write_set(tmp_path / "set")
    return tmp_path / "set"


def turn(folder, image, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    save(folder / image, pixels_of(folder / image), exif=exif)


def spoil(folder):
    """Inverts all masks of forgeries, stores one as 0/1 and turns the image of another."""
    for name in MASKS:
        save(folder / name, 255 - pixels_of(folder / name))
    save(folder / MASKS[0], pixels_of(folder / MASKS[0]) // 255)
    turn(folder, FORGED[1], 6)


def test_every_repair_at_once_and_back(folder):
    right = {name: forged_of(folder / name) for name in MASKS}
    right[MASKS[1]] = np.rot90(right[MASKS[1]], -1)  # orientation 6: turn by a quarter clockwise to see it upright
    spoil(folder)
    before = files_of(folder)
    report = check_dataset(folder)
    assert {found.id for found in report.findings} == {"masks-inverted", "mask-levels", "mask-not-rotated"}
    done = repair_dataset(report)
    assert sorted(done.rewritten) == sorted(MASKS)
    assert done.left == {}
    assert check_dataset(folder).findings == ()
    for name in MASKS:
        np.testing.assert_array_equal(forged_of(folder / name), right[name])
        assert set(np.unique(pixels_of(folder / name))) == {0, 255}
    after = files_of(folder)
    assert {name for name in before if before[name] != after[name]} == set(MASKS)  # no image, no listing
    assert all(after[f"{ORIGINALS}/{name}"] == before[name] for name in MASKS)
    log = [json.loads(line) for line in (folder / ORIGINALS / "repairs.jsonl").read_text().splitlines()]
    assert {step["file"]: step["sha256"] for step in log} == {name: after[name] for name in MASKS}
    assert sorted(undo_repairs(folder).rewritten) == sorted(MASKS)
    assert files_of(folder) == before
    assert undo_repairs(folder).rewritten == ()


@given(
    value=st.integers(1, 254),
    suffix=st.sampled_from(["png", "bmp", "tif"]),
    inverted=st.booleans(),
    height=st.integers(9, 30),
    width=st.integers(9, 30),
)
@settings(max_examples=25)
def test_what_is_forged_survives_and_the_bytes_come_back(tmp_path_factory, value, suffix, inverted, height, width):
    folder = tmp_path_factory.mktemp("set")
    forged = np.zeros((height, width), bool)
    forged[4:7, 4:7] = True
    for n in range(6):
        save(folder / f"images/{n}.png", texture(n, height, width))
        save(folder / f"masks/{n}.{suffix}", (forged ^ inverted) * np.uint8(value))
    before = files_of(folder)
    repair_dataset(check_dataset(folder))
    assert check_dataset(folder).findings == ()
    for n in range(6):
        np.testing.assert_array_equal(pixels_of(folder / f"masks/{n}.{suffix}"), forged * np.uint8(255))
    undo_repairs(folder)
    assert files_of(folder) == before


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_masks_are_turned_as_their_images_are_shown(folder, orientation):
    mask = np.zeros(pixels_of(folder / MASKS[0]).shape, np.uint8)
    mask[3:9, 20:50] = 255
    save(folder / FORGED[0], np.dstack([mask // 4] * 3) + 40)  # the image shows where it is forged
    save(folder / MASKS[0], mask)
    turn(folder, FORGED[0], orientation)
    repair_dataset(check_dataset(folder))
    with Image.open(folder / FORGED[0]) as picture:
        shown = np.asarray(ImageOps.exif_transpose(picture))[..., 0] > 60
    np.testing.assert_array_equal(forged_of(folder / MASKS[0]), shown)


def test_what_cannot_be_rewritten_without_loss_is_left_and_said(folder):
    for name in MASKS:
        save(folder / name, 255 - pixels_of(folder / name))
    with Image.open(folder / MASKS[0]) as mask:
        mask.load()
        mask.save(folder / MASKS[0], "JPEG")
    ignoring = pixels_of(folder / MASKS[2]) // 255
    ignoring[0] = 255  # the ignore label of a 0/1 mask
    save(folder / MASKS[2], ignoring)
    before = files_of(folder)
    done = repair_dataset(check_dataset(folder))
    assert set(done.left) == {MASKS[0], MASKS[2]}
    assert "JPEG cannot be rewritten" in done.left[MASKS[0]]
    assert set(done.rewritten) == set(MASKS) - set(done.left)
    assert all(files_of(folder)[name] == before[name] for name in done.left)


def test_a_mask_that_is_an_image_too_is_never_written(folder):
    save(folder / FORGED[0], pixels_of(folder / MASKS[0]) // 255)
    edit_row(folder, FORGED[0], mask_file_name=FORGED[0])
    before = files_of(folder)
    done = repair_dataset(check_dataset(folder))
    assert done.left == {FORGED[0]: "it is an image too"}
    assert files_of(folder) == before


def test_a_second_repair_keeps_the_first_original(folder):
    first = files_of(folder)[MASKS[0]]
    save(folder / MASKS[0], pixels_of(folder / MASKS[0]) // 255)
    spoilt = files_of(folder)[MASKS[0]]
    repair_dataset(check_dataset(folder))
    assert files_of(folder)[f"{ORIGINALS}/{MASKS[0]}"] == spoilt != first
    turn(folder, FORGED[0], 8)
    repair_dataset(check_dataset(folder))
    assert files_of(folder)[f"{ORIGINALS}/{MASKS[0]}"] == spoilt
    undo_repairs(folder)
    assert files_of(folder)[MASKS[0]] == spoilt


def test_undo_leaves_what_was_changed_since(folder):
    for name in MASKS[:2]:
        save(folder / name, pixels_of(folder / name) // 255)
    spoilt = files_of(folder)
    repair_dataset(check_dataset(folder))
    save(folder / MASKS[0], pixels_of(folder / MASKS[3]))
    mine = files_of(folder)[MASKS[0]]
    undone = undo_repairs(folder)
    assert undone.rewritten == (MASKS[1],)
    assert "changed or removed since" in undone.left[MASKS[0]]
    now = files_of(folder)
    assert (now[MASKS[0]], now[MASKS[1]]) == (mine, spoilt[MASKS[1]])
    assert now[f"{ORIGINALS}/{MASKS[0]}"] == spoilt[MASKS[0]]


def test_an_interrupted_repair_goes_on_and_can_be_undone(folder, monkeypatch):
    for name in MASKS[:4]:
        save(folder / name, pixels_of(folder / name) // 255)
    before = files_of(folder)
    writes = []

    def stops_halfway(path, content):
        writes.append(path)
        if len(writes) == 6:  # the third mask: original and log are written, the mask is not
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr(repairs, "write_atomically", stops_halfway)
        with pytest.raises(KeyboardInterrupt):
            repair_dataset(check_dataset(folder))
    interrupted = shutil.copytree(folder, folder.with_name("again"))
    undo_repairs(folder)
    assert files_of(folder) == before
    repair_dataset(check_dataset(interrupted))
    assert check_dataset(interrupted).findings == ()
    undo_repairs(interrupted)
    assert files_of(interrupted) == before


# -- the command line --------------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])


def test_exit_code_says_whether_there_is_an_error(folder):
    assert run(folder).exit_code == 0
    save(folder / "mask/new.png", pixels_of(folder / MASKS[0]))
    warned = run(folder)
    assert (warned.exit_code, "warning" in warned.output, "extra-mask" in warned.output) == (0, True, True)
    (folder / FORGED[0]).unlink()
    failed = run(folder)
    assert (failed.exit_code, "missing-image" in failed.output) == (1, True)


def test_the_json_has_every_file_and_the_table_the_first(folder, tmp_path):
    for name in MASKS[:5]:
        (folder / name).unlink()
    result = run(folder, "--json", tmp_path / "new/report.json")
    report = json.loads((tmp_path / "new/report.json").read_text())
    assert report["counts"] == {"error": 1, "warning": 0, "note": 0}
    assert (report["images"], report["masks"]) == (24, 24)
    assert report["findings"][0]["files"] == sorted(FORGED[:5])
    assert FORGED[0] in result.output
    assert FORGED[4] not in result.output


def test_fix_and_undo(folder):
    spoil(folder)
    before = files_of(folder)
    fixed = run(folder, "--fix")
    assert (fixed.exit_code, "12 masks rewritten" in fixed.output, "nothing found" in fixed.output) == (0, True, True)
    undone = run(folder, "--undo")
    assert (undone.exit_code, "12 masks put back" in undone.output) == (1, True)
    assert files_of(folder) == before


def test_without_fix_nothing_is_written(folder):
    spoil(folder)
    before = files_of(folder)
    run(folder)
    assert files_of(folder) == before


def test_a_mistake_in_the_command_is_one_line(folder):
    for arguments, problem in (([folder / "none"], "no such folder"), ([folder, "--fix", "--undo"], "contradict")):
        mistake = run(*arguments).exception
        assert isinstance(mistake, CommandError)
        assert problem in str(mistake)
        assert "\n" not in str(mistake)
