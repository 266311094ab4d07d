"""The task of face classifiers: real or fake, learnt from labelled faces or from self-blended ones."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForImageClassification, PreTrainedModel

from ..data import Face, SelfBlendedFaces
from ..data.face_samples import FaceAugmentation, LabelledFaces, video_key
from ..data.schema import read_metadata
from ..files import write_atomically
from ..image_processing import FaceImageProcessor
from ..metrics import DetectionAccumulator
from ..processes import map_over_processes
from .pictures import Picture, Split, find_pictures, load_manifest
from .pretrained import encoder_folder
from .recipe import RECIPES, Recipe
from .sources import ENDLESS, Sources
from .task import SampleSource

#: The real faces that shipped weights learn from: photo by sha256, box in its pixels.
FACES = RECIPES / "faces.jsonl"
VALIDATION_BATCH = 32


@dataclass(frozen=True)
class FaceOptions:
    """A recipe's `options`.

    Args:
        samples: `"labelled"` faces of a folder with a metadata.jsonl that has splits, or `"self-blended"` ones of the
            listed faces (`FACES`) in the pictures of the recipe's manifest.
        mixup: alpha of the Beta distribution from which every batch draws how it is mixed; 0 mixes nothing.
        oversample: Of labelled faces, see `LabelledFaces`.
        augmentation: Of labelled faces: probabilities of `FaceAugmentation`.
    """

    samples: Literal["labelled", "self-blended"] = "labelled"
    mixup: float = 0.5
    oversample: int | Literal["auto"] = "auto"
    augmentation: dict[str, float] = field(default_factory=dict)


class FaceClassificationTask:
    """Trains an image classifier of faces.

    Args:
        recipe: Names the method, its shape, what it starts from, and the `FaceOptions`.

    Raises:
        ValueError: If the recipe has other options.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.processor = FaceImageProcessor(**recipe.processor)
        try:
            self.options = FaceOptions(**recipe.options)
            self.augmentation = FaceAugmentation(**self.options.augmentation)
        except TypeError as error:
            raise ValueError(f"recipe: options of a face classifier: {error}") from error
        if self.options.samples not in ("labelled", "self-blended"):
            raise ValueError(f"recipe: samples must be 'labelled' or 'self-blended', got {self.options.samples!r}")

    def build_data(self, sources: Sources) -> tuple[SampleSource, SampleSource]:
        """Samples of the split `train`, augmented and without end, and those of `validation` as they are."""
        if self.options.samples == "self-blended":
            return self._self_blended(sources.only_pictures("face_classification with self-blended faces"))
        if len(sources.data) != 1 or sources.pictures:
            raise ValueError("labelled faces come from one folder with a metadata.jsonl: name it with --data")
        folder = Path(sources.data[0].path)
        rows = read_metadata(folder)
        train, validation = ([row for row in rows if row.split == split] for split in ("train", "validation"))
        return (
            self.labelled(folder, train),
            self.shown(folder, validation),
        )

    def labelled(self, folder: Path, rows: Sequence[Any]) -> LabelledFaces:
        """The endless series of training samples made of labelled faces."""
        recipe = self.recipe
        return LabelledFaces(
            folder,
            rows,
            recipe.crop_size,
            recipe.seed,
            self.options.oversample,
            self.augmentation,
            self.processor.cut_middle,
        )

    def shown(self, folder: Path, rows: Sequence[Any]) -> LabelledFaces:
        """Labelled faces as they are, to be judged."""
        return LabelledFaces(folder, rows, self.recipe.crop_size, cut_middle=self.processor.cut_middle)

    def _self_blended(self, folders: Sequence[Path]) -> tuple[SampleSource, SampleSource]:
        recipe = self.recipe
        if recipe.pictures is None:
            raise ValueError("recipe: self-blended faces need `pictures`, the manifest of what may be used")
        return (
            SelfBlendedFaces(listed_faces(folders, recipe.pictures, "train"), recipe.crop_size, recipe.seed, ENDLESS),
            SelfBlendedFaces(
                listed_faces(folders, recipe.pictures, "validation"),
                recipe.crop_size,
                recipe.seed + 1,
                recipe.validation_samples,
            ),
        )

    def build_model(self) -> PreTrainedModel:
        """The method and shape, freshly initialised but for pre-trained blocks."""
        recipe = self.recipe
        model = AutoModelForImageClassification.from_config(recipe.build_config())
        if recipe.encoder_weights is not None:
            with TemporaryDirectory() as scratch:
                model.load_encoder_weights(encoder_folder(recipe.encoder_weights, Path(scratch)))
        return model

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """`image` (H, W, 3) uint8 and `label` 0 or 1 to `pixel_values` and `labels`, which are soft after mixup."""
        batch = self.processor([sample["image"] for sample in samples], return_tensors="pt")
        pixels = batch["pixel_values"]
        labels = torch.tensor([int(sample["label"]) for sample in samples])
        if self.options.mixup:
            # From the first sample's own index: the same batch is mixed alike in any worker and after any interruption.
            rng = np.random.default_rng([self.recipe.seed, 2, int(samples[0]["index"])])
            pixels, labels = mixup(pixels, labels, float(rng.beta(self.options.mixup, self.options.mixup)))
        return {"pixel_values": pixels.contiguous(memory_format=torch.channels_last), "labels": labels}

    def loss(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The method's own."""
        output = model(**batch)
        return output.loss, output.loss_terms

    def validate(self, model: PreTrainedModel, data: SampleSource, folder: Path | None) -> dict[str, float]:
        """AUC, accuracy and log loss of frames, and AUC of videos where frames name theirs."""
        scores = self.predict(model, data)
        metric = DetectionAccumulator()
        for row in scores:
            metric.update(row["score"], row["label"], group=row["video"])
        if folder is not None:
            lines = "".join(json.dumps(row) + "\n" for row in scores)
            write_atomically(folder / "validation.jsonl", lines.encode())
        result = metric.compute()
        wanted = ("image_auc", "video_auc", "image_acc", "image_log_loss")
        return {name: float(result[name]) for name in wanted if result[name] is not None}

    def predict(self, model: PreTrainedModel, data: SampleSource) -> list[dict[str, Any]]:
        """`score`, `label` and `video` (None for self-blended faces) of every sample of the validation data."""
        count = min(self.recipe.validation_samples, len(data))

        def predict_batch(number: int) -> list[dict[str, Any]]:
            start = number * VALIDATION_BATCH
            samples = [data[index] for index in range(start, min(count, start + VALIDATION_BATCH))]
            batch = self.processor([sample["image"] for sample in samples], return_tensors="pt")
            logits = model(pixel_values=batch["pixel_values"].to(model.device)).logits
            rows = []
            for sample, score in zip(samples, logits.float().softmax(-1)[:, 1].tolist(), strict=True):
                video = video_key(sample["row"]) if "row" in sample else None
                rows.append({"score": score, "label": int(sample["label"]), "video": video})
            return rows

        batches = map_over_processes(predict_batch, math.ceil(count / VALIDATION_BATCH))
        return [row for batch in batches for row in batch]

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """The weights and the processor that belongs to them."""
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def mixup(pixels: Tensor, labels: Tensor, share: float, classes: int = 2) -> tuple[Tensor, Tensor]:
    """Every picture mixed with its neighbour in the batch, and their labels alike (Zhang et al., 2018).

    Args:
        pixels: `(B, 3, H, W)`.
        labels: `(B,)` integers.
        share: lambda, of the picture itself.
        classes: How many there are.

    Returns:
        Pixels, and labels `(B, classes)` that sum to 1.

    Example:
        >>> mixup(torch.zeros(2, 3, 1, 1), torch.tensor([0, 1]), 0.75)[1].tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    soft = torch.nn.functional.one_hot(labels, classes).float()
    return share * pixels + (1 - share) * pixels.roll(1, 0), share * soft + (1 - share) * soft.roll(1, 0)


def pictures_with_faces(manifest: str | Path) -> list[Picture]:
    """The manifest's pictures that show a face of `FACES`: all that training on listed faces sees."""
    shown = {row["sha256"] for row in _listed()}
    return [picture for picture in load_manifest(manifest) if picture.sha256 in shown]


def _listed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FACES.read_text(encoding="utf-8").splitlines()]


def listed_faces(folders: Sequence[Path], manifest: str | Path, split: Split) -> list[Face]:
    """The faces of `FACES` in the photos of one split that lie in the folders.

    Raises:
        PictureNotAllowedError: If a folder holds a picture that is not in the manifest.
        FileNotFoundError: If a folder does not exist.
        ValueError: If no photo with a listed face is there.
    """
    paths = {
        picture.sha256: path for picture, path in find_pictures(folders, load_manifest(manifest), split).paths.items()
    }
    faces = []
    for row in _listed():
        if row["sha256"] in paths:
            left, top, right, bottom = map(float, row["box"])
            faces.append(Face(paths[row["sha256"]], box=(left, top, right, bottom)))
    if not faces:
        raise ValueError(
            f"{', '.join(map(str, folders))}: none of the photos with listed faces for {split}; "
            "training_scripts/gather_photos.py gets them"
        )
    return faces
