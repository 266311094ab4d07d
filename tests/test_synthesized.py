"""Synthesized data sets on disk: what the synthesizer made, resumable, and readable by everything else."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ifl_hub.cli.main import app, main
from ifl_hub.data import DataFormatError, ForgerySynthesizer, PhotoPool, read_metadata, synthesized
from ifl_hub.data.synthesized import RECORDS, write_synthesized
from tiny_photos import write_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> PhotoPool:
    return write_pool(tmp_path_factory.mktemp("pool"))


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = [f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return "\n".join(content)


def test_the_folder_holds_the_samples_to_the_bit(pool, tmp_path):
    synthesizer = ForgerySynthesizer(pool, 48, seed=2)
    assert write_synthesized(synthesizer, tmp_path / "out", 12) == 12
    rows = read_metadata(tmp_path / "out")
    records = [json.loads(line) for line in (tmp_path / "out" / RECORDS).read_text().splitlines()]
    for index, (row, record) in enumerate(zip(rows, records, strict=True)):
        sample = synthesizer[index]
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / row.file_name)), sample["image"])
        mask = np.asarray(Image.open(tmp_path / "out" / row.mask_file_name))
        assert np.array_equal(mask, sample["mask"] * 255)
        assert record == sample["record"]
        assert row.label == ("forged" if sample["label"] else "authentic")
        assert row.forgery_type == (sample["record"]["kind"].replace("_", "-") if sample["label"] else "none")
        assert row.group == sample["record"]["host"]["photo"]
    assert {row.label for row in rows} == {"forged", "authentic"}


def test_workers_and_interruptions_change_nothing(pool, tmp_path, monkeypatch):
    synthesizer = ForgerySynthesizer(pool, 40, seed=1)
    write_synthesized(synthesizer, tmp_path / "whole", 9)
    write_synthesized(synthesizer, tmp_path / "workers", 9, workers=2)
    real, calls = synthesized._write_pictures, []

    def fail_at_the_fifth(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(synthesized, "_write_pictures", fail_at_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            write_synthesized(synthesizer, tmp_path / "parts", 9)
    with (tmp_path / "parts" / RECORDS).open("a") as file:
        file.write('{"kind": "spl')  # what a power cut leaves
    assert write_synthesized(synthesizer, tmp_path / "parts", 7) == 3
    assert write_synthesized(synthesizer, tmp_path / "parts", 9) == 2
    assert write_synthesized(synthesizer, tmp_path / "parts", 9) == 0
    assert _digest(tmp_path / "whole") == _digest(tmp_path / "parts") == _digest(tmp_path / "workers")


def test_a_picture_that_went_missing_is_made_again(pool, tmp_path):
    synthesizer = ForgerySynthesizer(pool, 40)
    write_synthesized(synthesizer, tmp_path / "out", 3)
    before = sorted(_digest(tmp_path / "out").splitlines())
    (tmp_path / "out/masks/0000001.png").unlink()
    assert write_synthesized(synthesizer, tmp_path / "out", 3) == 1
    after = sorted(_digest(tmp_path / "out").splitlines())
    assert [line for line in before if RECORDS not in line] == [line for line in after if RECORDS not in line]


def test_samples_of_different_syntheses_never_mix(pool, tmp_path):
    write_synthesized(ForgerySynthesizer(pool, 40), tmp_path / "out", 3)
    with pytest.raises(DataFormatError, match="made with other seed"):
        write_synthesized(ForgerySynthesizer(pool, 40, seed=1), tmp_path / "out", 3)
    with pytest.raises(DataFormatError, match="made with other photos"):
        write_synthesized(ForgerySynthesizer(PhotoPool(pool.photos[:2]), 40), tmp_path / "out", 3)
    with pytest.raises(DataFormatError, match="has 3 samples already"):
        write_synthesized(ForgerySynthesizer(pool, 40), tmp_path / "out", 2)
    with pytest.raises(DataFormatError, match="at least 1"):
        write_synthesized(ForgerySynthesizer(pool, 40), tmp_path / "new", 0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(DataFormatError, match="holds no synthesized samples"):
        write_synthesized(ForgerySynthesizer(pool, 40), tmp_path / "mine", 2)


def test_datasets_reads_the_folder_as_it_is(pool, tmp_path):
    datasets = pytest.importorskip("datasets")
    write_synthesized(ForgerySynthesizer(pool, 40), tmp_path / "out", 6)
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == 6
    assert set(loaded["label"]) <= {"authentic", "forged"}
    assert loaded[0]["image"].size == (40, 40)


# Command line


def test_the_command_makes_a_data_set(pool, tmp_path):
    pictures = pool.photos[0].parent
    arguments = ["data", "synthesize", str(pictures), "--out", str(tmp_path / "out"), "--count", "5", "--size", "40"]
    for made in (5, 0):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert result.output.strip().endswith(f"5 samples in {tmp_path / 'out'}, {made} of them made now")
    assert len(read_metadata(tmp_path / "out")) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pictures": "nowhere"}, "nowhere is not a folder"),
        ({"pictures": "empty"}, "at least one photo"),
        ({"out": "pool/inside"}, "choose a folder outside of it"),
        ({"out": "full"}, "holds no synthesized samples"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, change, message):
    for name in ("pool", "empty", "full"):
        (tmp_path / name).mkdir()
    write_pool(tmp_path / "pool", photos=1)
    (tmp_path / "full/a.txt").write_text("")
    names = {"pictures": "pool", "out": "out"} | change
    monkeypatch.chdir(tmp_path)
    command = ["ifl-hub", "data", "synthesize", names["pictures"], "--out", names["out"], "--count", "1"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        main()
    output = capsys.readouterr()
    assert stop.value.code == 2
    assert output.err.startswith("error: ")
    assert message in output.err
    assert len(output.err.strip().splitlines()) == 1
