"""Make docs/result.png of the README from what `ifl-hub localize docs/sample.jpg` wrote.

make localize && .venv/bin/python training_scripts/make_result_picture.py out/sample.jpg.overlay.png
"""

import sys
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent.parent / "docs"
HEIGHT, GAP = 300, 8


def main() -> None:
    """Sample, overlay and true mask side by side."""
    pictures = [
        Image.open(path).convert("RGB") for path in (DOCS / "sample.jpg", sys.argv[1], DOCS / "sample_mask.png")
    ]
    pictures = [picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT)) for picture in pictures]
    sheet = Image.new("RGB", (sum(picture.width + GAP for picture in pictures) - GAP, HEIGHT), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    sheet.save(DOCS / "result.png", optimize=True)


if __name__ == "__main__":
    main()
