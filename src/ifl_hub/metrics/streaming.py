"""What the two `evaluate` modules share: an accumulator instead of evaluate's files of stored predictions.

evaluate writes every prediction to disk as nested lists before it computes; for maps that is out of the question. So
`add`, `add_batch` and `compute` are overridden: inputs are counted at once and forgotten.
"""

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import evaluate

from .definitions import Definition
from .detection import DetectionAccumulator
from .localization import LocalizationAccumulator
from .presets import get_definition
from .processes import merged_over_processes

_EVALUATE_ARGUMENTS = frozenset(inspect.signature(evaluate.Metric.__init__).parameters)


class StreamingMetric(evaluate.Metric):
    """An `evaluate.Metric` over an accumulator.

    `compute` may be called again, with other arguments, on the same images; the first `add` after it starts afresh.

    Args:
        preset: One of `ifl_hub.metrics.PRESETS`.
        **arguments: Choices that replace the preset's, and what `evaluate.Metric` takes.

    Attributes:
        accumulator_class: What counts.
        level: Which keys a preset must report to be of use here.
        definition: Every choice.

    Raises:
        ValueError: If the preset or a choice is unknown, or the preset says nothing about this metric.
    """

    accumulator_class: ClassVar[type[LocalizationAccumulator] | type[DetectionAccumulator]]
    level: ClassVar[tuple[str, ...]]

    def __init__(self, preset: str = "default", **arguments: Any) -> None:
        choices = {name: value for name, value in arguments.items() if name not in _EVALUATE_ARGUMENTS}
        self.definition = self._choose(preset, choices)
        self.accumulator: Any = self.accumulator_class(self.definition)
        self._computed = False
        super().__init__(**{name: value for name, value in arguments.items() if name in _EVALUATE_ARGUMENTS})
        if not set(self.level) & set(self.definition.reports):
            raise ValueError(f"preset {preset!r} does not define {self.name}: choose another preset or metric")

    def __len__(self) -> int:
        return len(self.accumulator.rows)

    def _choose(self, preset: str, choices: dict[str, Any]) -> Definition:
        return get_definition(preset, **choices)

    def _counting(self) -> Any:
        """The accumulator to add to."""
        if self._computed:
            self.accumulator = self.accumulator_class(self.definition)
            self._computed = False
        return self.accumulator

    def _counted(self, gather: bool) -> Any:
        """The accumulator to compute from."""
        self._computed = True
        return merged_over_processes(self.accumulator) if gather else self.accumulator

    def _update_all(self, optional: dict[str, Sequence[Any] | None], **columns: Sequence[Any] | None) -> None:
        """Add one image a row of the columns; an optional one that is None is left out."""
        if any(column is None for column in columns.values()):
            raise ValueError("a batch needs both predictions and references")
        given = {name: list(column) for name, column in {**columns, **optional}.items() if column is not None}
        lengths = {name: len(column) for name, column in given.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"a batch needs as many of each, got {lengths}")
        accumulator = self._counting()
        for row in zip(*given.values(), strict=True):
            accumulator.update(**dict(zip(given, row, strict=True)))
