"""A small sound data set of forgeries, made on the fly, for the tests that plant defects in one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tiny_photos import texture

HEIGHT, WIDTH, PHOTOS = 48, 64, 12
FORGED = [f"image/forged{n}.png" for n in range(PHOTOS)]
AUTHENTIC = [f"image/photo{n}.png" for n in range(PHOTOS)]


def write_set(folder: Path) -> None:
    """Twelve photos and a forgery of each, the first nine in train: PNGs, their masks and a metadata.jsonl."""
    rows = []
    for n in range(PHOTOS):
        photo = texture(n, HEIGHT, WIDTH)
        forged, mask = photo.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        top, left = 5 + n, 8 + 2 * n
        forged[top : top + 14, left : left + 12] = texture(100 + n, 14, 12)
        mask[top : top + 14, left : left + 12] = 255
        for name, pixels, shown in ((FORGED[n], forged, mask), (AUTHENTIC[n], photo, mask * 0)):
            save(folder / name, pixels)
            save(folder / mask_of(name), shown)
            row = {"file_name": name, "mask_file_name": mask_of(name), "source": "mine", "group": f"host{n:02}"}
            row |= {"label": "forged", "forgery_type": "splicing"} if name in FORGED else {"label": "authentic"}
            rows.append(row | {"split": "train" if n < 9 else "validation"})
    write_rows(folder, rows)


def mask_of(name: str) -> str:
    """The mask of an image."""
    return name.replace("image/", "mask/")


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    """Write a picture and the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def pixels_of(path: Path) -> np.ndarray:
    """The pixels as stored."""
    with Image.open(path) as picture:
        return np.array(picture)


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write metadata.jsonl without asking whether it makes sense."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of metadata.jsonl."""
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def edit_rows(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change every row in place."""
    rows = read_rows(folder)
    for row in rows:
        change(row)
    write_rows(folder, rows)


def edit_row(folder: Path, image: str, **columns: Any) -> None:
    """Change the row of one image."""
    edit_rows(folder, lambda row: row.update(columns) if row["file_name"] == image else None)
