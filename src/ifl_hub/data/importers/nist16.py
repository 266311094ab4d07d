"""NIST Nimble 2016: the reference table says which mask belongs to which probe; names do not (their numbers differ)."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ..lists import resolve
from ..schema import UNKNOWN_FORGERY
from .layout import Layout, MaskFile, Sample, Skipped

_TABLE = "NC2016-manipulation-ref.csv"
_TYPES = {
    "IsManipulationTypeSplice": "splicing",
    "IsManipulationTypeCopyClone": "copy-move",
    "IsManipulationTypeRemoval": "removal",
}


def find_nist16(folder: Path) -> Iterator[Sample | Skipped]:
    """The probes of the manipulation task. Black is forged; the group is the photo that a probe was made of."""
    for table in sorted(folder.rglob(_TABLE)):
        root = table.parents[2]  # reference/manipulation/
        with table.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, delimiter="|"):
                yield _sample(root, row)


def _sample(root: Path, row: dict[str, str]) -> Sample | Skipped:
    name = row["ProbeFileName"]
    image = resolve(root, name)
    if not image.is_file():
        return Skipped(image, "the reference table names it, but it is not there")
    group = row.get("BaseFileName") or name
    if row["IsTarget"].strip().upper() != "Y":
        return Sample(image, name, "authentic", group)
    mask = resolve(root, row.get("ProbeMaskFileName") or "")
    if not mask.is_file():
        return Skipped(image, "no mask: the reference table names none, or it is not there")
    kinds = [kind for column, kind in _TYPES.items() if (row.get(column) or "").strip().upper() == "Y"]
    return Sample(image, name, "forged", group, "+".join(kinds) or UNKNOWN_FORGERY, MaskFile(mask, "black"))


NIST16 = Layout("nist16", "NIST Nimble 2016", f"probe/, world/ and reference/manipulation/{_TABLE}", find_nist16)
