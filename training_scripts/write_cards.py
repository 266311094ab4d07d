r"""Write the cards of all embedded checkpoints again, after their metadata, the template or a method's facts changed.

    python training_scripts/write_cards.py [--results out/evaluation/casia1-validation/scores-default/results.json]

With --results, what `ifl-hub evaluate` measured goes into the metadata first: intervals, fingerprint of the data,
robustness. Numbers of other weights are left alone; numbers that contradict what the metadata states are an error.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ifl_hub import checkpoint_path, list_checkpoints
from ifl_hub.files import write_atomically
from ifl_hub.hub.checkpoint import read_json
from ifl_hub.hub.model_card import plot_name, render_model_card
from ifl_hub.hub.plot import plot_robustness
from ifl_hub.hub.results import METRICS, plotted, score_from_evaluation

CARDS = Path(__file__).parent.parent / "model_cards"
TOLERANCE = 1e-4


def main() -> None:
    """Merge, render, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="results.json of `ifl-hub evaluate`")
    arguments = parser.parse_args()
    for name, metadata in list_checkpoints().items():
        folder = Path(checkpoint_path(name))
        for path in arguments.results:
            results = read_json(path)
            if any(run["weights_sha256"] == metadata["weights_sha256"] for run in results["runs"]):
                merge(metadata["scores"], score_from_evaluation(results, metadata["weights_sha256"], name))
        write_atomically(folder / "metadata.json", json.dumps(metadata, indent=1, ensure_ascii=False).encode() + b"\n")
        card = render_model_card(folder).encode()
        write_atomically(folder / "README.md", card)
        write_atomically(CARDS / f"{name}.md", card)
        if score := plotted(metadata["scores"]):
            plot_robustness(CARDS / plot_name(name), score)


def merge(scores: list[dict[str, Any]], new: dict[str, Any]) -> None:
    """Add a score, or what it knows beyond the score of the same data, whose own comparison stays."""
    for old in scores:
        if (old["data"], old.get("split")) == (new["data"], new["split"]):
            stated, measured = (next(iter(score["methods"].values())) for score in (old, new))
            for metric in sorted(METRICS.keys() & measured.keys()):
                if abs((stated.get(metric) or measured[metric]) - measured[metric]) > TOLERANCE:
                    sys.exit(f"error: {new['data']}: {metric} is {stated[metric]}, and now {measured[metric]}")
                if stated.get(metric) is None:
                    stated[metric] = measured[metric]
            old |= {key: new[key] for key in ("fingerprint", "intervals", "robustness") if key in new}
            return
    scores.append(new)


if __name__ == "__main__":
    main()
