"""Runs every check of a data set, with one look at each file."""

from pathlib import Path
from time import perf_counter

from .findings import SEVERITIES, Report
from .inventory import take_inventory
from .leakage import check_leakage
from .masks import check_masks
from .reading import read_cases
from .shortcuts import check_shortcuts


def check_dataset(folder: str | Path, progress: bool = False) -> Report:
    """Looks for what silently spoils training and scores: pairing, masks, unreadable files, leakage, shortcuts.

    Args:
        folder: An imagefolder with `metadata.jsonl` (or .csv), or one with `images/` and `masks/`; or a folder of such
            folders: train, validation and test, or several data sets, which are then checked as one.
        progress: Whether to show a bar, where there is a terminal.

    Raises:
        DataFormatError: If the folder is no data set at all; whatever is wrong within one is a finding.
    """
    start = perf_counter()
    inventory = take_inventory(Path(folder))
    cases, unreadable = read_cases(inventory, progress)
    findings = [
        *inventory.findings,
        *unreadable,
        *check_masks(cases),
        *check_leakage(cases),
        *check_shortcuts(cases),
    ]
    findings.sort(key=lambda found: SEVERITIES.index(found.severity))
    images, masks = len(inventory.images), len(inventory.masks)
    return Report(Path(folder), images, masks, perf_counter() - start, tuple(findings))
