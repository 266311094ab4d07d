"""Which of a run's validations was the best, and when it is time to stop."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Selection:
    """Follows one metric; its state belongs into checkpoints.

    Args:
        metric: Name of a validation score; higher is better, or lower with a minus before the name.
        patience: Validations without a new best after which to stop; 0 for never.
        best: The best value so far, its sign turned where lower is better.
        best_step: Where it was.
        misses: Validations since.

    Example:
        >>> selection = Selection("pixel_f1", patience=2)
        >>> [selection.update(step, {"pixel_f1": f1}) for step, f1 in enumerate([0.2, 0.4, 0.3, 0.4])]
        [True, True, False, False]
        >>> selection.best_step, selection.is_over
        (1, True)
    """

    metric: str
    patience: int = 0
    best: float = float("-inf")
    best_step: int = 0
    misses: int = 0

    def update(self, step: int, scores: dict[str, float]) -> bool:
        """Whether these scores are the best so far.

        Raises:
            ValueError: If the metric is none of the scores.
        """
        name = self.metric.removeprefix("-")
        if name not in scores:
            raise ValueError(f"recipe: metric {name!r} is none of the scores: {', '.join(scores)}")
        value = -scores[name] if self.metric.startswith("-") else scores[name]
        if value <= self.best:
            self.misses += 1
            return False
        self.best, self.best_step, self.misses = value, step, 0
        return True

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.patience <= self.misses

    def state_dict(self) -> dict[str, Any]:
        """For accelerate's checkpoints."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """For accelerate's checkpoints."""
        vars(self).update(state)
