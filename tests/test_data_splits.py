"""Splits: no group crosses them, nothing but the group's name and the seed decides, shares hold on average."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub.data.schema import DataFormatError, ForgeryRow
from ifl_hub.data.splits import assign_splits, split_of_group

GROUPS = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=30)
SHARES = st.dictionaries(st.sampled_from(["train", "validation", "test"]), st.floats(0.01, 10), min_size=1)


def rows_of(groups):
    return [ForgeryRow(f"{i}.jpg", f"{i}.png", "forged", "s", "splicing", group) for i, group in enumerate(groups)]


@given(GROUPS, SHARES, st.integers(0, 5))
@settings(max_examples=40)
def test_no_group_crosses_splits_and_only_wanted_splits_occur(groups, shares, seed):
    rows = assign_splits(rows_of(groups), shares, seed)
    by_group = {}
    for row in rows:
        by_group.setdefault(row.group, set()).add(row.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {row.split for row in rows} <= set(shares)
    assert [row.file_name for row in rows] == [f"{i}.jpg" for i in range(len(groups))]


@given(GROUPS, GROUPS, SHARES)
@settings(max_examples=40)
def test_pictures_that_come_later_or_in_another_order_move_nothing(groups, more, shares):
    before = {row.group: row.split for row in assign_splits(rows_of(groups), shares)}
    after = {row.group: row.split for row in assign_splits(rows_of([*more, *reversed(groups)]), shares)}
    assert before.items() <= after.items()


@given(SHARES, st.floats(0.1, 100))
def test_shares_are_relative(shares, factor):
    scaled = {split: share * factor for split, share in shares.items()}
    different = sum(split_of_group(str(i), shares) != split_of_group(str(i), scaled) for i in range(50))
    assert different <= 1  # a hash that falls on the very border


def test_shares_hold_on_average_and_the_seed_matters():
    names = [f"host{i}" for i in range(4000)]
    splits = [split_of_group(name) for name in names]
    for split, share in {"train": 0.8, "validation": 0.1, "test": 0.1}.items():
        assert abs(splits.count(split) / 4000 - share) < 0.02
    other = [split_of_group(name, seed=1) for name in names]
    agreement = sum(a == b for a, b in zip(splits, other, strict=True)) / 4000
    assert abs(agreement - (0.8**2 + 2 * 0.1**2)) < 0.03  # what independent draws agree on


def test_a_split_is_the_same_on_every_machine():
    assert [split_of_group(name) for name in ("pla0005", "host8", "sec0086")] == ["train", "validation", "test"]


@pytest.mark.parametrize(
    "shares", [{"dev": 1.0}, {"train": -1.0, "test": 2.0}, {"train": 0.0}, {"test": float("nan")}, {}]
)
def test_impossible_shares_are_refused(shares):
    with pytest.raises(DataFormatError, match="split"):
        split_of_group("a", shares)
