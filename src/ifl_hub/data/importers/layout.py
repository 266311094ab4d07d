"""What an importer says about a data set: where its pictures and masks lie, and what their names mean."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..pairing import files_below, is_picture
from ..schema import LABELS, NO_FORGERY, Label, MaskSemantics, Split
from .mask_rules import MaskRule, read_mask


@dataclass(frozen=True)
class MaskFile:
    """A mask as the data set ships it.

    Attributes:
        path: The file.
        rule: How its colours are to be read.
    """

    path: Path
    rule: MaskRule = "white"

    def read(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """`(H, W)`, True where forged; `size` is the picture's and does not matter here."""
        return read_mask(self.path, self.rule)


@dataclass(frozen=True)
class PolygonMask:
    """A mask drawn from outlines.

    Attributes:
        path: The file of annotations.
        polygons: Each `[x1, y1, x2, y2, …]` in pixels.
        rule: Its name in the report.
    """

    path: Path
    polygons: tuple[tuple[float, ...], ...]
    rule: str = "polygons"

    def read(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """`(H, W)` of the picture's `size`, True inside any outline."""
        canvas = Image.new("L", (size[1], size[0]))
        for polygon in self.polygons:
            ImageDraw.Draw(canvas).polygon(list(polygon), fill=1, outline=1)
        return np.asarray(canvas) > 0


@dataclass(frozen=True)
class Sample:
    """A picture that an importer found.

    Attributes:
        image: The picture.
        name: Where it goes below `image/`: unique within the data set, with its suffix.
        label: `"authentic"` or `"forged"`.
        group: What must not cross splits.
        forgery_type: `"none"` for an authentic picture.
        mask: Its mask; None for an authentic picture and in data sets without masks.
        mask_semantics: Whether the origin of a copied region is marked too.
        split: As the data set itself splits, or None.
        source: The data set's name where it is not the importer's.
        extra: Further columns.
        empty_is_authentic: Whether an all-black mask makes it authentic (nobody else said what it is) or is an error.
    """

    image: Path
    name: str
    label: Label
    group: str
    forgery_type: str = NO_FORGERY
    mask: MaskFile | PolygonMask | None = None
    mask_semantics: MaskSemantics = "target"
    split: Split | None = None
    source: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    empty_is_authentic: bool = False


@dataclass(frozen=True)
class Skipped:
    """A file that is not imported, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Layout:
    """One way in which a data set lies on disk.

    Attributes:
        kind: Its name on the command line.
        title: The data set's name and year.
        expects: What the folder (or file) looks like, for the error when it does not.
        find: Everything in it that is a picture of the data set, and what was left out.
        has_masks: Whether it says where a picture is forged, or only whether.
        from_file: Whether a single file (a list) will do instead of a folder.
    """

    kind: str
    title: str
    expects: str
    find: Callable[[Path], Iterable[Sample | Skipped]]
    has_masks: bool = True
    from_file: bool = False


@dataclass(frozen=True)
class Pictures:
    """Pictures of one kind, known by their paths.

    Attributes:
        pattern: Of the whole path relative to the data set's folder, upper and lower case alike. Its group `name` is
            the name to keep; the templates use all its groups, in lower case.
        group: Template of the group.
        forgery_type: Of all of them, or by the value of the pattern's group `type`; none of it for authentic pictures.
        mask: Template of the key of the mask, or None where there is none.
        linked: Template of a second group that must not be parted from the first.
    """

    pattern: str
    group: str
    forgery_type: str | Mapping[str, str] = NO_FORGERY
    mask: str | None = None
    linked: str | None = None

    @property
    def label(self) -> Label:
        """`"authentic"` where there is no type of forgery."""
        return LABELS[self.forgery_type != NO_FORGERY]

    def type_of(self, parts: Mapping[str, str]) -> str:
        """The type of forgery of one picture."""
        return self.forgery_type if isinstance(self.forgery_type, str) else self.forgery_type[parts["type"]]


@dataclass(frozen=True)
class Masks:
    """Masks of one kind, known by their paths.

    Attributes:
        pattern: As in `Pictures`.
        key: Template of what pictures call it.
        rule: How its colours are to be read.
    """

    pattern: str
    key: str
    rule: MaskRule = "white"


_RuleT = TypeVar("_RuleT", Pictures, Masks)


@dataclass(frozen=True)
class NamedFiles:
    """A data set in which names say everything; call it to find its pictures.

    Attributes:
        pictures: The first pattern that fits a path decides.
        masks: Likewise, tried after the pictures.
        ignored: Pattern of files that belong to the data set and are no pictures of it, such as second sets of masks.
        mask_semantics: Of all its masks.
    """

    pictures: tuple[Pictures, ...]
    masks: tuple[Masks, ...] = ()
    ignored: str = r"(?!)"
    mask_semantics: MaskSemantics = "target"

    def __call__(self, folder: Path) -> Iterator[Sample | Skipped]:
        """Samples in the order of their paths; masks without a picture and unknown pictures are left out, and said."""
        found: list[tuple[Path, Pictures, dict[str, str], str]] = []
        masks: dict[str, list[MaskFile]] = {}
        for relative, path in files_below(folder):
            if self._compiled[self.ignored].fullmatch(relative):
                continue
            if (fit := self._match(self.pictures, relative)) is not None:
                found.append((path, fit[0], _parts(fit[1]), fit[1]["name"]))
            elif (mask_fit := self._match(self.masks, relative)) is not None:
                rule, match = mask_fit
                masks.setdefault(rule.key.format(**_parts(match)), []).append(MaskFile(path, rule.rule))
            elif is_picture(path):
                yield Skipped(path, "its name is none of this data set's")
        yield from self._samples(found, masks)

    def _samples(
        self, found: list[tuple[Path, Pictures, dict[str, str], str]], masks: dict[str, list[MaskFile]]
    ) -> Iterator[Sample | Skipped]:
        used = set()
        links = [
            (rule.group.format(**parts), rule.linked.format(**parts)) for _, rule, parts, _ in found if rule.linked
        ]
        representative = connected(links)
        for path, rule, parts, name in found:
            group = rule.group.format(**parts)
            sample = Sample(path, name, rule.label, representative.get(group, group), rule.type_of(parts))
            if rule.mask is None:
                yield sample
                continue
            key = rule.mask.format(**parts)
            used.add(key)
            candidates = masks.get(key, [])
            if len(candidates) == 1:
                yield replace(sample, mask=candidates[0], mask_semantics=self.mask_semantics)
            elif candidates:
                yield Skipped(path, f"{len(candidates)} masks fit its name")
            else:
                yield Skipped(path, "no mask has its name")
        for key in masks.keys() - used:
            yield from (Skipped(mask.path, "a mask without a picture of its name") for mask in masks[key])

    def _match(self, rules: Iterable[_RuleT], relative: str) -> tuple[_RuleT, re.Match[str]] | None:
        for rule in rules:
            if match := self._compiled[rule.pattern].fullmatch(relative):
                return rule, match
        return None

    @cached_property
    def _compiled(self) -> dict[str, re.Pattern[str]]:
        patterns = [self.ignored, *(rule.pattern for rule in self.pictures), *(rule.pattern for rule in self.masks)]
        return {pattern: re.compile(pattern, re.IGNORECASE) for pattern in patterns}


def _parts(match: re.Match[str]) -> dict[str, str]:
    """What a pattern's groups caught, in lower case, as templates use it."""
    return {name: (value or "").lower() for name, value in match.groupdict().items()}


def connected(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One representative for all names that links join, directly or by way of others: the first in sorted order.

    Example:
        >>> connected([("003", "000"), ("003", "007"), ("010", "011")])
        {'003': '000', '000': '000', '007': '000', '010': '010', '011': '010'}
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, second in links:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return {name: root(name) for name in parent}
