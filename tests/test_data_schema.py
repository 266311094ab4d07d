"""The form on disk: what it refuses, and that `datasets` reads what it writes, whatever the rows."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ifl_hub.data.schema import (
    DataFormatError,
    ForgeryRow,
    check_rows,
    count_by,
    read_metadata,
    row_from_record,
    safe_path,
    write_mask,
    write_metadata,
)


def row(name="a.jpg", **changes):
    values = {"mask_file_name": f"mask/{name}.png", "label": "forged", "source": "s", "forgery_type": "splicing"}
    return ForgeryRow(**({"file_name": f"image/{name}", "group": name} | values | changes))


def test_rows_survive_a_round_trip(tmp_path):
    rows = [
        row(extra={"width": 3}),
        row("b é.png", label="authentic", forgery_type="none", mask_semantics="target", extra={"width": 4}),
    ]
    write_metadata(tmp_path, rows)
    assert read_metadata(tmp_path) == rows
    assert "null" not in (tmp_path / "metadata.jsonl").read_text()


def test_a_line_that_somebody_else_wrote_gets_the_values_that_mean_nothing_known(tmp_path):
    lines = [
        {"file_name": "a.jpg", "label": "authentic", "mask_file_name": None, "mask_semantics": "none"},
        {"file_name": "b.jpg", "label": "forged", "mask_file_name": "m.png", "suggested_split": "validation"},
    ]
    (tmp_path / "metadata.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines))
    authentic, forged = read_metadata(tmp_path)
    assert (authentic.mask_file_name, authentic.forgery_type, authentic.group) == (None, "none", "a.jpg")
    assert (forged.forgery_type, forged.source, forged.split) == ("unknown", tmp_path.name, "validation")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "fake"}, "label 'fake' is not among"),
        ({"split": "dev"}, "split 'dev' is not among"),
        ({"mask_semantics": "source"}, "mask_semantics 'source' is not among"),
        ({"forgery_type": "none"}, "does not go with label 'forged'"),
        ({"label": "authentic"}, "does not go with label 'authentic'"),
        ({"group": ""}, "group is empty"),
        ({"file_name": "/etc/a.jpg"}, "inside the data set's folder"),
        ({"file_name": "../a.jpg"}, "inside the data set's folder"),
        ({"mask_file_name": "mask\\a.png"}, "with / between"),
    ],
)
def test_a_row_refuses_what_is_not_of_the_form(changes, message):
    with pytest.raises(DataFormatError, match=re.escape(message)):
        row(**changes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one picture"),
        ([row(), row()], "occurs in 2 rows"),
        ([row(), row("b.jpg", mask_file_name=None)], "has no mask_file_name and other rows have one"),
        ([row(split="train"), row("b.jpg")], "has no split and other rows have one"),
        ([row("val_1.jpg")], "rename it to image/VAL_1.jpg"),
    ],
)
def test_rows_that_datasets_would_misread_are_refused_and_nothing_is_written(rows, message, tmp_path):
    with pytest.raises(DataFormatError, match=re.escape(message)):
        write_metadata(tmp_path, rows)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no row"),
        ('{"file_name": "a.jpg", "label": "forged"}\n{"label": "forged"}', "line 2: a line has no file_name"),
        ("[1]", "line 1"),
        ("{", "line 1"),
    ],
)
def test_a_broken_listing_is_one_line_with_its_place(content, message, tmp_path):
    (tmp_path / "metadata.jsonl").write_text(content)
    with pytest.raises(DataFormatError, match=message):
        read_metadata(tmp_path)


def test_a_missing_listing_says_how_to_make_one(tmp_path):
    with pytest.raises(DataFormatError, match="ifl-hub data import"):
        read_metadata(tmp_path)


@pytest.mark.parametrize("safe", [True, False])
def test_safe_paths_are_what_datasets_itself_does_not_take_for_a_split(safe, tmp_path):
    """Against `datasets` itself: every keyword, at either end, in folders and names; unsafe, each one is a trap."""
    data_files = pytest.importorskip("datasets.data_files", reason="datasets is in the train extra")
    keywords = [keyword for keywords in data_files.SPLIT_KEYWORDS.values() for keyword in keywords]
    forms = ("image/{}_1.png", "image/a {}.png", "{}/1.png", "x-{}2/1.png")
    paths = [form.format(keyword) for keyword in keywords for form in forms]
    assert all(safe_path(path) != path for path in paths)
    for path in paths:
        place = tmp_path / (safe_path(path) if safe else path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    assert (set(data_files.get_data_patterns(str(tmp_path))) == {"train"}) is safe


@given(st.text("abtesvalidrn_-. 0/", min_size=1, max_size=20))
def test_making_a_path_safe_twice_changes_nothing_more_and_only_case(path):
    assert safe_path(safe_path(path)) == safe_path(path)
    assert safe_path(path).lower() == path.lower()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_masks_are_stored_as_black_and_white(tmp_path_factory, height, width, seed):
    forged = np.random.default_rng(seed).random((height, width)) < 0.5
    path = tmp_path_factory.mktemp("mask") / "sub" / "m.png"
    write_mask(path, forged)
    with Image.open(path) as stored:
        assert (stored.format, stored.mode) == ("PNG", "L")
        assert np.array_equal(np.asarray(stored), np.where(forged, 255, 0))


def test_counts_are_by_combination():
    rows = [row(), row("b.jpg"), row("c.jpg", label="authentic", forgery_type="none")]
    assert count_by(rows, "label", "forgery_type") == {"authentic none": 1, "forged splicing": 2}
    check_rows(rows)


def test_defaults_of_a_record_do_not_hide_a_wrong_label():
    with pytest.raises(DataFormatError, match="label None is not among"):
        row_from_record({"file_name": "a.jpg"}, "s")
