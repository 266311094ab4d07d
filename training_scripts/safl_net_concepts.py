r"""Does SAFL-Net call a region forged for what it shows? The paper's test of section 4.6, on objects cut out of photos.

    python training_scripts/safl_net_concepts.py --models runs/bgm/final runs/ssm/final --cutouts DIR --photos DIR \
        --data forgery/casia1:validation --concept person=1 --concept animal=16,17,18 --out concepts.json

CUTOUTS is a folder of RGBA objects with a `metadata.jsonl` (`file_name`, `category`). An example of a concept is one of
its objects pasted on a photo; its counterparts are patches of photos, cut by the same outline and pasted the same way.
So the two differ in what the region shows, not in its shape or in being pasted. The features are the encoder's deepest
level, averaged over the region. The prediction is the mean logit of the forged pixels of DATA's forged images.

A score of 0.5 is independence, 0 or 1 full dependence. It is compared with random directions by a permutation test, and
counts only where the accuracy shows that the features hold the concept. p-values are not corrected for the number of
concepts, and halves of the same examples are not independent, so they are a little small.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from ifl_hub import IflImageProcessor, SaflNetForImageForgeryLocalization
from ifl_hub.data.photos import Cutout, PhotoPool, is_cutout
from ifl_hub.evaluation import LabelledImage, read_labelled_images
from ifl_hub.evaluation.concepts import ConceptResult, examine_concept
from ifl_hub.evaluation.labelled_images import read_labels
from ifl_hub.files import write_atomically
from ifl_hub.image_processing import load_image
from ifl_hub.training.pictures import picture_files

FILLED = 0.75  # share of an example's side that the object may take
STRIDE = 32  # of the deepest level
COUNTERPARTS = 4  # random patches for each object

Region = tuple[np.ndarray, np.ndarray]  # a picture (H, W, 3) and the alpha of its region (H, W)


def main() -> None:
    """Measure every model, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="folders or Hub ids of SAFL-Net weights")
    parser.add_argument("--cutouts", type=Path, required=True, help="RGBA objects with metadata.jsonl")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="photos for backgrounds and patches")
    parser.add_argument("--data", required=True, metavar="DIR[:SPLIT]", help="imagefolder of forged images")
    parser.add_argument("--concept", action="append", default=[], metavar="NAME=CATEGORY,…", help="categories as one")
    parser.add_argument("--examples", type=int, default=40, help="objects of a concept at most")
    parser.add_argument("--least", type=int, default=12, help="a concept with fewer objects is left out")
    parser.add_argument("--size", type=int, default=160, help=f"side of the examples, a multiple of {STRIDE}")
    parser.add_argument("--runs", type=int, default=20, help="directions a concept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write every number to this JSON file")
    arguments = parser.parse_args()
    try:
        results = measure_all(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(markdown(results))
    if arguments.out:
        content = {model: {name: asdict(row) for name, row in rows.items()} for model, rows in results.items()}
        write_atomically(arguments.out, json.dumps(content, indent=1).encode())


def measure_all(arguments: argparse.Namespace) -> dict[str, dict[str, ConceptResult]]:
    """Results by model and concept; every model sees the same examples."""
    if arguments.size < STRIDE or arguments.size % STRIDE:
        raise ValueError(f"--size must be a multiple of {STRIDE}, got {arguments.size}")
    groups = group_by_concept(arguments.cutouts, parse_concepts(arguments.concept), arguments.least)
    photos = [path for folder in arguments.photos for path in picture_files(folder) if not is_cutout(path)]
    examples = {
        name: make_examples(paths, photos, arguments.examples, arguments.size, arguments.seed)
        for name, paths in groups.items()
    }
    folder, _, split = arguments.data.partition(":")
    forged = [image for image in read_labelled_images(folder, split or None) if image.mask is not None]
    return {str(model): measure(str(model), examples, forged, arguments) for model in arguments.models}


def measure(
    name: str,
    examples: Mapping[str, list[list[Region]]],
    forged: Sequence[LabelledImage],
    arguments: argparse.Namespace,
) -> dict[str, ConceptResult]:
    """Results of one model by concept."""
    model = SaflNetForImageForgeryLocalization.from_pretrained(name).eval()
    processor = IflImageProcessor.from_pretrained(name)
    gradients = np.stack([forgery_gradient(model, processor, image) for image in tqdm(forged, desc=f"{name}: forged")])
    results = {}
    for concept, pictures in tqdm(examples.items(), desc=f"{name}: concepts"):
        features = np.stack([region_features(model, processor, kinds) for kinds in pictures])
        results[concept] = examine_concept(
            features[:, 0], features[:, 1:], gradients, runs=arguments.runs, seed=arguments.seed
        )
    return results


def parse_concepts(options: Iterable[str]) -> dict[str, set[str]]:
    """`NAME=CATEGORY,CATEGORY` to the categories of each name."""
    concepts = {}
    for option in options:
        name, separator, categories = option.partition("=")
        if not separator:
            raise ValueError(f"--concept needs NAME=CATEGORY,…, got {option!r}")
        concepts[name] = set(categories.split(","))
    return concepts


def group_by_concept(folder: Path, concepts: Mapping[str, set[str]], least: int) -> dict[str, list[Path]]:
    """The cut-outs of each concept with enough of them; without concepts, every category is one.

    Raises:
        ValueError: If `metadata.jsonl` is missing or no concept has enough.
    """
    listing = folder / "metadata.jsonl"
    if not listing.is_file():
        raise ValueError(f"{listing} is missing: the cut-outs need one, with file_name and category")
    rows = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    categories = {str(row["category"]) for row in rows}
    wanted = concepts or {category: {category} for category in sorted(categories)}
    groups = {
        name: [folder / row["file_name"] for row in rows if str(row["category"]) in members]
        for name, members in wanted.items()
    }
    kept = {name: paths for name, paths in groups.items() if len(paths) >= least}
    if not kept:
        raise ValueError(f"no concept has {least} cut-outs; join categories with --concept, or lower --least")
    return kept


def make_examples(
    cutouts: Sequence[Path], photos: Sequence[Path], most: int, size: int, seed: int
) -> list[list[Region]]:
    """For every object its picture and those of its counterparts, each with the region's alpha."""
    rng = np.random.default_rng(seed)
    chosen = [cutouts[index] for index in rng.permutation(len(cutouts))[:most]]
    pool = PhotoPool(photos, [Cutout(path) for path in chosen])
    examples = []
    for index in range(len(chosen)):
        found = pool.cutout(index)
        fillings = [found.image, *(random_patch(pool, found.image.shape[:2], rng) for _ in range(COUNTERPARTS))]
        examples.append([paste(filling, found.alpha, random_patch(pool, (size, size), rng)) for filling in fillings])
    return examples


def random_patch(pool: PhotoPool, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A patch of a random photo, `(h, w, 3)`; a photo that is too small is mirrored at its border."""
    photo = pool.photo(int(rng.integers(len(pool))))
    missing = [max(0, side - have) for side, have in zip(size, photo.shape[:2], strict=True)]
    photo = np.pad(photo, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    top, left = (int(rng.integers(have - side + 1)) for side, have in zip(size, photo.shape[:2], strict=True))
    return photo[top : top + size[0], left : left + size[1]]


def paste(content: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> Region:
    """Content in the middle of a background, shrunk where it is too large; the picture and the region's alpha."""
    size = background.shape[0]
    scale = min(1.0, FILLED * size / max(alpha.shape))
    width, height = (max(1, round(side * scale)) for side in alpha.shape[::-1])
    top, left = (size - height) // 2, (size - width) // 2
    mask = Image.fromarray((alpha * 255).round().astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    picture, region = Image.fromarray(background), Image.new("L", (size, size))
    picture.paste(Image.fromarray(content).resize((width, height), Image.Resampling.BOX), (left, top), mask)
    region.paste(mask, (left, top))
    return np.asarray(picture), np.asarray(region, np.float32) / 255


@torch.no_grad()
def region_features(
    model: SaflNetForImageForgeryLocalization,
    processor: IflImageProcessor,
    pictures: Sequence[Region],
) -> np.ndarray:
    """The deepest level averaged over each picture's region, `(n, C)`."""
    pixels = processor([picture for picture, _ in pictures])["pixel_values"]
    share = grid_share(torch.from_numpy(np.stack([alpha for _, alpha in pictures])))
    deepest = model.encoder(pixels)[-1]
    return ((deepest * share[:, None]).sum((2, 3)) / share.sum((1, 2))[:, None]).numpy()


def forgery_gradient(
    model: SaflNetForImageForgeryLocalization, processor: IflImageProcessor, image: LabelledImage
) -> np.ndarray:
    """How the mean logit of the forged pixels changes when the region's deepest features move together, `(C,)`."""
    pixels = load_image(image.image).pixels
    forged = torch.from_numpy(read_labels(image, *pixels.shape[:2]) == 1)
    deepest: list[Tensor] = []
    handle = model.encoder.register_forward_hook(lambda _module, _inputs, levels: deepest.append(levels[-1]))
    logits = model(**processor(pixels)).logits[0, 0]
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[forged].mean(), deepest[0])
    return (gradient[0] * grid_share(forged.float()[None])).sum((1, 2)).numpy()


def grid_share(regions: Tensor) -> Tensor:
    """Share of a region in each cell of the deepest level, `(n, H, W)` -> `(n, ⌈H/32⌉, ⌈W/32⌉)`."""
    height, width = (-side % STRIDE for side in regions.shape[1:])
    return F.avg_pool2d(F.pad(regions, (0, width, 0, height))[:, None], STRIDE)[:, 0]


def markdown(results: Mapping[str, Mapping[str, ConceptResult]]) -> str:
    """One row a concept, one pair of columns a model."""
    lines = [
        "| model | concept | objects | accuracy of the direction | TCAV score | of random directions | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, rows in results.items():
        for name, row in rows.items():
            lines.append(
                f"| {model} | {name} | {row.examples} | {row.accuracy:.2f} | {row.score:.2f} | {row.random_score:.2f} "
                f"| {row.p_value:.4f} |"
            )
        mean = np.mean([abs(row.score - 0.5) for row in rows.values()])
        lines.append(f"| {model} | mean distance from 0.5 | | | {mean:.2f} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
