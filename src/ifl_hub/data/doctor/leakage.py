"""Does any split know the pictures of another: the same groups, the same donors, the same photo under two names?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from .findings import Finding, count_of, finding
from .reading import THUMBNAIL, Case

_LOW = 8  # frequencies each way that the hash looks at
#: Bits of 63 by which hashes of unrelated photos differ: half, give or take 4. Three deviations below that only selects
#: whom to compare; the comparison decides.
_CANDIDATE_BITS = 20
_BLOCK = 8  # thumbnail pixels each way
#: Two photos are one if a quarter of the blocks that show any structure agree in it: an edit may take the rest.
#: Of 3 573 candidates among unrelated photos of CASIA v1, none agrees in more than one block of sixteen.
_MIN_AGREEMENT, _MIN_BLOCKS, _MIN_CORRELATION, _MIN_STRUCTURE = 0.25, 3, 0.9, 2.0
_ROWS_AT_ONCE = 1024


def check_leakage(cases: Sequence[Case]) -> list[Finding]:
    """All findings about pictures, or what they are made of, that occur more than once."""
    return [*_groups(cases), *_donors(cases), *_copies(cases), *_near_duplicates(cases)]


def _groups(cases: Sequence[Case]) -> list[Finding]:
    splits, files = defaultdict(set), defaultdict(list)
    for case in cases:
        if case.item.split is not None:
            splits[case.item.group].add(case.item.split)
            files[case.item.group].append(case.item.image)
    crossing = {group: sorted(found) for group, found in splits.items() if len(found) > 1}
    return finding(
        "group-leakage",
        [name for group in crossing for name in files[group]],
        f"{{files}} of {count_of(len(crossing), 'group')} that lie in more than one split; split anew by group with "
        "`ifl-hub data split`",
        {"groups": crossing},
    )


def _donors(cases: Sequence[Case]) -> list[Finding]:
    """Photos that are pasted from in one split, and pasted from or shown whole in another."""
    pasted: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    hosts = defaultdict(set)
    for case in cases:
        if case.item.split is not None:
            hosts[case.item.group].add(case.item.split)
            for donor in case.item.donors:
                pasted[donor][case.item.split].append(case.item.image)
    seen = {donor: set(found) | hosts[donor] for donor, found in pasted.items()}
    crossing = {donor: sorted(found) for donor, found in seen.items() if len(found) > 1}
    as_donors = sum(len(pasted[donor]) > 1 for donor in crossing)
    return finding(
        "donor-leakage",
        [name for donor in crossing for names in pasted[donor].values() for name in names],
        f"{{files}} with parts of {count_of(len(crossing), 'photo')} that another split holds too ({as_donors} as "
        "donor again, the others as host); a score on them flatters, so say so, or split so that donors do not recur",
        {"donors": crossing, "donors_in_several_splits": as_donors},
    )


def _copies(cases: Sequence[Case]) -> list[Finding]:
    """Files with the same bytes, within a split or where there are no splits."""
    by_content: dict[str, dict[str, Case]] = defaultdict(dict)
    for case in cases:
        if case.image is not None:
            by_content[case.image.sha256][case.item.image] = case
    plain, contradicting = [], []
    for copies in by_content.values():
        splits = {case.item.split for case in copies.values()}
        labels = {case.label for case in copies.values()}
        if len(copies) > 1 and len(labels - {None}) > 1:
            contradicting += list(copies)
        elif len(copies) > 1 and len(splits) == 1:
            plain += list(copies)
    return [
        *finding("duplicate-images", plain, "{files} that are copies of each other, byte for byte; keep one of each"),
        *finding(
            "contradicting-duplicates",
            contradicting,
            "{files} that are the same byte for byte and labelled both forged and authentic; find out which is right",
        ),
    ]


def _near_duplicates(cases: Sequence[Case]) -> list[Finding]:
    """The same photo in two splits, re-saved, resized or edited in parts, that no common group gives away."""
    placed = {case.item.image: case for case in cases if case.image is not None and case.item.split is not None}
    pairs = sorted(sorted(pair) for pair in _same_photo(list(placed.values())))
    return finding(
        "near-duplicates",
        [name for pair in pairs for name in pair],
        f"{{files}} in {count_of(len(pairs), 'pair')} that show the same photo in two splits; give each pair one group "
        "and split anew with `ifl-hub data split`",
        {"pairs": pairs},
    )


def _same_photo(cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    if not cases:
        return
    thumbnails = np.stack([case.image.thumbnail for case in cases if case.image is not None])
    hashes, (structure, strength) = photo_hashes(thumbnails), _block_structure(thumbnails)
    members = defaultdict(list)
    for index, case in enumerate(cases):
        members[case.item.split].append(index)
    for first, second in combinations(members.values(), 2):
        columns = np.asarray(second)
        for start in range(0, len(first), _ROWS_AT_ONCE):
            rows = np.asarray(first[start : start + _ROWS_AT_ONCE])
            distance = np.bitwise_count(hashes[rows, None] ^ hashes[None, columns])
            for row, column in zip(*np.nonzero(distance <= _CANDIDATE_BITS), strict=True):
                a, b = rows[row], columns[column]
                if cases[a].item.group != cases[b].item.group and _agree(structure, strength, a, b):
                    yield cases[a].item.image, cases[b].item.image


def photo_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """One 63-bit perceptual hash a thumbnail: which of its low cosine frequencies are above their median.

    Args:
        thumbnails: (N, 32, 32) uint8, grey.

    Returns:
        (N,) uint64; similar pictures differ in few bits.
    """
    frequency, place = np.arange(_LOW)[:, None], np.arange(THUMBNAIL)[None]
    cosine = np.cos(np.pi * frequency * (2 * place + 1) / (2 * THUMBNAIL)).astype(np.float32)
    spectrum = (cosine @ thumbnails.astype(np.float32) @ cosine.T).reshape(len(thumbnails), -1)[:, 1:]
    above = spectrum > np.median(spectrum, axis=1, keepdims=True)
    bits: np.ndarray = above @ (np.uint64(1) << np.arange(above.shape[1], dtype=np.uint64))
    return bits


def _block_structure(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each block of a thumbnail shows beyond a plane, which skies and vignettes share.

    Returns:
        (N, 16, 64) float32 of unit length, and (N, 16) float32, its standard deviation in grey levels.
    """
    across = THUMBNAIL // _BLOCK
    blocks = thumbnails.reshape(-1, across, _BLOCK, across, _BLOCK).transpose(0, 1, 3, 2, 4)
    flat = blocks.reshape(len(thumbnails), across**2, _BLOCK**2).astype(np.float32)
    ramp = np.arange(_BLOCK, dtype=np.float32) - (_BLOCK - 1) / 2
    ones = np.ones(_BLOCK, np.float32)
    plane = np.stack([np.outer(ones, ones), np.outer(ramp, ones), np.outer(ones, ramp)]).reshape(3, -1)
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    rest = flat - flat @ plane.T @ plane
    length = np.linalg.norm(rest, axis=2, keepdims=True)
    return rest / np.maximum(length, 1e-6), length[..., 0] / _BLOCK


def _agree(structure: np.ndarray, strength: np.ndarray, a: int, b: int) -> bool:
    shown = np.minimum(strength[a], strength[b]) > _MIN_STRUCTURE
    alike = shown & ((structure[a] * structure[b]).sum(axis=1) > _MIN_CORRELATION)
    return bool(alike.sum() >= max(_MIN_BLOCKS, _MIN_AGREEMENT * shown.sum()))
