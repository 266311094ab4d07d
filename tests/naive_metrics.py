"""Every definition once more, slowly and apart from the package: loops over pixels, pairs and thresholds."""

import math
from fractions import Fraction

import numpy as np


def confusion(flagged, mask):
    cells = {(f, m): 0 for f in (False, True) for m in (False, True)}
    for f, m in zip(np.ravel(flagged).tolist(), np.ravel(mask).tolist(), strict=True):
        cells[bool(f), bool(m)] += 1
    return cells[True, True], cells[True, False], cells[False, True], cells[False, False]  # TP FP FN TN


def f1(flagged, mask):
    tp, fp, fn, _ = confusion(flagged, mask)
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def f1_with_epsilon(flagged, mask, epsilon):
    tp, fp, fn, _ = confusion(flagged, mask)
    precision, recall = tp / (tp + fp + epsilon), tp / (tp + fn + epsilon)
    return 2 * precision * recall / (precision + recall + epsilon)


def precision(flagged, mask):
    tp, fp, _, _ = confusion(flagged, mask)
    return tp / (tp + fp) if tp else 0.0


def recall(flagged, mask):
    tp, _, fn, _ = confusion(flagged, mask)
    return tp / (tp + fn) if tp else 0.0


def iou(flagged, mask):
    flagged, mask = np.asarray(flagged, bool), np.asarray(mask, bool)
    union = (flagged | mask).sum()
    return (flagged & mask).sum() / union if union else 0.0


def mean_iou(flagged, mask):
    flagged, mask = np.asarray(flagged, bool), np.asarray(mask, bool)
    return (iou(flagged, mask) + iou(~flagged, ~mask)) / 2


def correlation(flagged, mask):
    """Pearson's correlation of the two 0/1 maps, 0 where all is flagged alike."""
    if np.ptp(np.asarray(flagged, int)) == 0:
        return 0.0
    return np.corrcoef(np.ravel(flagged), np.ravel(mask))[0, 1]


def auc(scores, mask):
    """The share of (forged, authentic) pairs in the right order, a tie counting one half; None if there is no pair."""
    scores, mask = np.ravel(scores), np.ravel(mask).astype(bool)
    pairs = [(f, a) for f in scores[mask] for a in scores[~mask]]
    return sum((f > a) + 0.5 * (f == a) for f, a in pairs) / len(pairs) if pairs else None


def average_precision(scores, mask):
    scores, mask = np.ravel(scores), np.ravel(mask).astype(bool)
    if mask.all() or not mask.any():
        return None
    total, before = 0.0, 0.0
    for cut in sorted(set(scores.tolist()), reverse=True):
        now = recall(scores >= cut, mask)
        total += (now - before) * precision(scores >= cut, mask)
        before = now
    return total


def cuts(scores):
    """A threshold (for `>`) below all scores, and every score."""
    return [-1.0, *sorted(set(np.ravel(scores).tolist()))]


def rates(scores, labels):
    """False-alarm and miss rate at every cut, strictest first."""
    points = []
    for cut in reversed(cuts(scores)):
        tp, fp, fn, tn = confusion(np.asarray(scores) > cut, labels)
        points.append((fp / (fp + tn), fn / (fn + tp)))
    return points


def eer(scores, labels):
    """Where the interpolated curves cross: the false-alarm rate as a function of its lead over the miss rate, at 0."""
    false_alarm, miss = map(np.array, zip(*rates(scores, labels), strict=True))
    return float(np.interp(0, false_alarm - miss, false_alarm))


def nearest_eer(scores, labels):
    """The false-alarm rate where it is closest to the miss rate, the strictest cut among equals."""
    points = []
    for cut in reversed(cuts(scores)):
        tp, fp, fn, tn = map(int, confusion(np.asarray(scores) > cut, labels))
        points.append((Fraction(fp, fp + tn), Fraction(fn, fn + tp)))
    return float(min(points, key=lambda point: abs(point[0] - point[1]))[0])


def log_loss(scores, labels):
    terms = [-math.log(s if label else 1 - s) for s, label in zip(scores, labels, strict=True)]
    return sum(terms) / len(terms)


def band(mask, erode=15, dilate=11):
    """What is left beside a band: forged pixels whose window is all forged, authentic ones whose window is all not."""
    mask = np.asarray(mask, bool)
    kept = np.zeros(mask.shape, bool)
    for y, x in np.ndindex(*mask.shape):
        reach = (erode if mask[y, x] else dilate) // 2
        window = mask[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        kept[y, x] = window.all() if mask[y, x] else not window.any()
    return kept


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
