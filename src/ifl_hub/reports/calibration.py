"""What a score is worth, in plain words: the threshold, how often it is wrong on authentic pictures, what it misses."""

from collections.abc import Mapping
from typing import Any

from .model_facts import ModelFacts

_Z95 = 1.959964
#: Of the pictures somebody checks, the share that is forged, in the example of the note.
_EXAMPLE_SHARE = 0.1


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    Args:
        count: How many did.
        total: Of how many, at least 1.

    Example:
        >>> low, high = wilson_interval(12, 112)
        >>> round(low, 2), round(high, 2)
        (0.06, 0.18)
    """
    share, weight = count / total, _Z95**2 / total
    centre = (share + weight / 2) / (1 + weight)
    spread = _Z95 / (1 + weight) * (share * (1 - share) / total + weight / (4 * total)) ** 0.5
    return centre - spread, centre + spread


def explain_score(score: float, model: ModelFacts) -> list[str]:
    """Sentences that say what a score means for a person who has to decide something.

    Args:
        score: Of the picture, in [0, 1].
        model: Its `preprocessing` holds the `score_threshold`, its `metadata` the `operating_point` if it is known.
    """
    threshold = model.preprocessing["score_threshold"]
    side = "above" if score > threshold else "not above"
    lines = [
        f"The score is {score:.3f}, on a scale from 0 to 1. This model calls a picture forged if its score is above "
        f"{threshold:.3f}; this one is {side} it. The score sorts pictures by suspicion: it is not the probability "
        "that this picture is forged."
    ]
    point = _calibration(model)
    if point is None:
        return [*lines, _unknown("For these weights at this threshold no false-alarm rate is on record")]
    return [*lines, *_rates(point, forged=score > threshold), f"About that calibration: {point['description']}"]


def explain_mask(threshold: float, forged_area: float, model: ModelFacts) -> list[str]:
    """Sentences that say how much of a picture is marked, and how much of authentic pictures usually is.

    Args:
        threshold: Of the mask.
        forged_area: Marked share of the picture, in [0, 1].
        model: Its `metadata` hold `scores` if they are known.
    """
    lines = [
        f"A pixel is marked where its probability is above {threshold:.2f}: {_percent(forged_area, 1)} of this picture."
    ]
    for result in model.metadata.get("scores", []):
        alarms = result["methods"].get(model.metadata["name"], {}).get("authentic_fpr")
        if alarms is not None:
            lines.append(
                f"For comparison: on {result['n_authentic']} authentic pictures of {result['data']}, it marked "
                f"{_percent(alarms, 1)} of the area on average at 0.5, all of it false alarms."
            )
    return lines


def expect_false_alarms(pictures: int, model: ModelFacts) -> str:
    """A sentence that says how many of so many authentic pictures would be called forged.

    Args:
        pictures: How many were judged.
        model: As for `explain_score`.
    """
    point = _calibration(model)
    if point is None:
        return _unknown("For these weights at this threshold no false-alarm rate is on record")
    rate, total = point["false_alarm_rate"], point["n_authentic"]
    return (
        f"In the model's calibration {_of(rate, total)} authentic pictures were: at that rate, "
        f"about {rate * pictures:.{0 if rate * pictures >= 10 else 1}f} of {pictures} authentic pictures would be."
    )


def _calibration(model: ModelFacts) -> Mapping[str, Any] | None:
    """The operating point with its rates, if they were measured, and at the threshold that was used."""
    point = model.metadata.get("operating_point")
    if point is None or point["false_alarm_rate"] is None:
        return None
    return point if abs(point["score_threshold"] - model.preprocessing["score_threshold"]) < 1e-6 else None


def _rates(point: Mapping[str, Any], forged: bool) -> list[str]:
    alarms, missed = point["false_alarm_rate"], 1 - point["sensitivity"]
    lines = [
        f"In its calibration, {_of(alarms, point['n_authentic'])} authentic pictures were called forged as well: false "
        f"alarms. And {_of(missed, point['n_forged'])} forged pictures were not called forged: misses."
    ]
    if alarms >= point["sensitivity"]:
        return [*lines, "So at this threshold its word says nothing: look at the regions, and use another model."]
    found, false = _EXAMPLE_SHARE * point["sensitivity"], (1 - _EXAMPLE_SHARE) * alarms
    if forged:
        return [
            *lines,
            f"So the word is a reason to look closer, not a finding. If one in ten of the pictures that you check were "
            f"forged, about {100 * false / (false + found):.0f} of 100 such words would be wrong.",
        ]
    return [*lines, "So the word means that nothing was found. It does not mean that the picture is authentic."]


def _of(share: float, total: int) -> str:
    count = round(share * total)
    low, high = wilson_interval(count, total)
    return f"{count} of {total} ({_percent(share)}, 95 % interval {_percent(low)} to {_percent(high)})"


def _percent(share: float, decimals: int = 0) -> str:
    return f"{100 * share:.{decimals}f} %"


def _unknown(reason: str) -> str:
    return (
        f"{reason}: how often it is wrong on authentic pictures is unknown. Measure it on pictures of your own kind "
        "with `ifl-hub evaluate` before anybody relies on it."
    )
