"""How results are put together: exact means, counts that always travel, and a reason for every value that is None."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .definitions import Definition


def mean_of(values: Iterable[Any]) -> float | None:
    """The exact mean, whatever the order of the values; None if there are none."""
    numbers = [float(value) for value in values]
    return math.fsum(numbers) / len(numbers) if numbers else None


def with_reasons(
    values: Mapping[str, float | None], reasons: Mapping[str, str], definition: Definition
) -> dict[str, Any]:
    """The values that the definition reports, and `undefined`: why each other one is None.

    Args:
        values: By key.
        reasons: Why a key's value would be None.
        definition: Its `reports` decide.
    """
    foreign = f"the preset {definition.preset} does not define it"
    shown = {key: value if key in definition.reports else None for key, value in values.items()}
    undefined = {
        key: reasons[key] if key in definition.reports else foreign for key, value in shown.items() if value is None
    }
    return {**shown, "undefined": undefined}


def add_counts(result: dict[str, Any], n_images: int, n_authentic: int, skipped: Mapping[str, int]) -> None:
    """Write `n_images` (all that were given), `n_authentic` of them, `n_skipped` of them and `skipped` by reason."""
    by_reason = {reason: n for reason, n in sorted(skipped.items()) if n}
    result.update(n_images=n_images, n_authentic=n_authentic, n_skipped=sum(by_reason.values()), skipped=by_reason)
