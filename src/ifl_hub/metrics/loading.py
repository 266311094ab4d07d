"""Metrics by name, without a Hub: the `evaluate` modules that come with the package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from .streaming import StreamingMetric

MetricName = Literal["forgery_localization", "forgery_detection"]


def load_metric(name: MetricName, preset: str = "default", **choices: Any) -> "StreamingMetric":
    """An `evaluate.Metric` whose numbers carry their definition.

    What is accumulated is fixed here; `compute(average=…, authentic=…, polarity=…)` only reduces. The same modules
    load with `evaluate.load(<path of the module's folder in this package>, preset=…)`. Needs the extra `train`.

    Args:
        name: `"forgery_localization"` takes maps and masks, `"forgery_detection"` scores and labels.
        preset: One of `ifl_hub.metrics.PRESETS`.
        **choices: What replaces the preset's choices: `threshold`, `boundary`, `ignore_value` or another field of
            `ifl_hub.metrics.Definition`.

    Raises:
        ValueError: If the name, the preset or a choice is unknown.

    Example:
        >>> import numpy as np
        >>> metric = load_metric("forgery_localization", threshold=0.3)
        >>> metric.add_batch(predictions=[np.array([[0.9, 0.1]])], references=[np.array([[1, 0]])])
        >>> result = metric.compute()
        >>> result["pixel_f1"], result["definition"]["threshold"]
        (1.0, 0.3)
    """
    if name not in get_args(MetricName):
        raise ValueError(f"metric {name!r} is unknown; choose from {', '.join(get_args(MetricName))}")
    module = import_module(f".{name}.{name}", __package__)
    return getattr(module, "".join(word.title() for word in name.split("_")))(preset, **choices)
