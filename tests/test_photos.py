"""PhotoPool: decoded once, upright, bounded in size and memory, and clear about bad files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifl_hub.data import Cutout, PhotoPool
from ifl_hub.data import photos as photos_module
from tiny_photos import texture, write_pool


def _save(path: Path, seed: int = 0, height: int = 20, width: int = 30, **options) -> Path:
    Image.fromarray(texture(seed, height, width)).save(path, **options)
    return path


def test_photos_are_decoded_once_and_cannot_be_changed(tmp_path):
    pool = PhotoPool([_save(tmp_path / "a.png")])
    assert pool.photo(0) is pool.photo(0)
    assert np.array_equal(pool.photo(0), texture(0, 20, 30))
    with pytest.raises(ValueError, match="read-only"):
        pool.photo(0)[0, 0, 0] = 1


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pool = PhotoPool([_save(tmp_path / "a.png", exif=exif)])
    assert np.array_equal(pool.photo(0), np.rot90(texture(0, 20, 30), -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(texture(0, 20, 30)).convert(mode).save(path)
    photo = PhotoPool([path]).photo(0)
    assert photo.shape == (20, 30, 3)
    assert photo.dtype == np.uint8


def test_large_photos_are_area_downscaled_once(tmp_path):
    pool = PhotoPool([_save(tmp_path / "a.png", height=40, width=80)], max_side=20)
    means = texture(0, 40, 80).reshape(10, 4, 20, 4, 3).mean(axis=(1, 3))
    assert pool.photo(0).shape == (10, 20, 3)
    assert np.abs(pool.photo(0) - means).max() <= 1


def test_a_cutout_is_found_again_in_its_donor(tmp_path):
    pool = write_pool(tmp_path)
    for index, photo in enumerate(range(len(pool))):
        cut = pool.cutout(index)
        assert cut.donor == photo
        assert cut.box == (30 + 5 * index, 60 - 7 * index)
        assert pool.objects_in(photo) == [index]
    assert pool.cutout(3).box is None
    assert pool.cutout(3).donor is None


def test_a_cutout_that_its_donor_does_not_show_has_no_place(tmp_path):
    write_pool(tmp_path)
    pool = PhotoPool([tmp_path / "photo1.png"], [Cutout(tmp_path / "stray.png", tmp_path / "photo1.png")])
    assert pool.cutout(0).donor == 0
    assert pool.cutout(0).box is None


def test_cutouts_follow_the_scale_of_their_donor(tmp_path):
    write_pool(tmp_path)
    pool = PhotoPool(
        [tmp_path / "photo0.png"], [Cutout(tmp_path / "cutout0.png", tmp_path / "photo0.png")], max_side=95
    )
    assert pool.photo(0).shape == (75, 95, 3)
    assert pool.cutout(0).alpha.shape == (20, 20)


def test_pixels_never_travel_between_processes(tmp_path):
    pool = write_pool(tmp_path)
    before = len(pickle.dumps(pool))
    pool.photo(0), pool.cutout(0)
    copy = pickle.loads(pickle.dumps(pool))
    assert len(pickle.dumps(pool)) == before
    assert np.array_equal(copy.photo(0), pool.photo(0))


def test_memory_is_bounded(tmp_path, monkeypatch):
    pool = write_pool(tmp_path)
    monkeypatch.setattr(photos_module, "_CACHE_BYTES", 2 * pool.photo(0).nbytes)
    first = pool.photo(0)
    pool.photo(1)
    assert pool.photo(0) is first
    pool.photo(2)
    assert pool.photo(0) is first, "photo 1 was the one not used for longest"
    assert sum(entry.nbytes for entry in pool._cache.values()) <= 2 * first.nbytes


def test_files_are_sorted_into_photos_and_cutouts_with_their_donors(tmp_path):
    write_pool(tmp_path)
    lines = ['{"file_name": "cutout0.png", "donor": "photo0.png"}', '{"file_name": "cutout1.png", "donor": "gone.png"}']
    (tmp_path / "metadata.jsonl").write_text("\n".join([*lines, '{"file_name": "photo0.png", "donor": null}']))
    pool = PhotoPool.from_files(sorted(tmp_path.glob("*.png")), tmp_path)
    assert [path.name for path in pool.photos] == ["photo0.png", "photo1.png", "photo2.png"]
    assert [cut.path.name for cut in pool.cutouts] == ["cutout0.png", "cutout1.png", "cutout2.png", "stray.png"]
    assert [cut.donor and cut.donor.name for cut in pool.cutouts] == ["photo0.png", None, None, None]
    (tmp_path / "metadata.jsonl").write_text("[]")
    with pytest.raises(ValueError, match=r"metadata.jsonl: a line is no JSON object with file_name and donor"):
        PhotoPool.from_files([tmp_path / "photo0.png"], tmp_path)


def test_errors_name_the_file_and_the_fix(tmp_path):
    photo, broken = _save(tmp_path / "a.png"), tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:60])
    with pytest.raises(ValueError, match="at least one photo"):
        PhotoPool([])
    with pytest.raises(ValueError, match="max_side"):
        PhotoPool([photo], max_side=0)
    with pytest.raises(FileNotFoundError, match=r"missing\.png does not exist"):
        PhotoPool([photo, tmp_path / "missing.png"])
    with pytest.raises(ValueError, match="not in the pool; add it or pass donor=None"):
        PhotoPool([photo], [Cutout(photo, tmp_path / "other.png")])
    with pytest.raises(ValueError, match=r"broken\.png"):
        PhotoPool([broken]).photo(0)
    with pytest.raises(ValueError, match=r"broken\.png"):
        PhotoPool([photo], [Cutout(broken)]).cutout(0)


def test_a_transparent_cutout_is_refused(tmp_path):
    photo = _save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match=r"nothing.png is wholly transparent"):
        PhotoPool([photo], [Cutout(tmp_path / "nothing.png")]).cutout(0)
