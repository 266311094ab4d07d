r"""What the papers' recipes would need on a GPU, without one: parameters, memory and floating-point operations.

    python training_scripts/plan_training.py [RECIPE...] [--peak-tflops 156] [--utilisation 0.35]

The network is run on the meta device, where nothing is computed or allocated: what autograd would keep of one training
forward pass is counted tensor by tensor, operations by torch's own counter, and a step is taken as three forward passes
(one forward, two of the backward pass). Losses are not in it, nor heads that only training has. Hours follow from
the peak rate of the card (by default an A100's TensorFloat-32) and the share of it that a run reaches.
"""

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub import AutoModelForImageForgeryLocalization
from ifl_hub.training import Recipe, load_recipe

RECIPES = ("sumi_ifl_paper", "ncl_paper", "safl_net_paper", "diff_forensics_paper", "exposing_deception_paper")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--peak-tflops", type=float, default=156, help="of the card")
    parser.add_argument("--utilisation", type=float, default=0.35, help="share of the peak that training reaches")
    arguments = parser.parse_args()
    print("| recipe | parameters | batch, pixels | state | activations | TFLOP a step | steps | GPU-hours |")
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.recipes:
        recipe = load_recipe(name)
        parameters, activations, flops = measure(recipe)
        state = parameters * 4 * (4 if recipe.optimizer == "adamw" else 3) + 4 * parameters * bool(recipe.ema_decay)
        hours = flops * recipe.steps / (arguments.peak_tflops * 1e12 * arguments.utilisation) / 3600
        batch = f"{recipe.batch_size} x {recipe.crop_size}^2"
        print(
            f"| {name} | {parameters / 1e6:.1f} M | {batch} | {state / 1e9:.2f} GB | "
            f"{activations / 1e9:.1f} GB | {flops / 1e12:.2f} | {recipe.steps:,} | {hours:,.0f} |"
        )


def measure(recipe: Recipe) -> tuple[int, int, int]:
    """Parameters, bytes that autograd keeps for a batch, and operations of a step."""
    with torch.device("meta"):
        model = build(recipe).train()
        pixels = torch.empty(recipe.batch_size, 3, recipe.crop_size, recipe.crop_size)
    kept: dict[int, int] = {}
    own = {id(parameter) for parameter in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in own:
            kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(pixel_values=pixels)
    del output
    return sum(parameter.numel() for parameter in model.parameters()), sum(kept.values()), 3 * counter.get_total_flops()


def build(recipe: Recipe) -> torch.nn.Module:
    """The recipe's network, without weights."""
    config = recipe.build_config()
    if recipe.task == "face_classification":
        from transformers import AutoModelForImageClassification

        return AutoModelForImageClassification.from_config(config)
    return AutoModelForImageForgeryLocalization.from_config(config)


if __name__ == "__main__":
    main()
