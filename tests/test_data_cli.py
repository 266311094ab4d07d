"""`ifl-hub data import` and `split`, through the command line as a user has it."""

import sys

import pytest

from fake_data_sets import TREES
from ifl_hub.cli.main import main
from ifl_hub.data.schema import read_metadata


def run(monkeypatch, capsys, *arguments):
    """Exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["ifl-hub", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
        raise SystemExit(0)
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


def test_import_says_what_it_did_and_why_it_left_things_out(command, tmp_path):
    TREES["casia1"](tmp_path / "source")
    code, out, err = command("import", "casia1", tmp_path / "source", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "1  forged copy-move" in out and "1  left out: no mask has its name" in out
    assert out.endswith(f"4 pictures in {tmp_path / 'out'}, 4 of them copied now\n")
    _, again, _ = command("import", "casia1", tmp_path / "source", tmp_path / "out")
    assert again.endswith("0 of them copied now\n")


def test_split_writes_the_listing_and_counts(command, tmp_path):
    TREES["korus"](tmp_path / "source")
    command("import", "korus", tmp_path / "source", tmp_path / "out")
    code, out, _ = command("split", tmp_path / "out", "--train", "0", "--validation", "0", "--test", "1")
    assert code == 0
    assert out.split() == ["2", "test", "authentic", "2", "test", "forged"]
    assert {row.split for row in read_metadata(tmp_path / "out")} == {"test"}


def test_kinds_lists_every_layout(command):
    code, out, _ = command("import", "--kinds")
    assert code == 0 and {line.split()[0] for line in out.splitlines()} == set(TREES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "give KIND SRC DST"),
        (["import", "casia3", ".", "x"], "did you mean casia"),
        (["import", "casia1", "/absent", "x"], "no such file or folder"),
        (["split", "/absent"], "metadata.jsonl is missing"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(command, arguments, message):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert message in err and err.startswith("error: ") and err.count("\n") == 1
