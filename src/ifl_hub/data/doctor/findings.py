"""What the doctor says: findings as data, and the report that a person or a program reads."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

Severity = Literal["error", "warning", "note"]
Repair = Literal["levels", "polarity", "rotation"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

#: Every finding there is. An error means that pictures are lost, that ground truth is read wrongly, or that a score is
#: not what it says; a warning, that the data are sound and somebody must know; a note, that it may be meant so.
SEVERITY_OF: Mapping[str, Severity] = MappingProxyType(
    {
        "bad-row": "error",
        "duplicate-row": "error",
        "ambiguous-pair": "error",
        "missing-image": "error",
        "missing-mask": "error",
        "unmasked-images": "note",
        "swapped-masks": "error",
        "extra-image": "warning",
        "extra-mask": "warning",
        "unreadable-image": "error",
        "unreadable-mask": "error",
        "size-mismatch": "error",
        "mask-not-rotated": "error",
        "rotation-unclear": "warning",
        "mask-coloured": "error",
        "mask-levels": "error",
        "mask-unclear": "error",
        "mask-not-binary": "warning",
        "masks-inverted": "error",
        "mask-looks-inverted": "warning",
        "mask-empty": "error",
        "mask-empty-unlabelled": "note",
        "mask-full": "warning",
        "mask-on-authentic": "error",
        "duplicate-images": "warning",
        "contradicting-duplicates": "error",
        "near-duplicates": "error",
        "group-leakage": "error",
        "donor-leakage": "warning",
        "class-shortcut": "warning",
    }
)


@dataclass(frozen=True)
class Finding:
    """One kind of defect, with everything it was found in.

    Attributes:
        id: A key of `SEVERITY_OF`.
        files: The files it concerns, relative to the data set's folder, sorted.
        message: One sentence: what is wrong; what to do.
        details: What a program may want to know, JSON-able.
        repair: What `--fix` can do about it without losing anything, or None.
    """

    id: str
    files: tuple[str, ...]
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    repair: Repair | None = None

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return SEVERITY_OF[self.id]

    def to_record(self) -> dict[str, Any]:
        """As it stands in the JSON report."""
        return {
            "id": self.id,
            "severity": self.severity,
            "count": len(self.files),
            "message": self.message,
            "fixable": self.repair is not None,
            "files": list(self.files),
            "details": dict(self.details),
        }


def finding(
    id_: str,
    files: Sequence[str],
    message: str,
    details: Mapping[str, Any] | None = None,
    repair: Repair | None = None,
) -> list[Finding]:
    """A finding about some files, or none where there are no such files: `{files}` in the message counts them.

    Example:
        >>> [found] = finding("missing-mask", ["b.png", "a.png"], "{files} without a mask; add them")
        >>> found.message, found.files, finding("missing-mask", [], "{files}")
        ('2 files without a mask; add them', ('a.png', 'b.png'), [])
    """
    if not files:
        return []
    names = tuple(sorted(set(files)))
    return [Finding(id_, names, message.replace("{files}", count_of(len(names), "file")), details or {}, repair)]


def count_of(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> count_of(1, "mask"), count_of(3, "mask")
        ('1 mask', '3 masks')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True)
class Report:
    """All findings of one data set, the worst first.

    Attributes:
        folder: The data set.
        images: How many images it lists.
        masks: How many masks it lists.
        seconds: How long the check took.
        findings: What was found; empty for a sound data set.
    """

    folder: Path
    images: int
    masks: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Whether anything was found that must be put right."""
        return any(found.severity == "error" for found in self.findings)

    def to_json(self) -> str:
        """The report for a program, with every file named."""
        counts = Counter(found.severity for found in self.findings)
        record = {
            "folder": str(self.folder),
            "images": self.images,
            "masks": self.masks,
            "seconds": round(self.seconds, 2),
            "counts": {severity: counts[severity] for severity in SEVERITIES},
            "findings": [found.to_record() for found in self.findings],
        }
        return json.dumps(record, ensure_ascii=False, indent=2) + "\n"

    def to_text(self) -> str:
        """The report for a person: a line a finding, and the first of its files."""
        head = f"{self.folder}: {count_of(self.images, 'image')}, {count_of(self.masks, 'mask')}, {self.seconds:.1f} s"
        if not self.findings:
            return f"{head}\nnothing found"
        width = max(len(found.id) for found in self.findings)
        lines = [head]
        for found in self.findings:
            lines.append(f"{found.severity:<7}  {found.id:<{width}}  {len(found.files):>6}  {found.message}")
            shown = ", ".join(found.files[:3]) + (", …" if len(found.files) > 3 else "")
            lines.append(f"{'':<7}  {'':<{width}}  {'':>6}  {shown}")
        counts = Counter(found.severity for found in self.findings)
        lines.append(", ".join(count_of(counts[severity], severity) for severity in SEVERITIES))
        return "\n".join(lines)
