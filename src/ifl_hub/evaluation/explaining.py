"""What went wrong with a picture, in a sentence, from its counts alone."""

from collections.abc import Iterable

from ..metrics import ImageCounts
from ..metrics.pixel import f1

_LITTLE = 0.05  # of the forged area, flagged elsewhere: not worth a number
_FOUND = 0.85  # a pixel AUC from which the forged part counts as seen, if not flagged


def worst_first(counts: Iterable[ImageCounts]) -> list[ImageCounts]:
    """The forged pictures by F1, then by AUC, the worst first."""
    forged = [row for row in counts if row.is_forged]
    return sorted(forged, key=lambda row: (f1(row.confusion()), row.pixel_auc or 0, row.name or ""))


def explain(forgery_type: str, counts: ImageCounts) -> str:
    """A sentence on what a map got wrong of a forged picture.

    Args:
        forgery_type: Such as `"copy-move"`.
        counts: Of the picture, at one threshold.

    Example:
        >>> explain("copy-move", ImageCounts(True, 0.3, 8, 192, (0,), (0,), 0.4))
        'a copy-move of 4 % of the picture; nothing is flagged, and the forged part ranks below the rest'
    """
    hits, false_alarms, forged, authentic = counts.confusion()
    if not hits + false_alarms:
        flagged = "nothing is flagged"
    elif not hits:
        flagged = f"what is flagged, {_percent(false_alarms / authentic)} of the picture, lies elsewhere"
    else:
        times = false_alarms / forged
        elsewhere = f"{times:.1f} times its area" if times >= _LITTLE else "next to nothing"
        flagged = f"{_percent(hits / forged)} of it is flagged, and {elsewhere} elsewhere"
    area = _percent(forged / (forged + authentic))
    return f"a {forgery_type} of {area} of the picture; {flagged}{_rank(counts.pixel_auc)}"


def _rank(auc: float | None) -> str:
    if auc is None:
        return ""
    if auc < 0.5:
        return ", and the forged part ranks below the rest"
    return ", though the forged part ranks high" if auc >= _FOUND else ""


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "below 0.1 %"
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")
