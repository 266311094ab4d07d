"""Small labelled maps, and one call from images to a result, for all tests of metrics."""

import warnings

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ifl_hub.metrics import DetectionAccumulator, LocalizationAccumulator, get_definition

LEVELS = st.sampled_from([0, 1, 51, 64, 127, 128, 200, 254, 255])


@st.composite
def labelled_maps(draw):
    """An 8-bit map and its labels: any, all authentic, all forged, or partly left out."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    values = draw(st.sampled_from([(0, 1), (0, 1), (0,), (1,), (0, 1, 255)]))
    labels = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from(values)))
    return draw(hnp.arrays(np.uint8, shape, elements=LEVELS)), labels


def accumulate(images, **choices):
    metric = LocalizationAccumulator(get_definition(**choices))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "a reference holds 255")
        for prediction, labels in images:
            metric.update(prediction, labels)
    return metric


def compute(images, average=None, authentic=None, polarity=None, **choices):
    return accumulate(images, **choices).compute(average, authentic, polarity)


def blocks(n, seed=0, side=24):
    """Spread-out maps of float32 that find a block more or less; every second image is authentic."""
    rng = np.random.default_rng(seed)
    for index in range(n):
        mask = np.zeros((side, side), np.uint8)
        if index % 2 == 0:
            mask[2 : side // 2, 3 : side // 2 + index] = 1
        yield (1 / (1 + np.exp(-rng.normal(-1, 2, mask.shape) - 2.0 * mask))).astype(np.float32), mask


def detect(scores, labels, groups=None, **choices):
    metric = DetectionAccumulator(get_definition(**choices))
    for score, label, group in zip(scores, labels, groups or [None] * len(scores), strict=True):
        metric.update(score, label, group)
    return metric.compute()
