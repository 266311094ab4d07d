"""Mends what can be mended without losing anything: masks are rewritten, their originals kept, every step logged.

Images are never written. The original goes to the side folder first, then a line to the log, then the new mask takes
its place: whenever this is interrupted, nothing is lost and `undo_repairs` knows what to do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from PIL import Image

from ...files import file_sha256, write_atomically
from ...image_processing.loading import UPRIGHT, open_picture
from ...image_processing.masks import to_label_map
from .findings import Repair, Report
from .inventory import take_inventory
from .reading import read_coding

#: Where originals and log lie in a data set; no reader looks into folders whose names start with a dot.
ORIGINALS = ".ifl-hub-originals"
LOG = "repairs.jsonl"
_LOSSLESS = ("PNG", "BMP", "TIFF")  # formats in which a mask can be rewritten under its own name


@dataclass(frozen=True)
class Repairs:
    """What was done.

    Attributes:
        rewritten: Masks, relative to the data set's folder.
        left: Masks that could not be repaired, and why.
    """

    rewritten: tuple[str, ...]
    left: dict[str, str]


def repair_dataset(report: Report) -> Repairs:
    """Repairs every mask for which a finding offers it: 0/1 becomes 0/255, inverted masks are inverted, masks turned.

    Args:
        report: Of the data set as it is now.
    """
    wanted: dict[str, list[Repair]] = {}
    orientations: dict[str, int] = {}
    for found in report.findings:
        if found.repair is not None:
            orientations |= found.details.get("orientations", {})
            for mask in found.files:
                wanted.setdefault(mask, []).append(found.repair)
    images = set(take_inventory(report.folder).images) if wanted else set()
    earlier = _last_steps(report.folder)
    rewritten, left = [], {}
    for mask, repairs in wanted.items():
        before = (report.folder / mask).read_bytes()
        try:
            if mask in images:
                raise ValueError("it is an image too")
            after = _repaired(before, repairs, orientations.get(mask, 1))
        except ValueError as error:
            left[mask] = str(error)
            continue
        _replace(report.folder, mask, before, after, repairs, earlier.get(mask))
        rewritten.append(mask)
    return Repairs(tuple(rewritten), left)


def undo_repairs(folder: Path) -> Repairs:
    """Puts back the original of every repaired mask; a mask that changed since its repair is left alone.

    Returns:
        Which masks are as they were, and which not.
    """
    steps = _last_steps(folder)
    restored, left = [], {}
    for mask, step in steps.items():
        original = folder / ORIGINALS / mask
        now = file_sha256(folder / mask) if (folder / mask).is_file() else None
        if now not in (step["sha256"], step["sha256_before"]):
            left[mask] = f"it was changed or removed since; its original is {original}"
        elif not original.is_file():
            left[mask] = f"its original {original} is gone"
        else:
            write_atomically(folder / mask, original.read_bytes())
            restored.append(mask)
    if left:
        _write_log(folder, [steps[mask] for mask in left])
    elif steps:
        rmtree(folder / ORIGINALS)
    return Repairs(tuple(restored), left)


def _last_steps(folder: Path) -> dict[str, dict[str, Any]]:
    """The last line of the log for each mask."""
    log = folder / ORIGINALS / LOG
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return {step["file"]: step for step in map(json.loads, lines)}


def _write_log(folder: Path, steps: Sequence[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(step, ensure_ascii=False) + "\n" for step in steps)
    write_atomically(folder / ORIGINALS / LOG, lines.encode())


def _repaired(data: bytes, repairs: Sequence[Repair], orientation: int) -> bytes:
    picture = open_picture(data, "")
    kind = str(picture.format)
    if kind not in _LOSSLESS:
        raise ValueError(f"{kind} cannot be rewritten under its own name without loss; save it as PNG")
    picture.load()
    values, coding = read_coding(picture)
    if coding in ("white", "levels", "painted"):
        forged = values > 0 if coding == "levels" else to_label_map(picture) == 1
        values = np.where(forged, np.uint8(255), np.uint8(0))
    elif coding != "grey" or values.dtype != np.uint8 or values.max() < 255 or set(np.unique(values)) <= {0, 1, 255}:
        raise ValueError("its values cannot be turned round without loss; save it as black and white")
    if "polarity" in repairs:
        values = 255 - values
    mended = Image.fromarray(values)
    if "rotation" in repairs:
        mended = mended.transpose(UPRIGHT[orientation])
    buffer = BytesIO()
    mended.save(buffer, kind)
    return buffer.getvalue()


def _replace(
    folder: Path, mask: str, before: bytes, after: bytes, repairs: Sequence[Repair], earlier: dict[str, Any] | None
) -> None:
    side = folder / ORIGINALS
    step = {
        "file": mask,
        "repairs": list(repairs),
        "sha256_before": sha256(before).hexdigest(),
        "sha256": sha256(after).hexdigest(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if earlier is None or earlier["sha256"] != step["sha256_before"]:  # else it is repaired anew: its original is kept
        write_atomically(side / mask, before)
    with (side / LOG).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(step, ensure_ascii=False) + "\n")
    write_atomically(folder / mask, after)
