"""Importers: every layout with its quirks, twice: nothing re-encoded, nothing paired by chance, all accounted for."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fake_data_sets import HEIGHT, TREES, WIDTH, mask, picture
from ifl_hub.data.importers import LAYOUTS, MaskFile, PolygonMask, find_layout, import_dataset
from ifl_hub.data.importers.layout import connected
from ifl_hub.data.importers.mask_rules import read_mask
from ifl_hub.data.schema import DataFormatError, read_metadata, write_metadata
from ifl_hub.data.splits import assign_splits

MASKED = [kind for kind, layout in LAYOUTS.items() if layout.has_masks]


def files_of(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()}


def test_every_layout_has_a_tree():
    assert set(TREES) == set(LAYOUTS)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_import_finds_labels_groups_and_reasons(kind, tmp_path):
    expected = TREES[kind](tmp_path / "source")
    report = import_dataset(kind, tmp_path / "source", tmp_path / "out")
    rows = {row.file_name: row for row in read_metadata(tmp_path / "out")}
    found = {name: (row.label, row.forgery_type, row.group) for name, row in rows.items()}
    assert found == {f"image/{name}": facts for name, facts in expected.rows.items()}
    assert {name: rows[f"image/{name}"].split for name in expected.splits} == expected.splits
    reasons = sorted(entry.reason for entry in report.skipped)
    assert len(reasons) == len(expected.skipped)
    assert all(end in reason for reason, end in zip(reasons, sorted(expected.skipped), strict=True)), reasons
    assert report.imported == report.copied == len(rows)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_pictures_keep_their_bytes_and_a_second_run_touches_nothing(kind, tmp_path):
    TREES[kind](tmp_path / "source")
    import_dataset(kind, tmp_path / "source", tmp_path / "out")
    originals = {path.read_bytes() for path in (tmp_path / "source").rglob("*") if path.is_file()}
    assert all(path.read_bytes() in originals for path in (tmp_path / "out/image").rglob("*") if path.is_file())
    listing, before = (tmp_path / "out/metadata.jsonl").read_bytes(), files_of(tmp_path / "out")
    report = import_dataset(kind, tmp_path / "source", tmp_path / "out")
    assert report.copied == 0 and report.imported == len(read_metadata(tmp_path / "out"))
    assert (tmp_path / "out/metadata.jsonl").read_bytes() == listing
    after = files_of(tmp_path / "out")
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"metadata.jsonl", "import_report.json"} and set(after) == set(before)


@pytest.mark.parametrize("kind", MASKED)
def test_masks_are_black_and_white_and_mark_the_left_half(kind, tmp_path):
    TREES[kind](tmp_path / "source")
    import_dataset(kind, tmp_path / "source", tmp_path / "out")
    for row in read_metadata(tmp_path / "out"):
        with Image.open(tmp_path / "out" / row.mask_file_name) as stored:
            assert (stored.format, stored.mode, stored.size) == ("PNG", "L", (WIDTH, HEIGHT))
            values = np.asarray(stored)
        assert set(np.unique(values)) <= {0, 255}
        assert (values[:, 20:] == 0).all()
        assert (values[:, :12] == (255 if row.label == "forged" else 0)).all()


@pytest.mark.parametrize("kind", [kind for kind in LAYOUTS if kind not in MASKED])
def test_face_sets_have_no_mask_column_at_all(kind, tmp_path):
    TREES[kind](tmp_path / "source")
    import_dataset(kind, tmp_path / "source", tmp_path / "out")
    lines = (tmp_path / "out/metadata.jsonl").read_text().splitlines()
    assert lines and not any("mask_file_name" in json.loads(line) for line in lines)


def test_an_interrupted_import_has_no_listing_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    from ifl_hub.data.importers import copying

    TREES["korus"](tmp_path / "source")
    written, real = [], copying._copy

    def fails_at_the_third(source, path, link):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(source, path, link)

    monkeypatch.setattr(copying, "_copy", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        import_dataset("korus", tmp_path / "source", tmp_path / "out")
    assert not (tmp_path / "out/metadata.jsonl").exists()
    monkeypatch.setattr(copying, "_copy", real)
    assert import_dataset("korus", tmp_path / "source", tmp_path / "out").copied == 2


def test_a_changed_picture_is_imported_again(tmp_path):
    TREES["dso1"](tmp_path / "source")
    import_dataset("dso1", tmp_path / "source", tmp_path / "out")
    changed = tmp_path / "source/tifs-database/DSO-1/splicing-01.png"
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(changed)
    assert import_dataset("dso1", tmp_path / "source", tmp_path / "out").copied == 1
    assert (tmp_path / "out/image/splicing-01.png").read_bytes() == changed.read_bytes()


def test_links_share_the_bytes_and_are_found_again(tmp_path):
    TREES["dso1"](tmp_path / "source")
    import_dataset("dso1", tmp_path / "source", tmp_path / "out", link=True)
    original = tmp_path / "source/tifs-database/DSO-1/normal-01.png"
    assert original.samefile(tmp_path / "out/image/normal-01.png")
    assert import_dataset("dso1", tmp_path / "source", tmp_path / "out", link=True).copied == 0


def test_the_report_says_which_rule_read_the_masks_and_lies_beside_the_data(tmp_path):
    TREES["dso1"](tmp_path / "source")
    report = import_dataset("dso1", tmp_path / "source", tmp_path / "out")
    assert report.mask_rules == {"none": 1, "black": 1}
    stored = json.loads((tmp_path / "out/import_report.json").read_text())
    assert stored["counts"] == {"authentic none": 1, "forged splicing": 1} and stored["mask_rules"] == report.mask_rules


def test_splits_survive_a_second_import_unless_pictures_came(tmp_path):
    TREES["korus"](tmp_path / "source")
    import_dataset("korus", tmp_path / "source", tmp_path / "out")
    write_metadata(tmp_path / "out", assign_splits(read_metadata(tmp_path / "out")))
    import_dataset("korus", tmp_path / "source", tmp_path / "out")
    assert all(row.split for row in read_metadata(tmp_path / "out"))
    picture(tmp_path / "source/data-images/Sony_A57/pristine/new.TIF")
    report = import_dataset("korus", tmp_path / "source", tmp_path / "out")
    assert not any(row.split for row in read_metadata(tmp_path / "out"))
    assert any("ifl-hub data split" in note for note in report.notes)


def test_the_official_split_of_celeb_df_is_a_column_of_its_own(tmp_path):
    TREES["celeb-df"](tmp_path / "source")
    import_dataset("celeb-df", tmp_path / "source", tmp_path / "out")
    official = {row.file_name.split("/")[1]: row.extra["official_split"] for row in read_metadata(tmp_path / "out")}
    assert official == {"Celeb-real": "train", "Celeb-synthesis": "test", "YouTube-real": "test"}


@pytest.mark.parametrize(
    ("kind", "source"), [("folders", "mine"), ("imdlbenco", "mine"), ("list", "mine"), ("dso1", "dso1")]
)
def test_the_source_is_the_data_set_or_where_nobody_named_it_the_folder(kind, source, tmp_path):
    TREES[kind](tmp_path / "mine")
    import_dataset(kind, tmp_path / "mine", tmp_path / "out")
    assert {row.source for row in read_metadata(tmp_path / "out")} == {source}


def test_columns_that_only_some_rows_fill_are_left_out(tmp_path):
    TREES["imagefolder"](tmp_path / "source")
    listing = tmp_path / "source/metadata.jsonl"
    first, second = (json.loads(line) for line in listing.read_text().splitlines())
    listing.write_text(json.dumps(first | {"score": 0.5, "note": None}) + "\n" + json.dumps(second))
    import_dataset("imagefolder", tmp_path / "source", tmp_path / "out")
    assert {tuple(row.extra) for row in read_metadata(tmp_path / "out")} == {("host",)}


@pytest.mark.parametrize("lies_like", ["stored", "seen"])
def test_a_mask_follows_the_exif_orientation_of_its_picture(tmp_path, lies_like):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: 32x16 as stored, 16x32 as seen
    picture(tmp_path / "source/images/a.jpg", exif=exif)
    mask(tmp_path / "source/masks/a.png")
    if lies_like == "seen":
        with Image.open(tmp_path / "source/masks/a.png") as stored:
            turned = stored.transpose(Image.Transpose.ROTATE_270)
        turned.save(tmp_path / "source/masks/a.png")
    report = import_dataset("folders", tmp_path / "source", tmp_path / "out")
    values = np.asarray(Image.open(tmp_path / "out/mask/a.png"))
    assert values.shape == (WIDTH, HEIGHT) and (values[:16] == 255).all() and (values[16:] == 0).all()
    assert sum(report.notes.values()) == 1


def test_two_pictures_of_one_stem_get_two_masks(tmp_path):
    picture(tmp_path / "source/a.jpg"), picture(tmp_path / "source/a.png")
    mask(tmp_path / "source/m1.png"), mask(tmp_path / "source/m2.png")
    (tmp_path / "source/list.txt").write_text("a.jpg,m1.png\na.png,m2.png\n")
    import_dataset("list", tmp_path / "source/list.txt", tmp_path / "out")
    assert [row.mask_file_name for row in read_metadata(tmp_path / "out")] == ["mask/a.jpg.png", "mask/a.png.png"]


def test_names_that_differ_in_case_only_are_not_written_over_each_other(tmp_path):
    for name in ("test_1.jpg", "TEST_1.jpg"):
        picture(tmp_path / "source/Au" / name)
    picture(tmp_path / "source/Tp/x.jpg"), mask(tmp_path / "source/Gt/x.png")
    report = import_dataset("imdlbenco", tmp_path / "source", tmp_path / "out")
    assert report.imported == 2 and "has the same name as" in report.skipped[0].reason


def test_broken_pictures_and_masks_are_left_out_with_a_reason(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"source/Tp/{name}.jpg"), mask(tmp_path / f"source/Gt/{name}.png")
    (tmp_path / "source/Tp/a.jpg").write_bytes(b"no picture")
    (tmp_path / "source/Gt/b.png").write_bytes((tmp_path / "source/Gt/b.png").read_bytes()[:40])
    report = import_dataset("imdlbenco", tmp_path / "source", tmp_path / "out")
    assert report.imported == 1
    assert {entry.path.stem: entry.reason[:17] for entry in report.skipped} == {
        "a": "not a readable pi",
        "b": "its mask cannot b",
    }


def test_mistakes_are_one_line_that_says_the_fix(tmp_path):
    TREES["dso1"](tmp_path / "dso1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFormatError, match="did you mean casia1"):
        find_layout("casia_1")
    with pytest.raises(DataFormatError, match="there are: casia1, casia2"):
        find_layout("xyz")
    with pytest.raises(DataFormatError, match="no such file or folder"):
        import_dataset("dso1", tmp_path / "absent", tmp_path / "out")
    with pytest.raises(DataFormatError, match=r"no DSO-1 here; expected DSO-1/splicing-01\.png"):
        import_dataset("dso1", tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataFormatError, match="source itself"):
        import_dataset("dso1", tmp_path / "dso1", tmp_path / "dso1")
    with pytest.raises(DataFormatError, match="is a file; name the folder"):
        import_dataset("dso1", picture(tmp_path / "file.png"), tmp_path / "out")
    import_dataset("dso1", tmp_path / "dso1", tmp_path / "out")
    TREES["casia1"](tmp_path / "casia1")
    with pytest.raises(DataFormatError, match="holds another data set already"):
        import_dataset("casia1", tmp_path / "casia1", tmp_path / "out")


def test_annotations_that_are_none_are_one_line_too(tmp_path):
    (tmp_path / "Train_poly.json").write_text('{"images": []}')
    with pytest.raises(DataFormatError, match="not as OpenForensics has it"):
        import_dataset("openforensics", tmp_path, tmp_path / "out")


def test_an_import_that_leaves_nothing_says_why(tmp_path):
    picture(tmp_path / "s/DSO-1/splicing-01.png")
    mask(tmp_path / "s/DSO-1-Fake-Images-Masks/splicing-01.png", forged=255, authentic=255)
    with pytest.raises(DataFormatError, match="forged, but its mask marks nothing"):
        import_dataset("dso1", tmp_path / "s", tmp_path / "out")
    assert not (tmp_path / "out/metadata.jsonl").exists()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(["white", "black", "any"]))
@settings(max_examples=30, deadline=None)
def test_every_rule_reads_back_what_was_painted(tmp_path_factory, height, width, seed, rule):
    forged = np.random.default_rng(seed).random((height, width)) < 0.5
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    shades = {"white": (255, 0), "black": (0, 255), "any": (1 + seed % 255, 0)}[rule]
    Image.fromarray(np.where(forged, *shades).astype(np.uint8)).save(path)
    assert np.array_equal(read_mask(path, rule), forged)
    assert np.array_equal(MaskFile(path, rule).read((1, 1)), forged)


@given(st.integers(0, 20), st.integers(0, 10), st.integers(0, 20), st.integers(0, 10))
@settings(max_examples=30, deadline=None)
def test_outlines_are_filled_and_clipped_to_the_picture(tmp_path_factory, left, top, width, height):
    right, bottom = left + width, top + height
    outline = (left, top, right, top, right, bottom, left, bottom)
    drawn = PolygonMask(tmp_path_factory.getbasetemp(), (outline,)).read((12, 24))
    rows, columns = np.mgrid[:12, :24]
    assert np.array_equal(drawn, (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=12))
def test_linked_names_share_a_representative_and_unlinked_ones_do_not(links):
    found = connected(links)
    components = [{name} for name in "abcdefgh"]
    for first, second in links:
        joined = [part for part in components if first in part or second in part]
        components = [part for part in components if part not in joined] + [set().union(*joined)]
    for part in components:
        assert len({found.get(name, name) for name in part}) == 1
    assert len({found.get(next(iter(part)), next(iter(part))) for part in components}) == len(components)
