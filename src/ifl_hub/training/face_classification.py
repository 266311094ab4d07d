"""The task of face classifiers: real or fake, learnt from labelled faces or from self-blended ones."""

import json
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
from ..image_processing import FaceCropper, FaceImageProcessor
from ..metrics import DetectionAccumulator
from .localization import ENDLESS
from .pictures import find_pictures, load_manifest
from .pretrained import encoder_folder
from .recipe import Recipe
from .task import SampleSource

VALIDATION_BATCH = 32


@dataclass(frozen=True)
class FaceOptions:
    """A recipe's `options`.

    Args:
        samples: `"labelled"` faces of a folder with a metadata.jsonl that has splits, or `"self-blended"` ones of the
            faces that are found in the pictures of the recipe's manifest.
        mixup: alpha of the Beta distribution from which every batch draws how it is mixed; 0 mixes nothing.
        oversample: Of labelled faces, see `LabelledFaces`.
        augmentation: Of labelled faces: probabilities of `FaceAugmentation`.
        smallest_face: Self-blended faces are at least so many pixels wide and high in their photo.
        smallest_score: The detector is at least so sure of them, in its own unit.
    """

    samples: Literal["labelled", "self-blended"] = "labelled"
    mixup: float = 0.5
    oversample: int | Literal["auto"] = "auto"
    augmentation: dict[str, float] = field(default_factory=dict)
    smallest_face: int = 36
    smallest_score: float = 82.0


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

    def build_data(self, folders: Sequence[Path]) -> tuple[SampleSource, SampleSource]:
        """Samples of the split `train`, augmented and without end, and those of `validation` as they are."""
        if self.options.samples == "self-blended":
            return self._self_blended(folders)
        if len(folders) != 1:
            raise ValueError(f"labelled faces come from one folder with a metadata.jsonl, not from {len(folders)}")
        rows = read_metadata(folders[0])
        train, validation = ([row for row in rows if row.split == split] for split in ("train", "validation"))
        return (
            self.labelled(folders[0], train),
            LabelledFaces(folders[0], validation, self.recipe.crop_size),
        )

    def labelled(self, folder: Path, rows: Sequence[Any]) -> LabelledFaces:
        """The endless series of training samples made of labelled faces."""
        recipe = self.recipe
        return LabelledFaces(folder, rows, recipe.crop_size, recipe.seed, self.options.oversample, self.augmentation)

    def _self_blended(self, folders: Sequence[Path]) -> tuple[SampleSource, SampleSource]:
        recipe, options = self.recipe, self.options
        if recipe.pictures is None:
            raise ValueError("recipe: self-blended faces need `pictures`, the manifest of what may be used")
        cropper = FaceCropper(min_score=options.smallest_score)
        manifest = load_manifest(recipe.pictures)
        found = {}
        for split in ("train", "validation"):
            photos = [
                path
                for picture, path in find_pictures(folders, manifest, split).paths.items()
                if picture.role == "photo"
            ]
            found[split] = find_faces(photos, cropper, options.smallest_face)
        return (
            SelfBlendedFaces(found["train"], recipe.crop_size, recipe.seed, ENDLESS),
            SelfBlendedFaces(found["validation"], recipe.crop_size, recipe.seed + 1, recipe.validation_samples),
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
        count = min(self.recipe.validation_samples, len(data))  # type: ignore[arg-type]
        rows: list[dict[str, Any]] = []
        for start in range(0, count, VALIDATION_BATCH):
            samples = [data[index] for index in range(start, min(count, start + VALIDATION_BATCH))]
            batch = self.processor([sample["image"] for sample in samples], return_tensors="pt")
            logits = model(pixel_values=batch["pixel_values"].to(model.device)).logits
            for sample, score in zip(samples, logits.float().softmax(-1)[:, 1].tolist(), strict=True):
                video = video_key(sample["row"]) if "row" in sample else None
                rows.append({"score": score, "label": int(sample["label"]), "video": video})
        return rows

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


def find_faces(photos: Sequence[Path], cropper: FaceCropper, smallest: int) -> list[Face]:
    """The faces of photos that are at least `smallest` pixels wide and high, with their boxes.

    Raises:
        ValueError: If there is none.
    """
    found = [(photo, crop.box) for photo in photos for crop in cropper(photo)]
    faces = [
        Face(photo, box=tuple(map(float, box)))  # type: ignore[arg-type]
        for photo, box in found
        if min(box[2] - box[0], box[3] - box[1]) >= smallest
    ]
    if not faces:
        raise ValueError(f"no face of {smallest} px in {len(photos)} photos; add photos of people")
    return faces
