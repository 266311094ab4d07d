"""Copy-move by keypoints: the same detail twice in one picture, found with SIFT and confirmed pixel by pixel.

The classical three steps. Keypoints whose descriptors agree far better than chance are paired; pairs that share one
similarity transform (RANSAC) are a suspected copy; the copy is then grown from its keypoints to every pixel around them
that correlates with its counterpart. Source and target look alike, so both are marked.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MAX_SIDE = 1600  # pixels; larger pictures are searched at this size
_MAX_KEYPOINTS = 6000
_MIN_SHIFT = 16.0  # pixels between a detail and its copy; nearer ones are its own surroundings
_RATIO = 0.6  # the best match must be this much nearer than the next, which an unrelated one is not
_TOLERANCE = 2.0  # pixels by which a keypoint may miss the transform's prediction
_MIN_PAIRS = 6
_MAX_COPIES = 8
_SCALES = (0.4, 2.5)
_WINDOW = 11  # side in pixels of the window that is correlated
_MIN_CORRELATION = 0.6
_FLAT = 1.5  # grey levels: below this deviation a window shows nothing that could correlate


@dataclass(frozen=True)
class _Pairs:
    """Matched positions `(n, 2)` float32 of (x, y), each pair in both directions."""

    sources: NDArray[np.float32]
    targets: NDArray[np.float32]

    def without(self, used: NDArray[np.bool_]) -> "_Pairs":
        return _Pairs(self.sources[~used], self.targets[~used])


def copy_move_keypoints(image: Image.Image) -> NDArray[np.float32]:
    """Marks regions that occur twice in the image, moved, turned or scaled.

    Args:
        image: Any mode; its luma is searched.

    Returns:
        `(H, W)` float32 in [0, 1]: how well a pixel's surroundings correlate with their copy where one was confirmed
        (always above 0.5), 0 elsewhere. Source and target are both marked.

    Raises:
        ImportError: Without OpenCV, which the `data` extra brings.

    Example:
        >>> from PIL import Image
        >>> float(copy_move_keypoints(Image.new("RGB", (64, 48), "grey")).max())
        0.0
    """
    import cv2

    grey = np.asarray(image.convert("RGB").convert("L"))
    scale = min(1.0, _MAX_SIDE / max(grey.shape))
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pairs = _match(grey)
    heat = np.zeros(grey.shape, np.float32)
    for _ in range(_MAX_COPIES):
        transform, inliers = _common_transform(pairs)
        if transform is None:
            break
        heat = np.maximum(heat, _grow(grey, transform, pairs.sources[inliers]))
        backward = cv2.invertAffineTransform(transform)
        pairs = pairs.without(_follows(pairs, transform) | _follows(pairs, backward))
    if scale < 1:
        heat = cv2.resize(heat, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
    return heat


def _match(grey: NDArray[np.uint8]) -> _Pairs:
    """Pairs of keypoints at different places with descriptors that only each other comes close to."""
    import cv2

    nothing = np.zeros((0, 2), np.float32)
    # A low contrast threshold: copies lie in smooth regions too, and false pairs do not survive the common transform.
    keypoints, descriptors = cv2.SIFT.create(_MAX_KEYPOINTS, contrastThreshold=0.01).detectAndCompute(grey, None)
    if len(keypoints) < 2 * _MIN_PAIRS:
        return _Pairs(nothing, nothing)
    places = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    roots = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1))  # Hellinger kernel: "RootSIFT"
    sources: list[int] = []
    targets: list[int] = []
    for start in range(0, len(roots), 1000):  # in blocks, so that memory stays at 1000 rows of similarities
        rows = slice(start, start + 1000)
        distances = np.sqrt(np.clip(2 - 2 * roots[rows] @ roots.T, 0, None))
        near = np.linalg.norm(places[rows, None] - places[None], axis=2) < _MIN_SHIFT
        distances[near] = np.inf
        two = np.argpartition(distances, 1, axis=1)[:, :2]
        best, next_best = np.take_along_axis(distances, two, axis=1).T
        good = np.isfinite(best) & (best < _RATIO * next_best)
        sources += (np.flatnonzero(good) + start).tolist()
        targets += two[good, 0].tolist()
    return _Pairs(
        np.concatenate([places[sources], places[targets]]), np.concatenate([places[targets], places[sources]])
    )


def _common_transform(pairs: _Pairs) -> tuple[Any, NDArray[np.bool_]]:
    """The similarity transform `(2, 3)` that most pairs follow, and which do; None if too few agree on a sane one."""
    import cv2

    nobody = np.zeros(len(pairs.sources), np.bool_)
    if len(pairs.sources) < 2 * _MIN_PAIRS:
        return None, nobody
    cv2.setRNGSeed(0)
    transform, _ = cv2.estimateAffinePartial2D(
        pairs.sources, pairs.targets, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE, maxIters=5000
    )
    if transform is None or not _SCALES[0] <= float(np.hypot(*transform[:, 0])) <= _SCALES[1]:
        return None, nobody
    inliers = _follows(pairs, transform)
    distinct = np.unique(np.rint(pairs.sources[inliers]), axis=0)
    return (transform, inliers) if len(distinct) >= _MIN_PAIRS else (None, nobody)


def _follows(pairs: _Pairs, transform: NDArray[np.float64]) -> NDArray[np.bool_]:
    predicted = pairs.sources @ transform[:, :2].T + transform[:, 2]
    return np.linalg.norm(predicted - pairs.targets, axis=1) <= 2 * _TOLERANCE


def _grow(grey: NDArray[np.uint8], transform: NDArray[np.float64], seeds: NDArray[np.float32]) -> NDArray[np.float32]:
    """From the keypoints of a suspected copy to its pixels, at the source and at the target."""
    import cv2

    height, width = grey.shape
    options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP}
    # At a pixel p of the source: the picture at transform(p), its counterpart.
    counterpart = cv2.warpAffine(grey, transform, (width, height), borderMode=cv2.BORDER_REFLECT, **options)
    exists = cv2.warpAffine(np.ones_like(grey), transform, (width, height), **options)
    correlation = np.where(exists > 0, _correlation(grey, counterpart), 0).astype(np.float32)
    alike = (correlation > _MIN_CORRELATION).astype(np.uint8)
    alike = cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, labels = cv2.connectedComponents(alike)
    columns, rows = np.rint(seeds).astype(int).T
    labels_of_seeds = labels[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    counts = np.bincount(labels_of_seeds, minlength=labels.max() + 1)
    counts[0] = 0
    region = (counts >= 3)[labels].astype(np.uint8)  # one keypoint may be luck
    closed = cv2.morphologyEx(region, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)))
    source = np.where(closed > 0, np.maximum(correlation, _MIN_CORRELATION), 0).astype(np.float32)
    target = cv2.warpAffine(source, transform, (width, height), flags=cv2.INTER_LINEAR)
    return np.clip(np.maximum(source, target), 0, 1)


def _correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalised cross-correlation of two pictures in a window around each pixel; 0 where either is flat."""
    import cv2

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.blur(values, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)

    a, b = first.astype(np.float32), second.astype(np.float32)
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    product = np.sqrt(np.maximum(variance_a, _FLAT**2) * np.maximum(variance_b, _FLAT**2))
    return ((mean(a * b) - mean_a * mean_b) / product).astype(np.float32)
