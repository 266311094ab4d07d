"""How well fake faces are told from real ones, by frame and by video, with intervals that respect videos.

Frames of one video are nearly the same picture, so that a bootstrap over frames would promise far too much: whole
videos are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.schema import ForgeryRow
from ..metrics import DetectionAccumulator
from ..metrics.curves import area_under_roc, rank_scores

DRAWS = 2000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class FaceScore:
    """One frame.

    Args:
        score: P(fake), in [0, 1].
        is_fake: Its label.
        video: (data set, method, video id), as `video_key` gives it.
    """

    score: float
    is_fake: bool
    video: tuple[str, str, str]


def score_faces(frames: Sequence[FaceScore], seed: int = 0) -> dict[str, Any]:
    """Every number of the frames and their videos.

    Args:
        frames: In any order.
        seed: Of the bootstrap.

    Returns:
        The keys of `DetectionAccumulator.compute`; `frames`, `videos`; `intervals`, the 95 % bootstrap intervals over
        videos of `image_auc` and `video_auc` (None where undefined); and `by_method`, the frame AUC of each method's
        fakes against all real frames.

    Example:
        >>> frames = [FaceScore(0.9, True, ("a", "x", "1")), FaceScore(0.2, False, ("a", "none", "2"))]
        >>> score_faces(frames)["image_auc"]
        1.0
    """
    metric = DetectionAccumulator()
    for frame in frames:
        metric.update(frame.score, frame.is_fake, group=frame.video)
    result = metric.compute()
    videos: dict[tuple[str, str, str], list[FaceScore]] = {}
    for frame in frames:
        videos.setdefault(frame.video, []).append(frame)
    methods = sorted({video[1] for video, members in videos.items() if members[0].is_fake})
    return {
        **result,
        "frames": len(frames),
        "videos": len(videos),
        "intervals": bootstrap_intervals(list(videos.values()), seed),
        "by_method": {
            method: auc([frame for frame in frames if not frame.is_fake or frame.video[1] == method])
            for method in methods
        },
    }


def folds_of(rows: Sequence[ForgeryRow], count: int, seed: int = 0) -> list[int]:
    """The fold of each face in a cross-validation: the groups of each kind of face are dealt out in a random order.

    Args:
        rows: Faces; those of one group, whatever their kind, come into one fold.
        count: Of folds.
        seed: Of the order.

    Example:
        >>> faces = [ForgeryRow(f"{n}.png", None, "authentic", "a", "none", str(n // 2)) for n in range(8)]
        >>> sorted(set(zip(folds_of(faces, 2), (face.group for face in faces))))
        [(0, '1'), (0, '2'), (1, '0'), (1, '3')]
    """
    kinds: dict[str, set[str]] = {}
    for row in rows:
        kinds.setdefault(row.forgery_type, set()).add(row.group)
    fold_of_group: dict[str, int] = {}
    for kind in sorted(kinds):
        groups = sorted(kinds[kind] - fold_of_group.keys())
        for place, number in enumerate(np.random.default_rng(seed).permutation(len(groups))):
            fold_of_group[groups[number]] = place % count
    return [fold_of_group[row.group] for row in rows]


def bootstrap_intervals(videos: Sequence[Sequence[FaceScore]], seed: int = 0) -> dict[str, tuple[float, float] | None]:
    """95 % percentile intervals of frame and video AUC; real and fake videos are drawn apart, so both are always there.

    Args:
        videos: Frames of each video.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    classes = [[video for video in videos if video[0].is_fake == fake] for fake in (False, True)]
    if not all(classes):
        return {"image_auc": None, "video_auc": None}
    drawn: dict[str, list[float]] = {"image_auc": [], "video_auc": []}
    for _ in range(DRAWS):
        picked = [members[i] for members in classes for i in rng.integers(len(members), size=len(members))]
        means = [
            FaceScore(float(np.mean([f.score for f in video])), video[0].is_fake, video[0].video) for video in picked
        ]
        for name, rows in (("image_auc", [frame for video in picked for frame in video]), ("video_auc", means)):
            drawn[name].append(float(auc(rows) or 0.0))
    bounds = {name: np.quantile(values, _TAILS).tolist() for name, values in drawn.items()}
    return {name: (low, high) for name, (low, high) in bounds.items()}


def auc(frames: Sequence[FaceScore]) -> float | None:
    """Area under the ROC curve; None with one class only."""
    scores = np.array([frame.score for frame in frames], np.float64)
    ranking = rank_scores(scores, np.array([frame.is_fake for frame in frames], np.bool_))
    return area_under_roc(ranking.forged, ranking.authentic)
