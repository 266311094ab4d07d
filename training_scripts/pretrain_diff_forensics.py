"""Stage 1 of DiffForensics: learn to predict simplex noise in photos, without labels.

    python training_scripts/pretrain_diff_forensics.py --pictures DIR --out runs/diff-forensics-denoising

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
    parser.add_argument(
        "--recipe", default="diff_forensics_small_denoising", help="name of a shipped recipe, or a YAML file"
    )
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe value")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = load_recipe(arguments.recipe, arguments.set)
        final = run_recipe(recipe, arguments.pictures, arguments.out, arguments.workers)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    logging.info("weights: %s", final)


if __name__ == "__main__":
    main()
