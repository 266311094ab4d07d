"""The evidence report: one HTML file a picture that can be read, printed, sent and checked without anything else.

Nothing in it is loaded from elsewhere, no script runs in it (a content policy forbids it even if one got in), and
everything that comes from a file, a name or a checkpoint is escaped.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..image_processing.loading import LoadedImage, load_image
from .calibration import explain_mask, explain_score
from .embedding import LARGEST, shrink, shrink_mask, to_jpeg_uri, to_png_uri
from .model_facts import ModelFacts
from .overlay import colour_heatmap, render_overlay
from .picture_facts import clean_text, read_picture_facts
from .regions import Region, Regions, find_regions
from .rendering import render

_CLOSE_UPS = 4
_CLOSE_UP_SIDE = 360  # pixels
_CLOSE_UP_BYTES = 40_000


def evidence_report(
    picture: str | Path | bytes,
    result: Mapping[str, Any],
    model: ModelFacts,
    *,
    name: str | None = None,
    command: str | None = None,
    image: LoadedImage | None = None,
    created: datetime | None = None,
) -> str:
    """The report of one picture as a self-contained HTML page.

    Args:
        picture: The original file (a path or its bytes), as it was judged.
        result: What the pipeline returned for it: `label`, `score`, `mask`, `heatmap`.
        model: Who judged, with the options that it was given (`ModelFacts.read`).
        name: What to call the file; default: the path's last part. No folder is ever shown.
        command: How to get the same result again; default: none is shown.
        image: The picture as it was loaded, if it already was.
        created: When; default: now.

    Returns:
        The page; encode it as UTF-8. Below 4 MB for any picture.

    Raises:
        ImageLoadError: If the picture cannot be read.
        ImportError: If the extra `report` is not installed.

    Example:
        >>> import io
        >>> from ifl_hub import checkpoint_path
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (64, 48)).save(file, "PNG")
        >>> heatmap = np.zeros((48, 64), np.float32)
        >>> result = {"label": "authentic", "score": 0.1, "heatmap": heatmap, "mask": Image.new("L", (64, 48))}
        >>> page = evidence_report(file.getvalue(), result, ModelFacts.read(checkpoint_path("safl-net-lite0")))
        >>> page[:15]
        '<!doctype html>'
    """
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    image = image or load_image(data)
    mask = np.asarray(result["mask"]) != 0
    regions = find_regions(mask, result["heatmap"])
    forged_area = float(mask.mean())
    facts = read_picture_facts(data)
    return render(
        "evidence.html.jinja",
        name=clean_text(name or ("picture" if isinstance(picture, bytes) else Path(picture).name)),
        created=created or datetime.now(UTC),
        result=result,
        score_lines=explain_score(result["score"], model),
        mask_lines=explain_mask(model.preprocessing["threshold"], forged_area, model),
        forged_area=forged_area,
        size=image.size,
        shown_smaller=max(image.size) > LARGEST,
        notes=image.notes,
        regions=regions,
        facts=facts,
        thumbnail=_thumbnail(facts.thumbnail, image.pixels),
        model=model,
        command=command,
        views=_views(image.pixels, result["heatmap"], mask, regions),
        close_ups=[_close_up(image.pixels, result["heatmap"], mask, region) for region in regions.listed[:_CLOSE_UPS]],
    )


def _views(pixels: np.ndarray, heatmap: np.ndarray, mask: np.ndarray, regions: Regions) -> dict[str, str]:
    """The four pictures as URIs, all of one size; the mask shows every region, however small."""
    original = shrink(Image.fromarray(pixels))
    probabilities = np.asarray(shrink(Image.fromarray(heatmap.astype(np.float32))))
    marked = shrink_mask(mask)
    overlay = render_overlay(original, probabilities, marked)
    _number(overlay, regions, overlay.width / pixels.shape[1])
    return {
        "original": to_jpeg_uri(original),
        "overlay": to_jpeg_uri(overlay),
        "heatmap": to_jpeg_uri(colour_heatmap(probabilities)),
        "mask": to_png_uri(Image.fromarray(marked)),
    }


def _thumbnail(stored: Image.Image | None, pixels: np.ndarray) -> dict[str, str] | None:
    """The thumbnail of the file beside one made from the picture."""
    if stored is None:
        return None
    stored = shrink(stored, _CLOSE_UP_SIDE)
    expected = shrink(Image.fromarray(pixels), max(stored.size))
    return {"stored": to_jpeg_uri(stored, _CLOSE_UP_BYTES), "expected": to_jpeg_uri(expected, _CLOSE_UP_BYTES)}


def _number(overlay: Image.Image, regions: Regions, scale: float) -> None:
    """Write, in place, each listed region's number beside it."""
    pen, size = ImageDraw.Draw(overlay), max(10, round(max(overlay.size) / 45))
    font = ImageFont.load_default(size)
    for number, region in reversed(list(enumerate(regions.listed, start=1))):
        _, _, width, height = pen.textbbox((0, 0), str(number), font=font)
        left = min(round(region.box[0] * scale), overlay.width - int(width) - 5)
        top = max(0, round(region.box[1] * scale) - int(height) - 6)
        pen.rectangle((left, top, left + width + 4, top + height + 4), fill="black")
        pen.text((left + 2, top + 1), str(number), fill=(0, 255, 255), font=font)


def _close_up(pixels: np.ndarray, heatmap: np.ndarray, mask: np.ndarray, region: Region) -> dict[str, str]:
    """A region with some of its surroundings, as it is and overlaid, in the picture's own pixels where they fit."""
    left, top, right, bottom = region.box
    margin = max(24, (right - left) // 3, (bottom - top) // 3)
    rows = slice(max(0, top - margin), bottom + margin)
    columns = slice(max(0, left - margin), right + margin)
    cut = np.ascontiguousarray(pixels[rows, columns])
    drawn = render_overlay(cut, heatmap[rows, columns], mask[rows, columns])
    return {
        "original": to_jpeg_uri(shrink(Image.fromarray(cut), _CLOSE_UP_SIDE), _CLOSE_UP_BYTES),
        "overlay": to_jpeg_uri(shrink(drawn, _CLOSE_UP_SIDE), _CLOSE_UP_BYTES),
    }
