"""Measured numbers in one form, wherever they are from: for the card's tables, its plot and the structured results.

A score in a checkpoint's metadata says what it was measured on (`data`, `split`, `n_forged`, `n_authentic`, and the
`fingerprint` of the images where it is known), what its numbers mean (`definition`), when (`date`), and the numbers: of
several methods side by side (`methods`, ours first) or of ours alone (`values`), with `intervals` of ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: What a number is called and what it is, by its key in `ifl_hub.metrics`.
METRICS: Mapping[str, tuple[str, str]] = {
    "pixel_auc": ("pixel AUC", "area under the ROC curve over the pixels of a forged image"),
    "pixel_f1": ("pixel F1", "F1 of the mask of a forged image"),
    "authentic_fpr": ("false-alarm area", "share of the pixels of an authentic image that is marked"),
    "authentic_alarm_rate": ("alarm rate", "share of authentic images in which any pixel is marked"),
    "image_auc": ("image AUC", "area under the ROC curve of the scores of images"),
    "video_auc": ("video AUC", "area under the ROC curve of the mean scores of videos"),
    "image_balanced_acc": ("balanced accuracy", "mean of the shares of forged and of authentic images judged rightly"),
    "image_acc": ("image accuracy", "share of images on the right side of a score of 0.5"),
}
#: Of what an evaluation holds, the numbers for a card: accuracy would depend on how many of the images are forged.
_OF_EVALUATIONS = tuple(metric for metric in METRICS if metric not in ("video_auc", "image_acc"))
_OF_AUTHENTIC = ("authentic_fpr", "authentic_alarm_rate")


class Interval(NamedTuple):
    """A 95 % bootstrap interval."""

    low: float
    high: float


class Number(NamedTuple):
    """One measured number of the checkpoint itself.

    Attributes:
        metric: A key of `METRICS`.
        value: The number.
        interval: None where none was computed.
        n: Images (or frames) that it is about.
    """

    metric: str
    value: float
    interval: Interval | None
    n: int


def own_numbers(score: Mapping[str, Any]) -> list[Number]:
    """The numbers of the checkpoint in a score, without those of other methods and of parts of the data."""
    values = score["values"] if "values" in score else next(iter(score["methods"].values()))
    counts = (score["n_forged"], score["n_authentic"])
    numbers = []
    for metric in METRICS:
        if (value := values.get(metric)) is not None:
            of_forged = metric in ("pixel_auc", "pixel_f1")
            n = counts[0] if of_forged else counts[1] if metric in _OF_AUTHENTIC else sum(counts)
            interval = score.get("intervals", {}).get(metric)
            numbers.append(Number(metric, value, Interval(*interval) if interval else None, n))
    return numbers


def score_table(score: Mapping[str, Any], name: str) -> list[list[str]]:
    """A score as the cells of a table, its head first: a row for each method, and for each kind of forgery in it.

    Args:
        score: See the module.
        name: Of the checkpoint.

    Example:
        >>> score = {"methods": {"ours": {"pixel_f1": 0.5, "by_type": {"splicing": {"n": 3, "pixel_f1": 0.6}}}},
        ...          "n_forged": 5, "n_authentic": 0, "intervals": {"pixel_f1": [0.4, 0.6]}}
        >>> score_table(score, "ours")
        [['', 'pixel F1'], ['ours', '.500 [.400, .600]'], ['- splicing (n = 3)', '.600']]
    """
    methods = score["methods"] if "methods" in score else {name: score["values"]}
    columns = [metric for metric in METRICS if any(values.get(metric) is not None for values in methods.values())]
    intervals = {number.metric: number.interval for number in own_numbers(score)}
    rows = [["", *(METRICS[metric][0] for metric in columns)]]
    for index, (method, values) in enumerate(methods.items()):
        cells = [_cell(values.get(metric), None if index else intervals.get(metric)) for metric in columns]
        rows.append([method, *cells])
        for kind, part in values.get("by_type", {}).items():
            rows.append([f"- {kind} (n = {part['n']})", *(_cell(part.get(metric), None) for metric in columns)])
    return rows


def false_alarms(score: Mapping[str, Any]) -> list[str]:
    """What a score says of authentic images, in sentences."""
    found = {number.metric: number for number in own_numbers(score)}
    where = _where(score)
    sentences = []
    if area := found.get("authentic_fpr"):
        sentences.append(f"{where}: {area.value:.1%} of the pixels of {area.n} authentic images are marked.")
    if rate := found.get("authentic_alarm_rate"):
        sentences.append(f"{where}: {rate.value:.1%} of {rate.n} authentic images have a marked pixel.")
    return sentences


def score_from_evaluation(results: Mapping[str, Any], weights_sha256: str, name: str) -> dict[str, Any]:
    """The score of a checkpoint in what `ifl-hub evaluate` wrote.

    Args:
        results: Content of a `results.json`.
        weights_sha256: Of the checkpoint; runs of other weights are not its own.
        name: Of the checkpoint.

    Returns:
        See the module; `robustness` maps each condition to its numbers where there is more than the clean one.

    Raises:
        ValueError: If the file is of another kind, or holds no run of these weights on unchanged images.
    """
    try:
        runs = [run for run in results["runs"] if run["weights_sha256"] == weights_sha256]
        clean = [run for run in runs if run["condition"] == "clean"]
        data, definition = results["data"], results["definition"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no results.json of `ifl-hub evaluate` ({error} is missing): name one") from error
    if not clean:
        raise ValueError(
            f"no evaluation of these weights ({weights_sha256[:8]}…): evaluate this checkpoint, then push it"
        )
    methods = {name: _means(clean[0])}
    for run in results["runs"]:
        if run["model"] == "baseline:ela" and run["condition"] == "clean":
            methods["error-level analysis"] = _means(run)
    score = {
        "data": data["name"],
        "split": data["split"],
        "fingerprint": data["fingerprint"],
        "date": None,
        "definition": ", ".join(f"{key} {value}" for key, value in definition.items()),
        "n_forged": data["n_forged"],
        "n_authentic": data["n_authentic"],
        "methods": methods,
        "intervals": {key: found for key in _OF_EVALUATIONS if (found := clean[0]["intervals_95"].get(key))},
    }
    if len(runs) > 1:
        score["robustness"] = {run["condition"]: _numbers(run["values"]) for run in runs}
    return score


def _means(run: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {
        group["group"]: {"n": group["n_forged"], **_numbers(group["values"])}
        for group in sorted(run["groups"], key=lambda group: group["group"])
        if group["grouping"] == "forgery_type" and group["n_forged"]
    }
    return {**_numbers(run["values"]), "by_type": kinds}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {metric: values[metric] for metric in _OF_EVALUATIONS if values.get(metric) is not None}


def _cell(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    return three(value) if interval is None else f"{three(value)} [{three(interval.low)}, {three(interval.high)}]"


def three(value: float | None) -> str:
    """Three decimals, without the zero before the point, a dash for unknown.

    Example:
        >>> three(0.25), three(-0.0714), three(1.0), three(None)
        ('.250', '-.071', '1.000', '-')
    """
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and text not in ("1.000", "-1.000") else text


def robustness_title(score: Mapping[str, Any]) -> str:
    """On what a score's robustness was measured: data, split and number of pictures.

    Example:
        >>> score = {"data": "casia1", "split": "validation", "n_forged": 116, "n_authentic": 90}
        >>> robustness_title(score), robustness_title({**score, "n_robustness": 20})
        ('casia1, validation split (206 pictures)', 'casia1, validation split (20 pictures)')
    """
    return f"{_where(score)} ({score.get('n_robustness', score['n_forged'] + score['n_authentic'])} pictures)"


def _where(score: Mapping[str, Any]) -> str:
    return score["data"] + (f", {score['split']} split" if score.get("split") else "")


def plotted(scores: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first score with a robustness grid, which is what the card's plot shows."""
    return next((score for score in scores if score.get("robustness")), None)
