"""Real forgeries with their masks: which rows train and which validate, and how often each is drawn."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.augmentation import Augmentation, AugmentedSamples, label_map_of
from ..data.datasets import load_forgery_dataset
from ..data.schema import SPLITS, DataFormatError, Split
from ..image_processing.loading import load_image
from .mixing import MixedSamples
from .recipe import Recipe
from .task import SampleSource

if TYPE_CHECKING:
    from datasets import Dataset

HELD_OUT = 0.15  # share of the groups that validates where a data set does not say
LARGEST_VALIDATION = 1024  # pixels each way; of larger pictures a window validates
_TEXT = re.compile(r"(?P<path>.+?)(:(?P<split>train|validation|test))?(=(?P<weight>[0-9.]+))?")


@dataclass(frozen=True)
class LabelledData:
    """A data set of forgeries that a run is given.

    Args:
        path: What `load_forgery_dataset` takes: a folder, a list, or the name of a data set on the Hub.
        split: Use the rows of this split alone, and hold some of their groups out for validation. None: the data set's
            own splits `train` and `validation` where it has them; never its split `test`.
        weight: How often samples come from it, relative to the run's other data sets; None counts its pictures.

    Example:
        >>> LabelledData.parse("forgeries/casia1:train=2")
        LabelledData(path='forgeries/casia1', split='train', weight=2.0)
    """

    path: str
    split: Split | None = None
    weight: float | None = None

    @classmethod
    def parse(cls, text: str) -> "LabelledData":
        """Read `PATH`, `PATH:SPLIT`, `PATH=WEIGHT` or `PATH:SPLIT=WEIGHT`.

        Raises:
            ValueError: If the weight is not above 0.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"--data {text!r}: write PATH, PATH:SPLIT or PATH:SPLIT=WEIGHT")
        weight = float(match["weight"]) if match["weight"] else None
        if weight is not None and not weight > 0:
            raise ValueError(f"--data {text}: the weight must be above 0")
        split: Any = match["split"]
        return cls(match["path"], split, weight)

    @cached_property
    def rows(self) -> "tuple[Dataset, Dataset]":
        """The rows to train on, and those to validate with; no group is in both. Read once.

        Raises:
            DataFormatError: If the data cannot be read, or cannot be divided, or none of them may be trained on.
        """
        if self.split is None:
            parts = {split: _rows_of_split(self.path, split) for split in SPLITS}
            train, validation = parts["train"], parts["validation"]
            if train is not None and validation is not None:
                return train, validation
            if train is None and (others := [split for split, part in parts.items() if part is not None]):
                own_choice = f", or learn from --data {self.path}:validation" if validation is not None else ""
                raise DataFormatError(
                    f"{self.path}: it has rows of {' and '.join(others)}, but none to train on; divide it anew with "
                    f"`ifl-hub data split {self.path}`{own_choice}"
                )
            rows = train or load_forgery_dataset(self.path)
        else:
            rows = load_forgery_dataset(self.path, self.split)
        held_out = _held_out(set(rows["group"]))
        if not held_out:
            raise DataFormatError(
                f"{self.path}: all pictures are of one group, so none can be held out for validation; add pictures of "
                "others, or say in metadata.jsonl which group each belongs to"
            )
        validates = np.isin(rows["group"], held_out)
        return rows.select(np.flatnonzero(~validates)), rows.select(np.flatnonzero(validates))


def labelled_training_samples(parts: Sequence[tuple["Dataset", float | None]], recipe: Recipe) -> SampleSource:
    """Augmented crops of real forgeries, without end.

    Args:
        parts: Rows of each data set and its weight.
        recipe: Its crop size, augmentation, seed, and the share of authentic pictures.
    """
    augmentation = Augmentation(recipe.crop_size, **recipe.augmentation)
    streams: list[SampleSource] = []
    weights: list[float] = []
    for rows, weight in parts:
        labels = np.array(rows["label"])
        for label, share in _shares(labels, recipe.authentic_share).items():
            chosen = rows.select(np.flatnonzero(labels == label))
            streams.append(AugmentedSamples(chosen, augmentation, _seed_of(recipe.seed, len(streams))))
            weights.append(share * (len(rows) if weight is None else weight))
    return MixedSamples(streams, weights, recipe.seed)


class WholePictures:
    """Labelled pictures as they are, in an order that mixes data sets and labels; the largest by a window.

    Args:
        rows: As `load_forgery_dataset` returns them.
        seed: Of the order.
    """

    def __init__(self, rows: "Dataset", seed: int) -> None:
        self.rows = rows
        self.order = np.random.default_rng([seed, 3]).permutation(len(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`image` (H, W, 3) uint8, and `mask` (H, W) uint8: 0 authentic, 1 forged, 255 ignored."""
        number = int(self.order[index])
        row: Mapping[str, Any] = self.rows[number]
        image = load_image(row["image"]).pixels
        labels = label_map_of(row, image.shape[:2], number)
        if max(image.shape) > LARGEST_VALIDATION:
            sides = (min(LARGEST_VALIDATION, image.shape[0]), min(LARGEST_VALIDATION, image.shape[1]))
            window = Augmentation(sides, forged_crops=1.0, flip=False, quarter_turns=False)
            image, labels = window(image, labels, np.random.default_rng(number))
        return {"image": image, "mask": labels}


def _rows_of_split(path: str, split: Split) -> "Dataset | None":
    try:
        return load_forgery_dataset(path, split)
    except DataFormatError:
        return None  # loading all of it will say what is wrong, if anything is


def _held_out(groups: Collection[str]) -> list[str]:
    """The groups that validate: those whose names' hashes come first; at least one, but never all."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest())
    return ordered[: max(1, round(HELD_OUT * len(ordered)))] if len(ordered) > 1 else []


def _shares(labels: np.ndarray, authentic_share: float | None) -> dict[str, float]:
    """How much of a data set's samples is of each label."""
    authentic = float((labels == "authentic").mean())
    if authentic_share is not None and 0 < authentic < 1:
        authentic = authentic_share
    shares = {"authentic": authentic, "forged": 1 - authentic}
    return {label: share for label, share in shares.items() if share > 0}


def _seed_of(seed: int, stream: int) -> int:
    return int(np.random.SeedSequence((seed, stream)).generate_state(1)[0])
