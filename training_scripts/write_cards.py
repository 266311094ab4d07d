r"""Write the cards of all embedded checkpoints again, after their metadata, the template or a method's facts changed.

    python training_scripts/write_cards.py

The scores of a localization checkpoint come from the leaderboard's statistics (training_scripts/make_leaderboard.py),
if those are of its weights; its card then has a plot of its robustness.
"""

import json
from datetime import date
from pathlib import Path

from ifl_hub import checkpoint_path, list_checkpoints
from ifl_hub.evaluation.leaderboard import card_scores
from ifl_hub.files import write_atomically
from ifl_hub.hub.model_card import plot_name, render_model_card
from ifl_hub.hub.plot import plot_robustness
from ifl_hub.hub.results import plotted

CARDS = Path(__file__).parent.parent / "model_cards"


def main() -> None:
    """Update, render, draw."""
    for name, metadata in list_checkpoints().items():
        folder = Path(checkpoint_path(name))
        if measured := card_scores(name, metadata["weights_sha256"], date.today().isoformat()):
            metadata["scores"] = measured
        write_atomically(folder / "metadata.json", json.dumps(metadata, indent=1, ensure_ascii=False).encode() + b"\n")
        card = render_model_card(folder).encode()
        write_atomically(folder / "README.md", card)
        write_atomically(CARDS / f"{name}.md", card)
        if score := plotted(metadata["scores"]):
            plot_robustness(CARDS / plot_name(name), score)


if __name__ == "__main__":
    main()
