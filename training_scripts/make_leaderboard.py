r"""Write LEADERBOARD.md, and the tables of README, docs/leaderboard.md and docs/calibration.md, from what ships.

    python training_scripts/make_leaderboard.py               # from the statistics
    python training_scripts/make_leaderboard.py --data DIR    # measure first what is not up to date

DIR holds the imagefolders casia1, comofod and casia2 (`ifl-hub data import`). After a checkpoint changed, the second
form measures that checkpoint alone. docs/leaderboard.md says more.
"""

import argparse
import sys
from pathlib import Path

from ifl_hub.evaluation import EvaluationError
from ifl_hub.evaluation.leaderboard import (
    measure,
    render_calibration,
    render_leaderboard,
    render_worst,
    render_zoo_table,
)
from ifl_hub.files import write_atomically

ROOT = Path(__file__).parent.parent
#: Each document that holds a generated part between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
PARTS = {
    "zoo": (ROOT / "README.md", render_zoo_table),
    "worst": (ROOT / "docs" / "leaderboard.md", render_worst),
    "calibration": (ROOT / "docs" / "calibration.md", render_calibration),
}


def main() -> None:
    """Measure if asked, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test sets: measure what is not up to date")
    parser.add_argument("--work", type=Path, default=Path("out/leaderboard"), help="keeps heat maps between calls")
    parser.add_argument("--model", nargs="*", help="measure these only; by default every checkpoint and baseline")
    parser.add_argument("--again", action="store_true", help="measure what is up to date too")
    arguments = parser.parse_args()
    if arguments.data:
        try:
            for what in measure(arguments.data, arguments.work, arguments.model, again=arguments.again):
                print("measured", what)
        except EvaluationError as error:
            sys.exit(f"error: {error}")
    write_atomically(ROOT / "LEADERBOARD.md", render_leaderboard().encode())
    for name, (path, render) in PARTS.items():
        write_atomically(path, with_part(path.read_text(encoding="utf-8"), name, render()).encode())


def with_part(text: str, name: str, part: str) -> str:
    """A document with what lies between the markers of `name` replaced.

    Raises:
        ValueError: If the document has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in text or end not in text:
        raise ValueError(f"the markers {begin} and {end} are missing")
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{part}\n{end}{rest.split(end, 1)[1]}"


if __name__ == "__main__":
    main()
