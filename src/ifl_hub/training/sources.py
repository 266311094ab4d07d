"""From what a user names to the samples of a run: some to train on, and others to validate with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import file_sha256
from .labelled import LabelledData, WholePictures, labelled_training_samples
from .mixing import MixedSamples
from .pictures import PicturePool, load_manifest, picture_files, picture_pool
from .recipe import Recipe
from .task import SampleSource

if TYPE_CHECKING:
    from ..data import ForgerySynthesizer
    from ..data.photos import PhotoPool

VALIDATION_SHARE = 0.1
ENDLESS = 1 << 40  # the recipe's steps decide how many samples are drawn


@dataclass(frozen=True)
class Sources:
    """What a run may use.

    Args:
        pictures: Folders of authentic photos and of cut-outs, to make forgeries from.
        data: Data sets of forgeries with their masks.
    """

    pictures: tuple[Path, ...] = ()
    data: tuple[LabelledData, ...] = ()

    def only_pictures(self, task: str) -> tuple[Path, ...]:
        """The folders of photos, for a task that needs no forgeries.

        Raises:
            ValueError: If there are none, or data sets beside them.
        """
        if self.data or not self.pictures:
            raise ValueError(f"task {task} learns from photos: name folders with --pictures, and no --data")
        return self.pictures


def forgery_samples(recipe: Recipe, sources: Sources, validation_size: int) -> tuple[SampleSource, SampleSource]:
    """Training samples without end, and validation samples, for a task that learns from forgeries.

    Real forgeries validate where there are any; synthesized ones otherwise.

    Raises:
        ValueError: As `synthesized_samples` and `labelled_training_samples`, or if nothing is named.
    """
    if not sources.data:
        if not sources.pictures:
            raise ValueError("name what to learn from: --data for forgeries with masks, --pictures for photos")
        return synthesized_samples(recipe, sources.pictures, validation_size)
    from datasets import concatenate_datasets

    parts = [(data.rows, data.weight) for data in sources.data]
    real = labelled_training_samples([(train, weight) for (train, _), weight in parts], recipe)
    validation = WholePictures(concatenate_datasets([held_out for (_, held_out), _ in parts]), recipe.seed)
    if not sources.pictures or recipe.synthesized_share == 0:
        return real, validation
    made, _ = synthesized_samples(recipe, sources.pictures, validation_size)
    shares = [1 - recipe.synthesized_share, recipe.synthesized_share]
    return (MixedSamples([real, made], shares, recipe.seed) if shares[0] else made), validation


def synthesized_samples(
    recipe: Recipe, folders: Sequence[str | Path], validation_size: int
) -> "tuple[ForgerySynthesizer, ForgerySynthesizer]":
    """Forgeries of a recipe's photos and cut-outs: the endless training series, and the validation samples.

    Args:
        recipe: Its pictures, crop size, mixture and seed.
        folders: As in `photo_pools`.
        validation_size: Side of the validation samples in pixels.

    Raises:
        PictureNotAllowedError: As `photo_pools`.
        FileNotFoundError: As `photo_pools`.
        ValueError: As `photo_pools`.
    """
    from ..data import ForgerySynthesizer

    train, validation = photo_pools(folders, recipe.pictures)
    return (
        ForgerySynthesizer(train, recipe.crop_size, recipe.seed, recipe.mixture, length=ENDLESS),
        ForgerySynthesizer(validation, validation_size, recipe.seed + 1, recipe.mixture),
    )


def photo_pools(folders: Sequence[str | Path], manifest: str | Path | None) -> "tuple[PhotoPool, PhotoPool]":
    """The training and the validation pool.

    Args:
        folders: Searched recursively.
        manifest: The pictures that are allowed, with their split (`load_manifest`). Without one every picture is taken:
            PNGs with transparent pixels as cut-outs, all others as photos, a tenth of each, chosen by content, for
            validation.

    Raises:
        PictureNotAllowedError: If a folder holds a picture that is not in the manifest.
        FileNotFoundError: If a folder does not exist.
        ValueError: If one of the two pools has no photo.
    """
    from ..data.photos import Cutout, PhotoPool

    if manifest is not None:
        pictures = load_manifest(manifest)
        train, validation = picture_pool(folders, pictures, "train"), picture_pool(folders, pictures, "validation")
    else:
        train, validation = _split_by_content([path for folder in folders for path in picture_files(folder)])
    for name, pool in {"training": train, "validation": validation}.items():
        if not pool.photos:
            raise ValueError(
                f"{', '.join(map(str, folders))}: no photo for {name}; add photos (20 or more are a start)"
            )

    def pool_of(pictures: PicturePool) -> PhotoPool:
        return PhotoPool(pictures.photos, [Cutout(path, donor) for path, donor in pictures.cutouts])

    return pool_of(train), pool_of(validation)


def _split_by_content(paths: Sequence[Path]) -> tuple[PicturePool, PicturePool]:
    from ..data.photos import is_cutout

    train, validation = PicturePool([], []), PicturePool([], [])
    for path in paths:
        pool = validation if int(file_sha256(path)[:8], 16) / 16**8 < VALIDATION_SHARE else train
        if is_cutout(path):
            pool.cutouts.append((path, None))
        else:
            pool.photos.append(path)
    return train, validation
