"""Pairing by name and lists: order never matters, doubt is never resolved in silence, and every form says the same."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_data_sets import mask, picture, text
from ifl_hub.data.lists import pairs_of_folders, read_label, read_list, resolve
from ifl_hub.data.pairing import MASK_ENDINGS, files_below, pair_by_stem, pair_of_folders
from ifl_hub.data.schema import DataFormatError

STEMS = st.lists(st.text("abcAB12 .", min_size=1, max_size=5), min_size=1, max_size=12, unique_by=str.casefold)


@settings(max_examples=50)
@given(STEMS, st.randoms(use_true_random=False), st.data())
def test_every_picture_gets_the_mask_of_its_name_in_whatever_order_files_are_listed(stems, shuffler, data):
    """The endings must not make one picture's mask another picture's: only stems that none is the start of another."""
    stems = [stem for stem in stems if not any(stem.casefold().endswith(ending) for ending in MASK_ENDINGS)]
    pictures = [Path(f"images/{stem}x.jpg") for stem in stems]
    endings = [data.draw(st.sampled_from(["", *MASK_ENDINGS])) for _ in stems]
    masks = [Path(f"masks/{stem.upper()}X{ending}.png") for stem, ending in zip(stems, endings, strict=True)]
    expected = dict(zip(pictures, masks, strict=True))
    shuffler.shuffle(pictures), shuffler.shuffle(masks)
    pairing = pair_by_stem(pictures, masks)
    assert pairing.masks == expected
    assert not (pairing.unmatched or pairing.ambiguous or pairing.strays)


@settings(max_examples=50)
@given(STEMS, st.integers(0, 2**16))
def test_nothing_is_paired_or_lost_when_masks_are_missing(stems, seed):
    pictures = [Path(f"{stem}x.jpg") for stem in stems]
    kept = [picture for picture in pictures if random.Random(f"{seed}{picture}").random() < 0.5]
    pairing = pair_by_stem(pictures, [Path(f"{picture.stem}.png") for picture in kept] + [Path("stranger.png")])
    assert list(pairing.masks) == kept and pairing.strays == [Path("stranger.png")]
    assert pairing.unmatched == [picture for picture in pictures if picture not in kept]


def test_two_masks_or_two_pictures_of_one_name_are_ambiguous():
    two_masks = pair_by_stem([Path("a.jpg")], [Path("a.png"), Path("a_gt.png")])
    assert two_masks.ambiguous == {Path("a.jpg"): [Path("a.png"), Path("a_gt.png")]} and not two_masks.masks
    two_pictures = pair_by_stem([Path("a.jpg"), Path("a.tif")], [Path("a.png")])
    assert set(two_pictures.ambiguous) == {Path("a.jpg"), Path("a.tif")} and not two_pictures.masks


def test_a_mask_whose_own_stem_is_a_picture_belongs_to_that_picture():
    pairing = pair_by_stem([Path("a.jpg"), Path("a_mask.jpg")], [Path("a.png"), Path("a_mask.png")])
    assert pairing.masks == {Path("a.jpg"): Path("a.png"), Path("a_mask.jpg"): Path("a_mask.png")}


def test_what_systems_leave_behind_is_not_listed(tmp_path):
    for name in ("b.jpg", "a/c.jpg", ".hidden.jpg", "__MACOSX/b.jpg", "a/._c.jpg"):
        picture(tmp_path / name) if name[-5] != "_" else text(tmp_path / name, "")
    assert [name for name, _ in files_below(tmp_path)] == ["a/c.jpg", "b.jpg"]


def test_folders_that_do_not_say_what_belongs_together_are_refused(tmp_path):
    picture(tmp_path / "images/a.jpg"), mask(tmp_path / "masks/a.png"), mask(tmp_path / "masks/a_mask.png")
    with pytest.raises(DataFormatError, match="not clear which mask"):
        pairs_of_folders(*pair_of_folders(tmp_path))
    (tmp_path / "masks/a_mask.png").rename(tmp_path / "masks/b.png")
    with pytest.raises(DataFormatError, match=r"b\.png belongs to no picture"):
        pairs_of_folders(*pair_of_folders(tmp_path))
    with pytest.raises(DataFormatError, match="no folders images/ and masks/"):
        pair_of_folders(tmp_path / "images")


FORMS = {
    "pairs.json": json.dumps([["a.jpg", "m.png"], ["b.jpg", "Negative"], ["c.jpg", None]]),
    "objects.json": json.dumps([{"image": "a.jpg", "mask": "m.png"}, {"file_name": "b.jpg"}, {"img_path": "c.jpg"}]),
    "lines.jsonl": '{"image": "a.jpg", "mask": "m.png"}\n{"image": "b.jpg"}\n{"image": "c.jpg", "gt": ""}\n',
    "table.csv": "image, mask\na.jpg,m.png\nb.jpg,\nc.jpg,None\n",
    "table.tsv": "path\tgt_path\na.jpg\tm.png\nb.jpg\t\nc.jpg\tnone\n",
    "commas.txt": "a.jpg,m.png\nb.jpg,None\n\nc.jpg\n",
    "tabs.txt": "a.jpg\tm.png\nb.jpg\tNone\nc.jpg\n",
    "blanks.txt": "a.jpg m.png\nb.jpg None\nc.jpg\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_list_says_the_same(name, tmp_path):
    entries = read_list(text(tmp_path / name, FORMS[name]))
    assert [(entry.image.name, entry.mask and entry.mask.name, entry.label) for entry in entries] == [
        ("a.jpg", "m.png", None),
        ("b.jpg", None, "authentic"),
        ("c.jpg", None, "authentic"),
    ]
    assert {entry.image.parent for entry in entries} == {tmp_path}


def test_names_with_blanks_survive_lines_of_text(tmp_path):
    entries = read_list(text(tmp_path / "l.txt", "my photo 1.jpg\nmy photo 2.jpg,my mask.png,forged\n"))
    assert [entry.image.name for entry in entries] == ["my photo 1.jpg", "my photo 2.jpg"]
    assert (entries[1].mask.name, entries[1].label) == ("my mask.png", "forged")


def test_listed_labels_win_over_masks_and_further_columns_are_kept(tmp_path):
    table = "image,mask,label,group\na.jpg,m.png,0,g\nb.jpg,,fake,\n"
    first, second = read_list(text(tmp_path / "l.csv", table))
    assert (first.label, first.columns) == ("authentic", {"group": "g"})
    assert (second.label, second.columns) == ("forged", {})


def test_windows_slashes_and_other_cases_find_their_files(tmp_path):
    there = picture(tmp_path / "sub/A 1.JPG", format="JPEG")
    assert resolve(tmp_path, "sub\\a 1.jpg") == there
    picture(tmp_path / "sub/a 1.Jpg", format="JPEG")
    assert resolve(tmp_path, "sub/a 1.jpg") == tmp_path / "sub/a 1.jpg", "two fit: neither is taken"
    assert resolve(tmp_path, "absent/a.jpg") == tmp_path / "absent/a.jpg"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.md", "a.jpg", "not a list; give one of"),
        ("l.txt", "\n", "an empty list"),
        ("l.json", "{}", "give a JSON array"),
        ("l.json", "[1]", "is no .image, mask. pair"),
        ("l.json", "[", "Expecting value"),
        ("l.csv", "photo,mask\na.jpg,m.png\n", "no column for the picture"),
        ("l.csv", "image,label\na.jpg,maybe\n", "label 'maybe' is unknown"),
        ("l.txt", "a,b,c,d\n", "more than image, mask and label"),
    ],
)
def test_a_list_that_is_none_is_one_line_that_names_it(name, content, message, tmp_path):
    with pytest.raises(DataFormatError, match=message) as raised:
        read_list(text(tmp_path / name, content))
    assert str(tmp_path / name) in str(raised.value) and "\n" not in str(raised.value)


@given(st.sampled_from([("Real", "authentic"), (0, "authentic"), (" TAMPERED ", "forged"), (True, "forged")]))
@settings(max_examples=8)
def test_labels_are_read_as_people_write_them(pair):
    assert read_label(pair[0]) == pair[1]
