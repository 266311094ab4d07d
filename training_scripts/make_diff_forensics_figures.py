r"""Make the pictures of docs/diff_forensics.md, after Figures 3, 6 and 7 of the paper.

    python training_scripts/make_diff_forensics_figures.py --runs runs/denoising-noises \
        --photos pictures/photos/scikit-image

`--runs` is what `compare_denoising_noises.py` has made. The shown forgeries are synthesized from the folder of photos,
so take only photos that may be shown.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image
from torch import Tensor

import ifl_hub
from ifl_hub import DiffForensicsForImageForgeryLocalization, DiffForensicsForPreTraining, SimplexDDPMScheduler
from ifl_hub.data import ForgerySynthesizer
from ifl_hub.data.photos import PhotoPool
from ifl_hub.training.pictures import picture_files

DOCS = Path(__file__).parent.parent / "docs"
SIZE, SEED = 192, 5
TIMESTEP, DRAWS = 250, 16
SAMPLES = 150  # of each kind, for t-SNE
ARMS = {"none": "no pre-training", "gaussian": "Gaussian", "simplex": "simplex"}


def main() -> None:
    """Write the three pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1, 2], help="which forgeries are shown")
    arguments = parser.parse_args()
    mpl.use("Agg")
    pool = PhotoPool(list(picture_files(arguments.photos)))
    forgeries = ForgerySynthesizer(pool, SIZE, SEED, {"splicing": 1, "copy_move": 1})
    shown = [forgeries[index] for index in arguments.rows]
    processor = ifl_hub.IflImageProcessor.from_pretrained(arguments.runs / "simplex-seed0" / "final")
    save_denoising_errors(shown, processor, arguments.runs)
    save_edges(shown, processor)
    save_embedding(pool, processor, arguments.runs)


@torch.no_grad()
def save_denoising_errors(shown: Sequence[dict[str, Any]], processor: ifl_hub.IflImageProcessor, runs: Path) -> None:
    """Figure 3: P_sq = (x_0 - predicted x_0)², averaged over draws of the noise and over channels."""
    columns: dict[str, list[np.ndarray]] = {}
    for noise in ("simplex", "gaussian"):
        folder = runs / f"denoising-{noise}-seed0" / "final"
        model = DiffForensicsForPreTraining.from_pretrained(folder).eval()
        scheduler = SimplexDDPMScheduler.from_pretrained(folder, subfolder="scheduler")
        columns[noise] = [denoising_error(model, scheduler, pixels_of(sample, processor)) for sample in shown]
    top = np.quantile([error for column in columns.values() for error in column], 0.99)
    figure, axes = sheet(len(shown), ("forgery", "mask", "simplex", "Gaussian"))
    for row, sample in zip(axes, shown, strict=True):
        row[0].imshow(sample["image"])
        row[1].imshow(sample["mask"], cmap="gray", vmin=0, vmax=1)
    for column, errors in zip((2, 3), columns.values(), strict=True):
        for row, error in zip(axes, errors, strict=True):
            row[column].imshow(error, cmap="magma", vmin=0, vmax=top)
    save(figure, "diff_forensics_denoising.jpg")


def denoising_error(model: DiffForensicsForPreTraining, scheduler: SimplexDDPMScheduler, clean: Tensor) -> np.ndarray:
    """`(H, W)` mean squared error of the picture that one prediction gives back."""
    batch = clean.expand(DRAWS, -1, -1, -1)
    noise = scheduler.sample_noise(batch.shape, torch.Generator().manual_seed(0))
    steps = torch.full((DRAWS,), TIMESTEP)
    predicted = model(scheduler.add_noise(batch, noise, steps), steps).predicted_noise
    kept = scheduler.alphas_cumprod[TIMESTEP]
    return ((1 - kept) / kept * (noise - predicted).square()).mean((0, 1)).numpy()  # of x_0, by Algorithm 1


@torch.no_grad()
def save_edges(shown: Sequence[dict[str, Any]], processor: ifl_hub.IflImageProcessor) -> None:
    """Figure 6: the map and the three edge maps of the embedded checkpoint."""
    folder = ifl_hub.checkpoint_path("diff-forensics-small")
    model = DiffForensicsForImageForgeryLocalization.from_pretrained(folder).eval()
    titles = ("forgery", "mask", "map", "edges, stride 4", "stride 8", "stride 16")
    figure, axes = sheet(len(shown), titles)
    for row, sample in zip(axes, shown, strict=True):
        output = model(pixels_of(sample, processor))
        maps = [torch.sigmoid(output.logits)[0, 0], *output.edge_probabilities[0]]
        row[0].imshow(sample["image"])
        row[1].imshow(sample["mask"], cmap="gray", vmin=0, vmax=1)
        for axis, values in zip(row[2:], maps, strict=True):
            axis.imshow(values, cmap="gray", vmin=0, vmax=1)
    save(figure, "diff_forensics_edges.jpg")


@torch.no_grad()
def save_embedding(pool: PhotoPool, processor: ifl_hub.IflImageProcessor, runs: Path) -> None:
    """Figure 7: t-SNE of d_1, averaged over each picture, for the three ways to start."""
    import matplotlib.pyplot as plt
    from sklearn.manifold import TSNE

    kinds = {
        "authentic": ForgerySynthesizer(pool, 96, SEED, {"authentic": 1}),
        "forged": ForgerySynthesizer(pool, 96, SEED, {"splicing": 1, "copy_move": 1}),
    }
    pixels = {
        kind: torch.cat([pixels_of(samples[index], processor) for index in range(SAMPLES)])
        for kind, samples in kinds.items()
    }
    figure, axes = plt.subplots(1, len(ARMS), figsize=(9, 3.2), layout="constrained")
    for axis, (arm, title) in zip(axes, ARMS.items(), strict=True):
        model = DiffForensicsForImageForgeryLocalization.from_pretrained(runs / f"{arm}-seed0" / "final").eval()
        steps = torch.full((SAMPLES,), model.config.fixed_timestep)
        features = [
            model.diff_forensics(values, steps).decoder_features[0].mean((2, 3)).numpy() for values in pixels.values()
        ]
        points = TSNE(perplexity=30, random_state=0).fit_transform(np.concatenate(features))
        for kind, part, colour in zip(kinds, np.split(points, 2), ("tab:blue", "tab:orange"), strict=True):
            axis.scatter(*part.T, s=9, c=colour, alpha=0.8, linewidths=0, label=kind)
        axis.set(title=title, xticks=[], yticks=[])
    axes[0].legend(fontsize=8)
    figure.savefig(DOCS / "diff_forensics_features.png", dpi=100)


def pixels_of(sample: dict[str, Any], processor: ifl_hub.IflImageProcessor) -> Tensor:
    """`(1, 3, H, W)`."""
    return processor(sample["image"], return_tensors="pt")["pixel_values"]


def sheet(rows: int, titles: Sequence[str]) -> tuple[Any, Any]:
    """Axes for pictures in rows under titled columns."""
    import matplotlib.pyplot as plt

    size = (1.5 * len(titles), 1.5 * rows + 0.25)
    figure, axes = plt.subplots(rows, len(titles), figsize=size, squeeze=False, layout="constrained")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def save(figure: Any, name: str) -> None:
    """As JPEG: the pictures are photographs."""
    figure.canvas.draw()
    Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]).save(DOCS / name, quality=88)


if __name__ == "__main__":
    main()
