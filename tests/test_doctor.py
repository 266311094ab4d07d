"""The dataset doctor: every defect is planted in a sound data set, found, and nothing else is."""

import json
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from ifl_hub.data.doctor import SEVERITY_OF, check_dataset
from ifl_hub.data.doctor.leakage import photo_hashes
from ifl_hub.data.doctor.shortcuts import predictability
from ifl_hub.data.schema import DataFormatError
from tiny_photos import texture
from tiny_sets import (
    AUTHENTIC,
    FORGED,
    HEIGHT,
    PHOTOS,
    WIDTH,
    edit_row,
    edit_rows,
    mask_of,
    pixels_of,
    read_rows,
    save,
    write_rows,
    write_set,
)

MASKS = [mask_of(name) for name in FORGED]
RESEARCH_SETS = Path(__file__).parents[2] / "shared/data/forgery"


def findings(folder):
    return {found.id: list(found.files) for found in check_dataset(folder).findings}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_set(folder)
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "set"))


# -- the same sound data set in other clothes --------------------------------------------------------------------------


def as_it_is(folder):
    pass


def with_null_masks(folder):
    for name in AUTHENTIC:
        (folder / mask_of(name)).unlink()
    edit_rows(folder, lambda row: row["label"] == "authentic" and row.update(mask_file_name=None))


def with_no_masks_at_all(folder):
    shutil.rmtree(folder / "mask")
    edit_rows(folder, lambda row: row.update(mask_file_name=None))


def with_no_splits(folder):
    edit_rows(folder, lambda row: row.pop("split"))


def as_csv(folder):
    rows = read_rows(folder)
    columns = list(rows[0])
    lines = [",".join(columns), *(",".join(str(row.get(column, "")) for column in columns) for row in rows)]
    (folder / "metadata.csv").write_text("\n".join(lines))
    (folder / "metadata.jsonl").unlink()


def as_folders_of_splits(folder):
    rows = read_rows(folder)
    for split, named in (("train", "train"), ("validation", "val")):
        part = [row for row in rows if row["split"] == split]
        for row in part:
            for name in (row["file_name"], row["mask_file_name"]):
                (folder / named / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).rename(folder / named / name)
        write_rows(folder / named, [{key: value for key, value in row.items() if key != "split"} for row in part])
    (folder / "metadata.jsonl").unlink()


def as_pairs(folder):
    (folder / "metadata.jsonl").unlink()
    (folder / "image").rename(folder / "images")
    (folder / "mask").rename(folder / "masks")


def as_pairs_with_endings(folder):
    as_pairs(folder)
    for mask in (folder / "masks").iterdir():
        mask.rename(mask.with_name(f"{mask.stem}_gt.png"))


FORMS = [as_it_is, with_null_masks, with_no_masks_at_all, with_no_splits, as_csv, as_folders_of_splits, as_pairs]


@pytest.mark.parametrize("form", [*FORMS, as_pairs_with_endings])
def test_nothing_is_found_in_a_sound_data_set(folder, form):
    form(folder)
    report = check_dataset(folder)
    assert report.findings == ()
    assert not report.has_errors
    assert report.images == 2 * PHOTOS
    assert "nothing found" in report.to_text()


def test_data_sets_side_by_side_are_checked_as_one(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "both/first")
    shutil.copytree(folder, tmp_path / "both/val_photos")
    as_pairs(tmp_path / "both/val_photos")
    shutil.rmtree(folder)
    edit_rows(tmp_path / "both/first", lambda row: row.update(split="train"))
    shutil.copytree(tmp_path / "both/first", tmp_path / "both/second")
    for n, name in enumerate([*FORGED, *AUTHENTIC]):
        save(tmp_path / "both/second" / name, texture(400 + n, HEIGHT, WIDTH))
    edit_rows(tmp_path / "both/second", lambda row: row.update(split="validation"))  # the same names of groups
    assert "group-leakage" not in findings(tmp_path / "both")
    (tmp_path / "both/first" / FORGED[0]).unlink()
    (tmp_path / "both/val_photos/masks/forged1.png").unlink()
    found = findings(tmp_path / "both")
    assert found["missing-image"] == [f"first/{FORGED[0]}"]
    assert found["missing-mask"] == ["val_photos/images/forged1.png"]


# -- one defect at a time: a function that plants it, named after what must be found -----------------------------------


def missing_image(folder):
    (folder / FORGED[3]).unlink()
    return [FORGED[3]]


def missing_mask(folder):
    (folder / MASKS[3]).unlink()
    edit_row(folder, FORGED[5], mask_file_name=None)
    (folder / MASKS[5]).unlink()
    return [FORGED[3], FORGED[5]]


def extra_image(folder):
    save(folder / "image/new.png", texture(77, HEIGHT, WIDTH))
    return ["image/new.png"]


def extra_mask(folder):
    save(folder / "mask/new.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    return ["mask/new.png"]


def duplicate_row(folder):
    write_rows(folder, [*read_rows(folder), read_rows(folder)[0]])
    return [FORGED[0]]


def bad_row(folder):
    with (folder / "metadata.jsonl").open("a") as stream:
        stream.write(
            '{"file_name": "image/for\n{"file_name": "../up.png", "label": "forged"}\n[1]\n{"label": "forged"}\n'
        )
    return ["metadata.jsonl"]


def swapped_masks(folder):
    edit_row(folder, FORGED[0], mask_file_name=MASKS[1])
    edit_row(folder, FORGED[1], mask_file_name=MASKS[0])
    return FORGED[:2]


def ambiguous_pair(folder):
    as_pairs(folder)
    save(folder / "masks/forged0_gt.png", pixels_of(folder / "masks/forged0.png"))
    return ["images/forged0.png", "masks/forged0.png", "masks/forged0_gt.png"]


def unmasked_images(folder):
    as_pairs(folder)
    names = [name.replace("image/", "") for name in AUTHENTIC]
    for name in names:
        (folder / "masks" / name).unlink()
    return [f"images/{name}" for name in names]


def unreadable_image(folder):
    whole = (folder / FORGED[0]).read_bytes()
    (folder / FORGED[0]).write_bytes(whole[: len(whole) // 2])
    (folder / FORGED[1]).write_bytes(b"")
    (folder / FORGED[2]).write_bytes(b"<html>404</html>")
    (folder / FORGED[3]).write_bytes(bomb())
    return FORGED[:4]


def unreadable_mask(folder):
    whole = (folder / MASKS[0]).read_bytes()
    (folder / MASKS[0]).write_bytes(whole[: len(whole) - 30])
    (folder / MASKS[1]).write_bytes(bomb())
    return MASKS[:2]


def bomb():
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def size_mismatch(folder):
    save(folder / MASKS[0], pixels_of(folder / MASKS[0])[:, :-1])
    return [MASKS[0]]


def turned(folder, name, orientation):
    """Tells viewers to turn an image as cameras do."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    save(folder / name, pixels_of(folder / name), exif=exif)


def mask_not_rotated(folder):
    turned(folder, FORGED[0], 6)
    return [MASKS[0]]


def rotation_unclear(folder):
    turned(folder, FORGED[0], 3)
    for name in (FORGED[1], MASKS[1]):
        save(folder / name, pixels_of(folder / name)[:, :HEIGHT])  # square: no side tells
    turned(folder, FORGED[1], 8)
    turned(folder, MASKS[2], 2)
    return MASKS[:3]


def mask_coloured(folder):
    mask = pixels_of(folder / MASKS[0])
    save(folder / MASKS[0], np.dstack([mask, 255 - mask, mask * 0]))
    return [MASKS[0]]


def mask_unclear(folder):
    mask = pixels_of(folder / MASKS[0])
    save(folder / MASKS[0], np.dstack([mask, mask, mask, mask]))
    save(folder / MASKS[1], np.where(mask, np.arange(WIDTH) + 1, 0).astype(np.uint8))
    return MASKS[:2]


def mask_levels(folder):
    save(folder / MASKS[0], pixels_of(folder / MASKS[0]) // 255)
    painted = Image.fromarray(pixels_of(folder / MASKS[1]) // 255, "P")
    painted.putpalette([0, 0, 0, 128, 0, 0])
    painted.save(folder / MASKS[1])
    return MASKS[:2]


def mask_not_binary(folder):
    mask = Image.fromarray(pixels_of(folder / MASKS[0]))
    mask.resize((WIDTH // 2, HEIGHT // 2)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(folder / MASKS[0])
    return [MASKS[0]]


def masks_inverted(folder):
    for name in MASKS:
        save(folder / name, 255 - pixels_of(folder / name))
    return MASKS


def mask_looks_inverted(folder):
    save(folder / MASKS[4], 255 - pixels_of(folder / MASKS[4]))
    return [MASKS[4]]


def mask_empty(folder):
    save(folder / MASKS[0], pixels_of(folder / MASKS[0]) * 0)
    return [MASKS[0]]


def mask_empty_unlabelled(folder):
    as_pairs(folder)
    for name in AUTHENTIC[1:]:
        for kind in ("images", "masks"):
            (folder / kind / Path(name).name).unlink()
    return [AUTHENTIC[0].replace("image/", "images/")]


def mask_full(folder):
    save(folder / MASKS[0], np.full((HEIGHT, WIDTH), 255, np.uint8))
    return [MASKS[0]]


def mask_on_authentic(folder):
    shutil.copy(folder / MASKS[0], folder / mask_of(AUTHENTIC[0]))
    return [mask_of(AUTHENTIC[0])]


def duplicate_images(folder):
    shutil.copy(folder / AUTHENTIC[0], folder / AUTHENTIC[1])
    return AUTHENTIC[:2]


def contradicting_duplicates(folder):
    shutil.copy(folder / AUTHENTIC[0], folder / FORGED[0])
    return [AUTHENTIC[0], FORGED[0]]


def near_duplicates(folder):
    Image.open(folder / AUTHENTIC[0]).resize((WIDTH * 2, HEIGHT * 2)).save(folder / AUTHENTIC[11], "PNG")
    save(folder / mask_of(AUTHENTIC[11]), np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8))
    return [AUTHENTIC[0], FORGED[0], AUTHENTIC[11]]  # the forgery of the photo is the same photo, too


def group_leakage(folder):
    edit_row(folder, FORGED[0], split="validation")
    return [FORGED[0], AUTHENTIC[0]]


def donor_leakage(folder):
    edit_row(folder, FORGED[0], donor="host11")  # a host of validation
    edit_row(folder, FORGED[1], donors=["elsewhere", "host02"])
    edit_row(folder, FORGED[10], donor="elsewhere")
    return [FORGED[0], FORGED[1], FORGED[10]]


def class_shortcut(folder):
    for name in AUTHENTIC:
        Image.open(folder / name).save(folder / name, "JPEG", quality=90)
    return [*AUTHENTIC, *FORGED]


PLANTS = [
    missing_image, missing_mask, extra_image, extra_mask, duplicate_row, bad_row, swapped_masks, ambiguous_pair,
    unmasked_images, unreadable_image, unreadable_mask, size_mismatch, mask_not_rotated, rotation_unclear,
    mask_coloured, mask_unclear, mask_levels, mask_not_binary, masks_inverted, mask_looks_inverted, mask_empty,
    mask_empty_unlabelled, mask_full, mask_on_authentic, duplicate_images, contradicting_duplicates,
    near_duplicates, group_leakage, donor_leakage, class_shortcut,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_defect_is_found_and_nothing_else(folder, plant):
    files = plant(folder)
    report = check_dataset(folder)
    [found] = report.findings
    assert found.id == plant.__name__.replace("_", "-")
    assert list(found.files) == sorted(files)
    assert found.severity == SEVERITY_OF[found.id]
    assert report.has_errors == (found.severity == "error")
    assert "; " in found.message  # what is wrong; what to do
    assert found.message in report.to_text()
    [record] = json.loads(report.to_json())["findings"]
    assert record["files"] == sorted(files)


def test_every_finding_has_a_planted_defect():
    assert {plant.__name__.replace("_", "-") for plant in PLANTS} == set(SEVERITY_OF)


def test_the_documentation_has_every_finding_with_its_severity():
    text = (Path(__file__).parents[1] / "docs/data.md").read_text()
    documented = {}
    for ids, severity in re.findall(r"^\| (`[a-z`, -]+`) \| (error|warning|note)", text, re.MULTILINE):
        documented |= dict.fromkeys(re.findall("`([a-z-]+)`", ids), severity)
    assert documented == dict(SEVERITY_OF)


def test_the_files_of_a_bad_row_are_not_called_unlisted(folder):
    edit_row(folder, FORGED[0], label="fake")
    assert findings(folder) == {"bad-row": ["metadata.jsonl"]}


def test_defects_do_not_hide_each_other(folder):
    for plant in (mask_full, missing_image, extra_mask, duplicate_images, bad_row):
        plant(folder)
    assert set(findings(folder)) == {"mask-full", "missing-image", "extra-mask", "duplicate-images", "bad-row"}


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataFormatError, match=r"images/ and masks/"):
            check_dataset(path)


# -- where sizes, values and numbers vary ------------------------------------------------------------------------------


@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    down=st.integers(-3, 3),
    right=st.integers(-3, 3),
    turn=st.booleans(),
)
@settings(max_examples=25)
def test_any_difference_of_size_is_found(tmp_path_factory, height, width, down, right, turn):
    folder = tmp_path_factory.mktemp("sizes")
    stored = texture(1, height, width)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6 if turn else 1
    save(folder / "images/a.png", stored, exif=exif)
    mask = np.zeros((height + down, width + right), np.uint8)
    mask[3, 3] = 255
    save(folder / "masks/a.png", mask)
    shown = (width, height) if turn else (height, width)
    if mask.shape == shown:
        expected = {"rotation-unclear"} if turn and height == width else set()
    else:
        expected = {"mask-not-rotated"} if turn and mask.shape == (height, width) else {"size-mismatch"}
    assert set(findings(folder)) == expected


@given(
    value=st.integers(1, 65535),
    kind=st.sampled_from(["uint8", "uint16", "RGB", "bool"]),
    suffix=st.sampled_from(["png", "tif"]),
)
@settings(max_examples=40)
def test_masks_of_two_values_are_recognised_in_every_type(tmp_path_factory, value, kind, suffix):
    folder = tmp_path_factory.mktemp("values")
    save(folder / "images/a.png", texture(1, 20, 30))
    forged = np.zeros((20, 30), bool)
    forged[4:9, 4:9] = True
    if kind == "uint16":
        mask, expected = forged * np.uint16(value), set() if value == 255 else {"mask-levels"}
    elif kind == "bool":
        mask, expected = forged, set()
    else:
        value = value % 255 + 1
        mask, expected = forged * np.uint8(value), set() if value == 255 else {"mask-levels"}
        mask = np.repeat(mask[..., None], 3, axis=2) if kind == "RGB" else mask
    save(folder / f"masks/a.{suffix}", mask)
    assert set(findings(folder)) == expected


@given(top=st.integers(0, 30), left=st.integers(0, 40), height=st.integers(4, 18), width=st.integers(4, 24))
@settings(max_examples=25)
def test_a_rectangle_is_forged_and_all_but_a_rectangle_is_suspicious(tmp_path_factory, top, left, height, width):
    folder = tmp_path_factory.mktemp("polarity")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top : top + height, left : left + width] = 255
    for name, values in (("a", mask), ("b", 255 - mask)):
        save(folder / f"images/{name}.png", texture(ord(name), HEIGHT, WIDTH))
        save(folder / f"masks/{name}.png", values)
    assert findings(folder) == {"mask-looks-inverted": ["masks/b.png"]}


def test_an_inverted_set_beside_a_sound_one_and_authentic_masks_inverted_with_it(folder):
    edit_rows(folder, lambda row: row["file_name"] in (*FORGED[:6], *AUTHENTIC[:6]) and row.update(source="other"))
    masks = [*MASKS[:6], *map(mask_of, AUTHENTIC[:6])]
    for name in masks:
        save(folder / name, 255 - pixels_of(folder / name))
    assert findings(folder) == {"masks-inverted": sorted(masks)}


def test_replaced_backgrounds_are_no_inverted_masks(folder):
    for name in MASKS[:8]:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[: HEIGHT * 2 // 3] = 255  # a sky: more than half of the picture, but not of its frame
        save(folder / name, mask)
    assert findings(folder) == {}


# -- leakage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"format": "JPEG", "quality": 40}, {"format": "PNG"}])
@pytest.mark.parametrize("edited", [False, True])
def test_a_photo_is_recognised_recompressed_resized_and_edited(folder, options, edited):
    pixels = texture(210, 120, 160)
    copy = np.asarray(Image.fromarray(pixels).resize((100, 75)))
    if edited:
        copy = copy.copy()
        copy[10:40, 20:60] = texture(211, 30, 40)
    for name, content, how in ((AUTHENTIC[0], pixels, {}), (AUTHENTIC[11], copy, options)):
        save(folder / name, content, **{"format": "PNG"} | how)
        save(folder / mask_of(name), np.zeros(content.shape[:2], np.uint8))
    assert findings(folder) == {"near-duplicates": [AUTHENTIC[0], AUTHENTIC[11]]}


def test_copies_within_a_group_or_a_split_are_no_leak(folder):
    Image.open(folder / AUTHENTIC[0]).resize((WIDTH * 2, HEIGHT * 2)).save(folder / AUTHENTIC[5], "PNG")
    save(folder / mask_of(AUTHENTIC[5]), np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8))
    assert findings(folder) == {}


def test_flat_and_black_pictures_are_not_taken_for_each_other(folder):
    for n, name in enumerate(AUTHENTIC):
        save(folder / name, np.full((HEIGHT, WIDTH, 3), 3 * n, np.uint8))
    assert findings(folder) == {}


def test_the_same_light_on_other_things_is_not_the_same_photo(folder):
    light = np.asarray(
        Image.fromarray(texture(301, 4, 4)[..., 1]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), int
    )
    pictures = []
    for seed in (1, 2):
        things = np.random.default_rng(seed).integers(-12, 13, (HEIGHT // 2, WIDTH // 2)).repeat(2, 0).repeat(2, 1)
        pictures.append(np.clip(light + things, 0, 255).astype(np.uint8))
    for name, pixels in zip((AUTHENTIC[0], AUTHENTIC[11]), pictures, strict=True):
        save(folder / name, np.dstack([pixels] * 3))
    first, second = photo_hashes(
        np.stack([np.asarray(Image.fromarray(p).resize((32, 32), Image.Resampling.BOX)) for p in pictures])
    )
    assert np.bitwise_count(first ^ second) <= 20  # so that the comparison has to tell
    assert findings(folder) == {}


def test_hashes_of_unrelated_pictures_differ_in_half_of_their_bits():
    hashes = photo_hashes(np.stack([texture(seed, 32, 32).mean(axis=2).astype(np.uint8) for seed in range(60)]))
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None])[np.triu_indices(60, 1)]
    assert 29 < distance.mean() < 33
    assert distance.max() <= 63


def test_donors_are_read_from_names_that_are_made_like_the_groups(folder):
    names = {FORGED[0]: "image/Sp_host00_host11_0001.png", FORGED[1]: "image/Sp_host01_scan02_host01_02.png"}
    for old, new in names.items():
        (folder / old).rename(folder / new)
        edit_row(folder, old, file_name=new)
    assert findings(folder) == {"donor-leakage": [names[FORGED[0]]]}


# -- shortcuts ---------------------------------------------------------------------------------------------------------


def save_as_jpeg(folder, name, **options):
    Image.open(folder / name).convert(options.pop("mode", "RGB")).save(folder / name, "JPEG", **options)


def with_exif():
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "An editor"
    return exif


@pytest.mark.parametrize(
    ("what", "authentic", "forged"),
    [
        ("JPEG quantisation tables", {"quality": 90}, {"quality": 75}),
        ("chroma subsampling", {"subsampling": 0}, {"subsampling": 2}),
        ("embedded metadata", {}, {"exif": with_exif()}),
        ("colour mode", {"mode": "L"}, {}),
    ],
)
def test_what_gives_the_class_away_is_named(folder, what, authentic, forged):
    for names, options in ((AUTHENTIC, authentic), (FORGED, forged)):
        for name in names:
            save_as_jpeg(folder, name, **options)
    [found] = check_dataset(folder).findings
    assert found.id == "class-shortcut"
    assert found.message.startswith(f"the {what}")


def test_the_size_gives_the_class_away(folder):
    for name in AUTHENTIC:
        for path in (folder / name, folder / mask_of(name)):
            save(path, pixels_of(path)[:-1])
    [found] = check_dataset(folder).findings
    assert found.message.startswith("the size in pixels")


def test_what_both_classes_share_gives_nothing_away(folder):
    for n, name in enumerate([*AUTHENTIC, *FORGED]):
        save_as_jpeg(folder, name, quality=70 + 5 * (n % 4), subsampling=n % 3)
    assert findings(folder) == {}


@given(
    st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 60), st.integers(1, 20), st.sampled_from([1, 2, 4])
)
@settings(max_examples=50, derandomize=True)  # chance does fire, once in thousands of draws
def test_chance_tells_no_class(seed, authentic, forged, kinds, per_group):
    rng = np.random.default_rng(seed)
    labels = [False] * authentic + [True] * forged
    groups = [str(number // per_group) for number in range(len(labels))]
    values = rng.integers(kinds, size=len(labels)).tolist()
    result = predictability(values, labels, groups)
    assert result.low <= result.accuracy
    assert result.low < 0.6


@given(st.integers(1, 5))
def test_a_handful_of_pictures_proves_nothing(count):
    names = [str(number) for number in range(2 * count)]
    result = predictability(["PNG"] * count + ["JPEG"] * count, [True] * count + [False] * count, names)
    assert result.low < 0.6


def test_two_pictures_against_many_prove_nothing():
    labels = [False] * 2 + [True] * 60
    values = [0, 0, *range(1, 20), *range(1, 20), *range(1, 20), 0, 1, 2]  # the two share one by chance
    result = predictability(values, labels, [str(number) for number in range(62)])
    assert result.accuracy > 0.95
    assert result.low < 0.6


def test_pictures_of_one_group_count_once_and_do_not_vouch_for_each_other():
    labels = [True] * 40 + [False] * 40
    values = ["PNG"] * 40 + ["JPEG"] * 40
    assert predictability(values, labels, ["one"] * 40 + ["two"] * 40).low < 0.6
    own = [f"{n % 40}" for n in range(80)]
    assert predictability([f"{n // 40} {group}" for n, group in enumerate(own)], labels, own).accuracy == 0.5


# -- real data, where they are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("casia1", {"class-shortcut", "donor-leakage"}),
        ("casia2", set()),
        ("comofod", set()),
        ("", {"class-shortcut", "donor-leakage"}),
    ],
)
def test_published_sets_have_exactly_their_known_defects(name, expected):
    if not (RESEARCH_SETS / name).is_dir():
        pytest.skip(f"needs the research-only sets in {RESEARCH_SETS}")
    report = check_dataset(RESEARCH_SETS / name)
    assert {found.id for found in report.findings} == expected
    for found in report.findings:
        if found.id == "class-shortcut":
            assert found.message.startswith("the JPEG quantisation tables alone")
            assert found.details["properties"]["JPEG quantisation tables"]["accuracy"] > 0.99
