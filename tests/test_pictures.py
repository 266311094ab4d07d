"""Shipped weights see only pictures of the manifest: its form, the refusal of any other, and the gathering script."""

import importlib.util
import json
import re
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ifl_hub.files import file_sha256
from ifl_hub.training.pictures import (
    MANIFEST,
    Picture,
    PictureNotAllowedError,
    find_pictures,
    load_manifest,
    picture_files,
    picture_pool,
)

SCRIPTS = Path(__file__).parents[1] / "training_scripts"
ALLOWED_LICENCES = {
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CC-BY-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "GFDL-1.2-only",
    "GFDL-1.2-or-later",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "MIT",
    "MIT OR Apache-2.0",
    "Apache-2.0 AND BSD-3-Clause",
    "PDDL-1.0",
    "Public-Domain",
    "Kodak-unrestricted",
    "COCO-Flickr-per-photo",
}
SAMPLE_PHOTOS = ["coffee.png", "chelsea.png", "rocket.jpg", "airplane-from-above.jpg"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def make_picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return path


def entry(path, file_name, role="photo", split="train", donor=None, package=None):
    return Picture(
        sha256=file_sha256(path),
        file_name=file_name,
        role=role,
        source=Path(file_name).parts[1],
        package=package,
        licence="CC0-1.0",
        author=None,
        installable=package is not None,
        split=split,
        group=donor or file_name,
        donor=donor,
    )


@pytest.fixture
def collection(tmp_path):
    """A folder of five pictures under other names than the manifest's, and that manifest."""
    folder = tmp_path / "mine"
    a, b, c, d, e = (make_picture(folder / f"IMG_{n}.png", n) for n in range(5))
    manifest = [
        entry(a, "photos/kodak/a.png"),
        entry(b, "photos/coco/b.png"),
        entry(c, "cutouts/coco/c.png", role="cutout", donor="photos/coco/b.png"),
        entry(d, "cutouts/stamps/d.png", role="cutout"),
        entry(e, "photos/kodak/e.png", split="validation"),
    ]
    return folder, manifest


def write_manifest(path, pictures):
    path.write_text("".join(json.dumps(asdict(picture)) + "\n" for picture in pictures), encoding="utf-8")
    return path


def gather(*arguments):
    command = [sys.executable, str(SCRIPTS / "gather_photos.py"), *map(str, arguments), "--no-download"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The manifest that ships


def test_every_line_says_what_may_be_trained_on_and_why():
    for picture in load_manifest():
        assert re.fullmatch("[0-9a-f]{64}", picture.sha256), picture
        assert picture.licence in ALLOWED_LICENCES, picture
        assert picture.installable == (picture.package is not None), picture
        assert picture.package is None or re.fullmatch(r"deb:\S+|pypi:\S+|npm:\S+@\d\S*", picture.package), picture
        assert picture.file_name.startswith(f"{picture.role}s/{picture.source}/"), picture
        assert ".." not in Path(picture.file_name).parts, picture


def test_sums_and_names_are_unique():
    pictures = load_manifest()
    for field in ("sha256", "file_name"):
        repeated = [value for value, times in Counter(getattr(p, field) for p in pictures).items() if times > 1]
        assert not repeated, field


@pytest.mark.parametrize("word", ["exif_samples", "casia", "comofod", "ffpp", "faces/", "forgery/"])
def test_nothing_of_research_only_or_unclear_sources(word):
    assert word not in MANIFEST.read_text(encoding="utf-8").lower()


def test_groups_do_not_cross_splits():
    splits = defaultdict(set)
    for picture in load_manifest():
        splits[picture.group].add(picture.split)
    assert [group for group, seen in splits.items() if len(seen) > 1] == []


def test_donors_are_photos_of_the_same_split():
    pictures = {picture.file_name: picture for picture in load_manifest()}
    cut = [picture for picture in pictures.values() if picture.donor is not None]
    assert cut, "the COCO cut-outs name their photos"
    for picture in cut:
        donor = pictures[picture.donor]
        assert (picture.role, donor.role, picture.split) == ("cutout", "photo", donor.split), picture


@pytest.mark.parametrize("role", ["photo", "cutout"])
def test_about_a_tenth_is_validation(role):
    splits = Counter(picture.split for picture in load_manifest() if picture.role == role)
    assert 0.05 < splits["validation"] / splits.total() < 0.2


@pytest.mark.parametrize("name", SAMPLE_PHOTOS)
def test_photos_of_the_readme_are_never_trained_on(name):
    (picture,) = [picture for picture in load_manifest() if Path(picture.file_name).name == name]
    assert picture.split == "validation"


def test_installed_scikit_image_photos_have_the_listed_content():
    spec = importlib.util.find_spec("skimage")
    if spec is None:
        pytest.skip("scikit-image is not installed")
    listed = [picture for picture in load_manifest() if picture.source == "scikit-image"]
    assert listed
    for picture in listed:
        assert file_sha256(Path(spec.origin).parent / "data" / Path(picture.file_name).name) == picture.sha256


# Reading a manifest


@pytest.mark.parametrize("line", ["{", "[]", '{"sha256": "0"}'])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "pictures.jsonl"
    path.write_text(MANIFEST.read_text(encoding="utf-8").splitlines()[0] + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"pictures\.jsonl:2 is not a picture"):
        load_manifest(path)


def test_an_unknown_split_is_refused(tmp_path, collection):
    row = asdict(collection[1][0]) | {"split": "test"}
    (tmp_path / "pictures.jsonl").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(ValueError, match="'validation'"):
        load_manifest(tmp_path / "pictures.jsonl")


def test_a_repeated_sum_is_refused(tmp_path, collection):
    _, manifest = collection
    path = write_manifest(tmp_path / "pictures.jsonl", [*manifest, manifest[0]])
    with pytest.raises(ValueError, match=r"pictures\.jsonl:6 repeats"):
        load_manifest(path)


# Finding pictures


def test_pictures_are_known_by_content_whatever_their_name(collection):
    folder, manifest = collection
    pool = picture_pool([folder], manifest, "train")
    assert pool.photos == [folder / "IMG_0.png", folder / "IMG_1.png"]
    assert pool.cutouts == [(folder / "IMG_2.png", folder / "IMG_1.png"), (folder / "IMG_3.png", None)]
    assert picture_pool([folder], manifest, "validation") == ([folder / "IMG_4.png"], [])


def test_a_donor_that_is_not_at_hand_is_none(collection):
    folder, manifest = collection
    (folder / "IMG_1.png").unlink()
    assert (folder / "IMG_2.png", None) in picture_pool([folder], manifest, "train").cutouts


def test_missing_pictures_are_counted(collection, caplog):
    folder, manifest = collection
    (folder / "IMG_0.png").unlink()
    found = find_pictures([folder], manifest, "train")
    assert found.missing == [manifest[0]]
    assert "1 of the manifest's 4 pictures are missing" in caplog.text


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("name", ["planted.png", "deep/er/planted.JPG", "photos/kodak/a.png"])
def test_any_other_picture_is_refused(collection, split, name):
    folder, manifest = collection
    planted = folder / name
    planted.parent.mkdir(parents=True, exist_ok=True)
    make_picture(folder / "new.png", 99).rename(planted)
    with pytest.raises(PictureNotAllowedError, match=f"{re.escape(str(planted))}.*move it out") as raised:
        find_pictures([folder], manifest, split)
    assert "\n" not in str(raised.value)


def test_a_changed_picture_is_refused_though_its_sum_is_remembered(collection):
    folder, manifest = collection
    find_pictures([folder], manifest, "train")
    make_picture(folder / "IMG_0.png", 99)
    with pytest.raises(PictureNotAllowedError, match="IMG_0"):
        find_pictures([folder], manifest, "train")


def test_sums_are_remembered_and_a_damaged_memory_is_ignored(collection, tmp_path, monkeypatch):
    folder, manifest = collection
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory = tmp_path / "cache" / "ifl_hub" / "picture_sha256.json"
    first = find_pictures([folder], manifest, "train")
    assert sorted(json.loads(memory.read_text()).values()) == sorted(picture.sha256 for picture in manifest)
    memory.write_text("{broken")
    assert find_pictures([folder], manifest, "train") == first


def test_a_folder_that_does_not_exist_is_named(tmp_path, collection):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder.*gather_photos\.py"):
        find_pictures([tmp_path / "nowhere"], collection[1], "train")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), min_size=5, max_size=5, unique=True))
def test_renaming_never_changes_what_is_found(names, collection, tmp_path_factory):
    folder, manifest = collection
    renamed = tmp_path_factory.mktemp("renamed")
    for name, path in zip(names, sorted(folder.glob("*.png")), strict=True):
        target = renamed / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for split in ("train", "validation"):
        here, there = (find_pictures([place], manifest, split) for place in (folder, renamed))
        assert list(there.paths) == list(here.paths)
        assert all(file_sha256(path) == picture.sha256 for picture, path in there.paths.items())


def test_links_are_not_followed(tmp_path, collection):
    folder, _ = collection
    (folder / "link.png").symlink_to(make_picture(tmp_path / "outside.png", 98))
    assert [path.name for path in picture_files(folder)] == [f"IMG_{n}.png" for n in range(5)]


# The gathering script, as a user runs it


def test_gathering_takes_only_listed_pictures_and_can_be_repeated(tmp_path, collection):
    folder, manifest = collection
    make_picture(folder / "not_listed.png", 99)
    listed = write_manifest(tmp_path / "pictures.jsonl", manifest)
    destination = tmp_path / "out"

    first = gather(destination, "--manifest", listed, "--bring", folder)
    assert first.returncode == 0, first.stderr
    tree = {str(path.relative_to(destination)): path.stat().st_mtime_ns for path in picture_files(destination)}
    assert sorted(tree) == sorted(picture.file_name for picture in manifest)
    assert load_manifest(destination / "metadata.jsonl") == manifest
    assert re.search(r"^total +5 +0$", first.stdout, flags=re.MULTILINE)

    second = gather(destination, "--manifest", listed)
    assert second.stdout == first.stdout
    assert {str(path.relative_to(destination)): path.stat().st_mtime_ns for path in picture_files(destination)} == tree


def test_gathering_resumes_and_says_where_the_missing_can_be_had(tmp_path, collection):
    folder, manifest = collection
    listed = write_manifest(tmp_path / "pictures.jsonl", manifest)
    kept = (folder / "IMG_0.png").read_bytes()
    (folder / "IMG_0.png").unlink()
    partial = gather(tmp_path / "out", "--manifest", listed, "--bring", folder)
    assert re.search(r"^photos/kodak +1 +1  Kodak Lossless", partial.stdout, flags=re.MULTILINE)

    damaged = tmp_path / "out" / "photos" / "kodak" / "e.png"
    damaged.write_bytes(damaged.read_bytes()[:20])
    (folder / "IMG_0.png").write_bytes(kept)
    whole = gather(tmp_path / "out", "--manifest", listed, "--bring", folder)
    assert re.search(r"^total +5 +0$", whole.stdout, flags=re.MULTILINE)
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_a_package_that_cannot_be_had_is_a_note_not_a_failure(tmp_path, collection):
    folder, manifest = collection
    other = make_picture(tmp_path / "other.png", 50)
    listed = [*manifest, entry(other, "photos/wallpapers/other.png", package="deb:wallpapers")]
    path = write_manifest(tmp_path / "pictures.jsonl", listed)
    (tmp_path / "debs").mkdir()
    run = gather(tmp_path / "out", "--manifest", path, "--bring", folder, "--debs", tmp_path / "debs")
    assert run.returncode == 0
    assert "note: wallpapers: no wallpapers_*.deb" in run.stderr
    assert re.search(r"^photos/wallpapers +0 +1  Debian package", run.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_pictures_are_taken_out_of_a_qt_resource(tmp_path, version):
    names, data = b"", b""
    nodes = []
    # (name, flags, number of children or country and language, first child or None for the next payload)
    tree = [("", 2, 2, 1), ("hills.png", 0, 1, None), ("far", 2, 3, 3)]
    tree += [("sea.webp", 0, 1, None), ("squeezed.png", 1, 1, None), ("readme.txt", 0, 1, None)]
    for name, flags, count, first in tree:
        payload = len(data) if first is None else first
        nodes.append(struct.pack(">IHII", len(names), flags, count, payload) + bytes(8 if version > 1 else 0))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        data += struct.pack(">I", len(name)) + name.encode() if first is None else b""
    header = 24 if version > 2 else 20
    starts = [header, header + len(b"".join(nodes)), header + len(b"".join(nodes)) + len(data)]
    packed = b"qres" + struct.pack(">4I", version, *starts) + bytes(header - 20) + b"".join(nodes) + data + names
    (tmp_path / "photos.rcc").write_bytes(packed)

    load_script("gather_photos").unpack_qt_resource(tmp_path / "photos.rcc")
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"photos.rcc/hills.png": b"hills.png", "photos.rcc/far/sea.webp": b"sea.webp"}


def test_gathering_nothing_fails(tmp_path, collection):
    listed = write_manifest(tmp_path / "pictures.jsonl", collection[1])
    assert gather(tmp_path / "out", "--manifest", listed).returncode == 1


def test_a_wrong_folder_is_one_line(tmp_path):
    run = gather(tmp_path / "out", "--bring", tmp_path / "nowhere")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.strip() == f"{tmp_path / 'nowhere'} is not a folder; give one that exists"


# The page about it


def test_the_page_counts_what_the_manifest_holds():
    page = (Path(__file__).parents[1] / "docs" / "pictures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+/\S+)` \| (\d+) \| (\d+) \| (.+?) \|", page, flags=re.MULTILINE)
    counted = Counter((f"{picture.role}s/{picture.source}", picture.split) for picture in load_manifest())
    licences = defaultdict(set)
    for picture in load_manifest():
        licences[f"{picture.role}s/{picture.source}"].add(picture.licence)
    told = {
        (folder, split): int(n) for folder, *ns, _ in rows for split, n in zip(("train", "validation"), ns, strict=True)
    }
    assert {key: number for key, number in told.items() if number} == counted
    assert {folder: set(terms.split(", ")) for folder, _, _, terms in rows} == licences
