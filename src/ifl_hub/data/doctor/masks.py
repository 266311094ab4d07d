"""Is each mask the mask of its image: as large, on the same grid, black and white, and the right way round?"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import sqrt

from .findings import Finding, Repair, finding
from .inventory import RARE
from .reading import Case, MaskFacts

#: What was forged is the smaller part of a picture, and lies inside it. So a mask looks inverted if it covers more than
#: three quarters; or more than half and nearly all of the frame, where a replaced sky or wall still leaves a side free.
_MOST, _HALF, _FRAME = 0.75, 0.5, 0.9
#: Half of a set's masks look inverted, beyond what falls to one side by chance in 19 of 20 fair draws of that many.
_MIN_MASKS, _ONE_SIDED_95 = 5, 1.645


def check_masks(cases: Sequence[Case]) -> list[Finding]:
    """All findings about masks that could be read."""
    inverted = _inverted_sources(cases)
    return [
        *_check_grid(cases),
        *_check_coding(cases),
        *_check_polarity(cases, inverted),
        *_check_label(cases, inverted),
    ]


def _masks_where(cases: Sequence[Case], holds: Callable[[Case, MaskFacts], bool]) -> list[str]:
    """The masks for which something holds; it is only asked about masks that could be read."""
    return [case.item.mask for case in cases if case.mask and case.item.mask and holds(case, case.mask)]


def _check_grid(cases: Sequence[Case]) -> list[Finding]:
    """Sizes, and EXIF orientation: a viewer turns the image, and seldom its mask."""
    relations = {case.item.mask: _grid_relation(case) for case in cases if case.item.mask}
    sizes = {
        case.item.mask: f"{_size(case.mask.size)} for {_size(case.image.size)}"
        for case in cases
        if case.item.mask and case.mask and case.image and relations[case.item.mask] == "size-mismatch"
    }

    def having(relation: str) -> list[str]:
        return [mask for mask, found in relations.items() if found == relation]

    return [
        *finding(
            "size-mismatch",
            having("size-mismatch"),
            f"{{files}} of another size than the image, the first {next(iter(sizes.values()), '')} (height x width); "
            "get the mask that belongs to this copy of the image: resizing it would guess",
            {"sizes": sizes},
        ),
        *finding(
            "mask-not-rotated",
            having("mask-not-rotated"),
            "{files} on the grid of the image as stored, which every viewer turns by its EXIF orientation; "
            "turn the masks likewise (--fix does)",
            {
                "orientations": {
                    case.item.mask: case.image.orientation for case in cases if case.image and case.item.mask
                }
            },
            repair="rotation",
        ),
        *finding(
            "rotation-unclear",
            having("rotation-unclear"),
            "{files} where image or mask has an EXIF orientation and the sizes do not tell which grid the mask is on; "
            "look at them, and store pictures upright",
        ),
    ]


def _grid_relation(case: Case) -> str | None:
    """How a mask lies on its image: None where it fits, else the id of the finding."""
    image, mask = case.image, case.mask
    if image is None or mask is None:
        return None
    if image.stored_size != image.size:
        if mask.size == image.size:
            return None if mask.orientation == 1 else "rotation-unclear"
        return "mask-not-rotated" if mask.size == image.stored_size else "size-mismatch"
    if mask.size != image.size:
        return "size-mismatch"
    turned = image.orientation != 1 or mask.orientation != 1
    return "rotation-unclear" if turned and mask.coverage != 0 else None


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _check_coding(cases: Sequence[Case]) -> list[Finding]:
    def coded(*codings: str) -> list[str]:
        return _masks_where(cases, lambda case, mask: mask.coding in codings)

    return [
        *finding(
            "mask-coloured",
            coded("coloured"),
            "{files} in colours, of which nobody can say which are forged; `ifl-hub data import` knows those of "
            "published data sets, else paint forged white and the rest black",
        ),
        *finding(
            "mask-unclear",
            coded("unclear"),
            "{files} with transparency or values that have no single reading; save them as black and white",
        ),
        *finding(
            "mask-levels",
            coded("levels", "painted"),
            "{files} with another value than 255 for forged, such as 0/1, which most readers take for black; "
            "rewrite them as 0/255 (--fix does)",
            repair="levels",
        ),
        *finding(
            "mask-not-binary",
            coded("grey"),
            "{files} with grey values, from soft edges or JPEG, or with an ignore label; they are cut at half, so say "
            "so next to a score, or get the originals",
        ),
    ]


def _looks_inverted(mask: MaskFacts) -> bool:
    if mask.coverage is None or mask.frame is None or mask.coverage in (0, 1):
        return False
    return mask.coverage > _MOST or (mask.coverage > _HALF and mask.frame >= _FRAME)


def _inverted_sources(cases: Sequence[Case]) -> set[str]:
    """The sources most of whose masks look inverted: then all of theirs are, small ones too."""
    looks: dict[str, list[bool]] = defaultdict(list)
    for case in cases:
        if case.label == "forged" and case.mask and case.mask.coverage not in (None, 0, 1):
            looks[case.item.source].append(_looks_inverted(case.mask))
    return {
        source
        for source, votes in looks.items()
        if len(votes) >= _MIN_MASKS and sum(votes) > len(votes) / 2 + _ONE_SIDED_95 * sqrt(len(votes)) / 2
    }


def _check_polarity(cases: Sequence[Case], inverted: set[str]) -> list[Finding]:
    repair: Repair = "polarity"

    def belongs(case: Case, mask: MaskFacts) -> bool:
        as_authentic = case.item.label == "authentic" or not mask.coverage
        return case.item.source in inverted and (mask.coverage == 1 if as_authentic else mask.coverage is not None)

    return [
        *finding(
            "masks-inverted",
            _masks_where(cases, belongs),
            f"{{files}} of {', '.join(sorted(inverted))} have forged and authentic exchanged: most cover most of their "
            "image; invert them (--fix does)",
            repair=repair,
        ),
        *finding(
            "mask-looks-inverted",
            _masks_where(cases, lambda case, mask: case.item.source not in inverted and _is_forged_inverse(case)),
            "{files} cover most of their image, unlike the rest; look at them, and invert them unless a background was "
            "replaced",
        ),
    ]


def _is_forged_inverse(case: Case) -> bool:
    return case.label == "forged" and case.mask is not None and _looks_inverted(case.mask)


def _check_label(cases: Sequence[Case], inverted: set[str]) -> list[Finding]:
    """Masks that contradict the label: empty, full, or not empty."""

    def full(case: Case, mask: MaskFacts) -> bool:
        return case.label == "forged" and mask.coverage == 1 and case.item.source not in inverted

    def on_authentic(case: Case, mask: MaskFacts) -> bool:
        explained = mask.coverage == 1 and case.item.source in inverted
        return case.item.label == "authentic" and bool(mask.coverage) and not explained

    unlabelled = [case for case in cases if case.item.label is None and case.mask and case.mask.coverage is not None]
    empty = [case.item.image for case in unlabelled if case.label == "authentic"]
    return [
        *finding(
            "mask-empty",
            _masks_where(cases, lambda case, mask: case.item.label == "forged" and mask.coverage == 0),
            "{files} without a forged pixel although the image is labelled forged; get the right mask or correct the "
            "label",
        ),
        *finding(
            "mask-empty-unlabelled",
            empty if len(empty) < RARE * len(unlabelled) else [],
            "{files} with an empty mask, in a set that says nothing of authentic images; if they are forged, their "
            "masks are missing",
        ),
        *finding(
            "mask-full",
            _masks_where(cases, full),
            "{files} that mark the whole image as forged; localization cannot be scored on it, so leave it out or get "
            "the right mask",
        ),
        *finding(
            "mask-on-authentic",
            _masks_where(cases, on_authentic),
            "{files} with forged pixels although the image is labelled authentic; correct the label, or replace the "
            "mask by zeros",
        ),
    ]
