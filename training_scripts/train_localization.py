"""Train a localizer on forgeries synthesized from folders of photos.

    python training_scripts/train_localization.py --recipe sumi_ifl_small --pictures DIR --out runs/sumi-ifl-small

Run it again to continue after an interruption; under `accelerate launch` it uses several processes.
"""

import argparse
import logging
import sys
from pathlib import Path

import ifl_hub  # noqa: F401  (registers the methods)
from ifl_hub.training import load_recipe
from ifl_hub.training.engine import run_recipe


def main() -> None:
    """Parse the command line and run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="sumi_ifl_small", help="name of a shipped recipe, or a YAML file")
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of photos and RGBA cut-outs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe value")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = load_recipe(arguments.recipe, arguments.set)
        final = run_recipe(recipe, arguments.pictures, arguments.out, arguments.workers)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    logging.info("weights: %s", final)


if __name__ == "__main__":
    main()
