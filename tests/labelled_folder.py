"""A small imagefolder of forged and authentic pictures, made on the fly, for the tests of evaluation."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tiny_photos import texture


def write_folder(folder: Path, forged: int = 3, authentic: int = 2, height: int = 60, width: int = 80) -> Path:
    """JPEGs of alternating quality; the forged ones have a noisy rectangle, of growing size, and its mask."""
    (folder / "image").mkdir(parents=True)
    (folder / "mask").mkdir()
    rows = []
    for index in range(forged + authentic):
        is_forged = index < forged
        picture, mask = texture(index, height, width), np.zeros((height, width), np.uint8)
        if is_forged:
            bottom = 10 + (index + 1) * 8
            mask[10:bottom, 15:45] = 255
            noise = np.random.default_rng(index).integers(0, 256, picture.shape, dtype=np.uint8)
            picture = np.where(mask[..., None] > 0, noise, picture)
        Image.fromarray(picture).save(folder / "image" / f"{index}.jpg", quality=92 if index % 2 else 75)
        Image.fromarray(mask).save(folder / "mask" / f"{index}.png")
        rows.append(
            {
                "file_name": f"image/{index}.jpg",
                "mask_file_name": f"mask/{index}.png",
                "label": "forged" if is_forged else "authentic",
                "forgery_type": ("splicing", "copy-move")[index % 2] if is_forged else "none",
                "source": "casia1",
                "split": "validation",
            }
        )
    write_rows(folder, rows)
    return folder


def read_rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def write_rows(folder: Path, rows: list[dict]) -> None:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
