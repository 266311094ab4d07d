"""From folders of pictures to the samples of a run: some to train on, some of photos that are never trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import file_sha256
from .pictures import PicturePool, load_manifest, picture_files, picture_pool
from .recipe import Recipe

if TYPE_CHECKING:
    from ..data import ForgerySynthesizer
    from ..data.photos import PhotoPool

VALIDATION_SHARE = 0.1
ENDLESS = 1 << 40  # the recipe's steps decide how many samples are drawn


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
