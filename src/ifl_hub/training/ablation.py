"""An ablation as data: rows of overrides of one recipe, several seeds, and a table with their spread."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .recipe import Recipe, load_recipe

ABLATIONS = Path(__file__).parent / "ablations"
Scores = Mapping[str, float | None]  # of one run; None where no image defines the value
#: What a table shows of localizers, by the name of the score.
LOCALIZATION_SCORES = {"pixel_auc": "AUC", "pixel_f1": "F1", "authentic_fpr": "authentic area marked"}


@dataclass(frozen=True)
class Ablation:
    """Rows of a paper's ablation table, each a change to one recipe.

    Args:
        recipe: Name of a shipped recipe, or a YAML file.
        rows: Name of each row to its overrides, `key=value`; the first row is what the others are compared with.
        set: Overrides that all rows share: the size of a run.
        scores: The validation scores that a table shows, each with its heading; rows are compared by the first.
        validation_size: Side of the square validation samples in pixels, where samples are synthesized.
        paper: What the paper's table says in each row; numbers of its model, its data and its size of training.
        paper_note: On which data the paper measured them.
    """

    recipe: str
    rows: dict[str, list[str]]
    set: list[str] = field(default_factory=list)
    scores: dict[str, str] = field(default_factory=lambda: dict(LOCALIZATION_SCORES))
    validation_size: int = 256
    paper: dict[str, str] = field(default_factory=dict)
    paper_note: str = ""

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("ablation: name at least one row under 'rows'")
        if unknown := [row for row in self.paper if row not in self.rows]:
            raise ValueError(f"ablation: 'paper' has {unknown[0]!r}, which is no row")

    def row_recipe(self, row: str, seed: int, overrides: Iterable[str] = ()) -> Recipe:
        """The recipe of one run; a row's own overrides come last.

        Raises:
            ValueError: If an override is none of the recipe's.
        """
        return load_recipe(self.recipe, [*self.set, *overrides, *self.rows[row], f"seed={seed}"])

    def only(self, names: Sequence[str]) -> "Ablation":
        """The rows that are named, in the order of the names.

        Raises:
            ValueError: If there is no such row.
        """
        if unknown := [name for name in names if name not in self.rows]:
            raise ValueError(f"there is no row {unknown[0]!r}; name one of: {', '.join(map(repr, self.rows))}")
        paper = {name: self.paper[name] for name in names if name in self.paper}
        return replace(self, rows={name: self.rows[name] for name in names}, paper=paper)


def load_ablation(name: str | Path) -> Ablation:
    """Read an ablation by the name of a shipped one or by path.

    Raises:
        ValueError: If there is no such ablation, or it lacks or misspells a key.

    Example:
        >>> list(load_ablation("ncl_losses").rows)
        ['base', 'base + L_NCL', 'base + L_NCL + L_PC']
    """
    import yaml

    path = Path(name) if str(name).endswith((".yaml", ".yml")) else ABLATIONS / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in ABLATIONS.glob("*.yaml")))
        raise ValueError(f"there is no ablation {str(name)!r}; name a YAML file or one of: {shipped}")
    values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return Ablation(**values)
    except TypeError as error:
        keys = ", ".join(item.name for item in fields(Ablation))
        raise ValueError(f"{path}: an ablation has {keys}: {error}") from None


def ablation_table(results: Mapping[str, Mapping[int, Scores]], ablation: Ablation | None = None) -> str:
    """Markdown: mean and sample deviation over seeds, and the first score's difference to the first row, by seed.

    Args:
        results: Row to seed to scores.
        ablation: Names the scores, those of localizers by default, and adds a column with the paper's rows, which were
            measured on other data.

    Example:
        >>> runs = {"base": {0: {"pixel_auc": 0.5, "pixel_f1": 0.1, "authentic_fpr": 0.2}}}
        >>> print(ablation_table(runs).splitlines()[2])
        | base | 0.500 | 0.500 |  | 0.100 | 0.200 |
    """
    scores = ablation.scores if ablation is not None else LOCALIZATION_SCORES
    paper = ablation.paper if ablation is not None else {}
    main, *others = scores
    head = ["row", f"{scores[main]} of each seed", scores[main], "difference to the first row, per seed"]
    head += [scores[name] for name in others]
    if ablation is not None and paper:
        head.append(f"*the paper's, not ours*: {ablation.paper_note}")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    base = next(iter(results.values()))
    for index, (row, runs) in enumerate(results.items()):
        values = _column(runs, main)
        gains = [f"{value - first:+.3f}" for value, first in zip(values, _column(base, main), strict=True)]
        cells = [row, ", ".join(f"{value:.3f}" for value in values), _spread(values), ", ".join(gains) if index else ""]
        cells += [_spread(_column(runs, name)) for name in others]
        cells += [f"*{paper[row]}*" if row in paper else ""] if paper else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _column(runs: Mapping[int, Scores], name: str) -> list[float]:
    return [value for scores in runs.values() if (value := scores[name]) is not None]


def _spread(values: Sequence[float]) -> str:
    """`mean ± deviation`; the mean alone for a single run, nothing without one."""
    if len(values) < 2:
        return "".join(f"{value:.3f}" for value in values)
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
