"""load_forgery_dataset: the same columns from every form, decoded late, and nothing guessed in silence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ifl_hub
from fake_data_sets import HEIGHT, TREES, WIDTH, mask, picture, text
from ifl_hub import load_forgery_dataset
from ifl_hub.data.datasets import COLUMNS
from ifl_hub.data.importers import import_dataset
from ifl_hub.data.schema import DataFormatError, read_metadata, write_metadata
from ifl_hub.data.splits import assign_splits
from ifl_hub.image_processing.masks import to_label_map

datasets = pytest.importorskip("datasets", reason="loading needs the train extra")
RESEARCH_SETS = Path(__file__).parents[2] / "shared/data/forgery"


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def korus(folder):
    TREES["korus"](folder / "source")
    import_dataset("korus", folder / "source", folder / "out")
    return folder / "out"


def plain(folder):
    picture(folder / "images/a.jpg"), picture(folder / "images/b.png"), picture(folder / "images/c.png")
    mask(folder / "masks/a.png"), mask(folder / "masks/b.png", forged=0)
    return folder


def as_list(folder):
    plain(folder)
    pairs = [["images/a.jpg", "masks/a.png"], ["images/b.png", "masks/b.png"], ["images/c.png", "Negative"]]
    return text(folder / "list.json", json.dumps(pairs))


def as_parquet(folder):
    rows = load_forgery_dataset(plain(folder / "plain"))
    (folder / "hub/data").mkdir(parents=True)
    rows.to_parquet(folder / "hub/data/train-00000-of-00001.parquet")
    return folder / "hub"


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", [plain, as_list, as_parquet])
def test_every_form_gives_the_same_rows(form, streaming, tmp_path):
    dataset = load_forgery_dataset(form(tmp_path), streaming=streaming)
    assert dataset.column_names == list(COLUMNS)
    rows = list(dataset)
    assert [row["label"] for row in rows] == ["forged", "authentic", "authentic"]
    assert [row["forgery_type"] for row in rows] == ["unknown", "none", "none"]
    assert [row["group"] for row in rows] == ["a.jpg", "b.png", "c.png"]
    assert [row["mask"] is None for row in rows] == [False, False, True]
    assert all(row["image"].size == (WIDTH, HEIGHT) for row in rows)
    assert (to_label_map(rows[0]["mask"])[:, : WIDTH // 2] == 1).all()


def test_it_is_a_map_style_or_a_streaming_data_set(tmp_path):
    assert isinstance(load_forgery_dataset(plain(tmp_path)), datasets.Dataset)
    assert isinstance(load_forgery_dataset(tmp_path, streaming=True), datasets.IterableDataset)


def test_pictures_are_decoded_when_asked_for_and_not_before(tmp_path):
    (plain(tmp_path) / "images/a.jpg").write_bytes(b"no picture")
    dataset = load_forgery_dataset(tmp_path)
    assert dataset["label"][:] == ["forged", "authentic", "authentic"]
    assert dataset[1]["image"].size == (WIDTH, HEIGHT)
    with pytest.raises(OSError, match="cannot identify"):
        dataset[0]


def test_what_was_imported_loads_here_and_with_datasets_alone(tmp_path):
    folder = korus(tmp_path)
    ours = load_forgery_dataset(folder)
    theirs = datasets.load_dataset("imagefolder", data_dir=str(folder))["train"]
    assert len(ours) == len(theirs) == 4
    assert set(COLUMNS) <= set(theirs.column_names)
    for mine, other in zip(ours, theirs, strict=True):
        assert {name: mine[name] for name in COLUMNS[2:]} == {name: other[name] for name in COLUMNS[2:]}
        assert np.array_equal(np.asarray(mine["image"]), np.asarray(other["image"]))
        assert np.array_equal(np.asarray(mine["mask"]), np.asarray(other["mask"]))


@pytest.mark.parametrize("kind", ["imdlbenco", "dfdc"])
def test_names_with_the_word_of_a_split_lose_no_row_in_datasets(kind, tmp_path):
    """`datasets` would take "val 1.jpg" or "dfdc_train_part_0/" for a whole split and drop all other pictures."""
    TREES[kind](tmp_path / "source")
    report = import_dataset(kind, tmp_path / "source", tmp_path / "out")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"))
    assert {name: len(part) for name, part in loaded.items()} == {"train": report.imported}


def test_masks_are_none_where_a_data_set_has_none(tmp_path):
    TREES["celeb-df"](tmp_path / "source")
    import_dataset("celeb-df", tmp_path / "source", tmp_path / "out")
    assert [row["mask"] for row in load_forgery_dataset(tmp_path / "out")] == [None] * 3


def test_a_split_has_its_rows_and_all_splits_have_all(tmp_path):
    folder = korus(tmp_path)
    rows = assign_splits(read_metadata(folder), {"train": 1, "test": 1})
    write_metadata(folder, rows)
    for split in {row.split for row in rows}:
        groups = {row.group for row in rows if row.split == split}
        assert set(load_forgery_dataset(folder, split)["group"]) == groups
    assert len(load_forgery_dataset(folder)) == len(rows)


def test_folders_of_splits_are_read_as_datasets_writes_them(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / split / "a.png")
        line = {"file_name": "a.png", "label": "authentic", "group": split}
        text(tmp_path / split / "metadata.jsonl", json.dumps(line))
    assert load_forgery_dataset(tmp_path)["group"][:] == ["train", "test"]
    assert load_forgery_dataset(tmp_path, "test")["group"][:] == ["test"]


def test_pictures_come_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "images/a.jpg", exif=exif), (tmp_path / "masks").mkdir()
    assert load_forgery_dataset(tmp_path)[0]["image"].size == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("label", "kinds"),
    [
        (datasets.ClassLabel(names=["tampered", "pristine"]), ["forged", "authentic"]),
        (datasets.Value("int64"), ["authentic", "forged"]),
        (datasets.Value("string"), ["authentic", "forged"]),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_other_peoples_data_sets_get_our_columns(label, kinds, streaming, tmp_path):
    values = ["real", "fake"] if label == datasets.Value("string") else [0, 1]
    features = datasets.Features({"image": datasets.Image(), "label": label, "id": datasets.Value("int64")})
    pictures = [Image.new("RGB", (WIDTH, HEIGHT))] * 2
    foreign = datasets.Dataset.from_dict({"image": pictures, "label": values, "id": [7, 8]}, features)
    (tmp_path / "hub").mkdir()
    foreign.to_parquet(tmp_path / "hub/train.parquet")
    rows = list(load_forgery_dataset(tmp_path / "hub", streaming=streaming))
    assert [row["label"] for row in rows] == kinds
    assert all(list(row) == list(COLUMNS) and row["mask"] is None for row in rows)
    assert len({row["group"] for row in rows}) == 2


def test_mistakes_are_one_line_that_says_the_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    folder = korus(tmp_path)
    with pytest.raises(DataFormatError, match=r"split 'dev' is not among .* None is all rows"):
        load_forgery_dataset(folder, "dev")
    with pytest.raises(DataFormatError, match="it has none: `ifl-hub data split` makes them"):
        load_forgery_dataset(folder, "test")
    with pytest.raises(DataFormatError, match="no such folder or list, and no name of a data set"):
        load_forgery_dataset(tmp_path / "absent" / "folder")
    with pytest.raises(DataFormatError, match="`ifl-hub data import` makes one"):
        load_forgery_dataset(tmp_path / "source")
    (folder / "image/Canon_60D/pristine/DPP0012.TIF").unlink()
    with pytest.raises(DataFormatError, match=r"DPP0012\.TIF is listed in .* but not there \(1 such files\)"):
        load_forgery_dataset(folder)


def test_a_data_set_without_labels_is_refused(tmp_path):
    pictures = datasets.Dataset.from_dict(
        {"image": [Image.new("RGB", (4, 4))]}, datasets.Features(image=datasets.Image())
    )
    (tmp_path / "hub").mkdir()
    pictures.to_parquet(tmp_path / "hub/train.parquet")
    with pytest.raises(DataFormatError, match="no columns image and label; there are: image"):
        load_forgery_dataset(tmp_path / "hub")


def test_it_is_a_public_name():
    assert ifl_hub.load_forgery_dataset is load_forgery_dataset


@pytest.mark.skipif(not RESEARCH_SETS.is_dir(), reason="the research-only forgeries are not on this machine")
@pytest.mark.parametrize(("name", "forged", "authentic"), [("casia1", 637, 563), ("casia2", 20, 0), ("comofod", 50, 0)])
def test_the_development_data_imports_and_loads_with_datasets_alone(name, forged, authentic, tmp_path):
    """Its masks are null where pictures are authentic, which no split of only authentic pictures would survive."""
    as_it_is = load_forgery_dataset(RESEARCH_SETS / name)
    report = import_dataset("imagefolder", RESEARCH_SETS / name, tmp_path / "out")
    assert sum(count for what, count in report.counts.items() if what.startswith("forged")) == forged
    assert report.imported == len(as_it_is) == forged + authentic and not report.skipped
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"))["train"]
    assert len(loaded) == forged + authentic
    assert loaded[0]["mask"].size == loaded[0]["image"].size
