"""Can the class be told without looking at the picture? Then a detector learns how files were saved, not forgeries.

Each property of a file (its format, its size in pixels, its JPEG tables …) is tried alone as a predictor of the class,
always on pictures of a group that it has not seen; an interval keeps chance from looking like a finding.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from .findings import Finding, finding
from .reading import Case, ImageFacts

#: From coarse to fine: of several properties that say the same, the first is named.
_PROPERTIES: Mapping[str, Callable[[ImageFacts], Hashable]] = {
    "file format": lambda facts: facts.format,
    "colour mode": lambda facts: facts.mode,
    "size in pixels": lambda facts: facts.size,
    "chroma subsampling": lambda facts: facts.sampling,
    "embedded metadata (EXIF, ICC, XMP)": lambda facts: facts.blocks,
    "JPEG quantisation tables": lambda facts: facts.tables,
}
#: Reported from 60 % of held-out pictures told right (classes weighted alike, chance is 50 %), all of a 95 % interval
#: above it: less is the ordinary unevenness of collections, and no detector would live on it.
_MATERIAL, _Z95 = 0.6, 1.96
_MIN_GROUPS = 5  # of each class: two pictures often share a value by chance
_SAME = 0.01  # properties within one picture in a hundred say the same


class Predictability(NamedTuple):
    """How well one property tells the classes apart.

    Attributes:
        accuracy: Balanced accuracy on held-out groups, in [0, 1]; 0.5 is chance.
        low: Lower end of its 95 % interval; 0 where a class has too few groups to say anything.
    """

    accuracy: float
    low: float


def check_shortcuts(cases: Sequence[Case]) -> list[Finding]:
    """At most one finding, which names every property that tells the classes apart."""
    known = [case for case in cases if case.image is not None and case.label is not None]
    if len({case.label for case in known}) < 2:
        return []
    labels = [case.label == "forged" for case in known]
    groups = [case.item.group for case in known]
    found = {
        name: predictability([read(case.image) for case in known if case.image], labels, groups)
        for name, read in _PROPERTIES.items()
    }
    telling = {name: result for name, result in found.items() if result.low > _MATERIAL}
    if not telling:
        return []
    best = max(result.accuracy for result in telling.values())
    first = next(name for name, result in telling.items() if result.accuracy >= best - _SAME)
    others = [f"{name} ({result.accuracy:.1%})" for name, result in telling.items() if name != first]
    return finding(
        "class-shortcut",
        [case.item.image for case in known],
        f"the {first} alone tell{'' if first.endswith('s') else 's'} forged from authentic in "
        f"{telling[first].accuracy:.1%} of unseen images (at least {telling[first].low:.1%}; chance is 50%)"
        f"{'; so do ' if others else ''}{', '.join(others)}; image-level scores on this set mean little, and a "
        "detector should be trained on it only if both classes are saved alike",
        {"properties": {name: result._asdict() for name, result in found.items()}},
    )


def predictability(values: Sequence[Hashable], forged: Sequence[bool], groups: Sequence[str]) -> Predictability:
    """Predicts the class of each picture from its value alone, by the pictures of all other groups.

    A value votes for the class in which it is the more frequent; a tie, or a value not seen elsewhere, is half right.

    Args:
        values: Of each picture, the property.
        forged: Of each picture, the class; both must occur.
        groups: Of each picture, what it is not independent of.

    Example:
        >>> names = [str(number) for number in range(40)]
        >>> result = predictability(["PNG"] * 20 + ["JPEG"] * 20, [True] * 20 + [False] * 20, names)
        >>> result.accuracy, round(result.low, 2)
        (1.0, 0.84)
    """
    counts = Counter(zip(values, forged, strict=True))
    totals = Counter(forged)
    own: dict[str, Counter[tuple[Hashable, bool]]] = defaultdict(Counter)
    for value, label, group in zip(values, forged, groups, strict=True):
        own[group][value, label] += 1
    right: dict[bool, list[float]] = {True: [], False: []}
    for value, label, group in zip(values, forged, groups, strict=True):
        mine = own[group]
        rates = {}
        for side in (True, False):
            size = totals[side] - sum(count for (_, other), count in mine.items() if other == side)
            rates[side] = (counts[value, side] - mine[value, side]) / size if size else 0.0
        right[label].append(0.5 if rates[True] == rates[False] else float(rates[label] > rates[not label]))
    independent = {side: len({g for g, label in zip(groups, forged, strict=True) if label == side}) for side in right}
    rates = {side: sum(hits) / len(hits) for side, hits in right.items()}
    enough = min(independent.values()) >= _MIN_GROUPS
    low = sum(_wilson_low(rates[side], independent[side]) for side in right) / 2 if enough else 0.0
    return Predictability((rates[True] + rates[False]) / 2, low)


def _wilson_low(share: float, count: int) -> float:
    """Lower end of Wilson's 95 % interval of a share of `count` independent pictures."""
    z2 = _Z95**2
    middle = share + z2 / (2 * count)
    return (middle - _Z95 * sqrt(share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
