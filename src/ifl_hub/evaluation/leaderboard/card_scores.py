"""A checkpoint's numbers as its card states them (`ifl_hub.hub.results`), from the statistics that ship."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...metrics import ImageCounts
from ..comparison import paired_bootstrap
from .statistics import STATISTICS, RunStatistics, TestSetStatistics, load_statistics
from .values import Measured, of_type, pixel_column, summarize

DEFINITION = "per-image mean over forged images, original pixel grid; F1 at p > 0.5; AUC exact, ties 1/2"
_COMPARED = ("baseline:ela", "error-level analysis")
_STATED = ("pixel_auc", "pixel_f1", "authentic_fpr", "authentic_alarm_rate", "image_auc")
_BY_TYPE = ("pixel_auc", "pixel_f1")


def card_scores(name: str, weights_sha256: str, date: str, folder: Path = STATISTICS) -> list[dict[str, Any]]:
    """The scores of a checkpoint on every test set where these weights were measured.

    Args:
        name: Of the checkpoint.
        weights_sha256: Of its weights; statistics of other weights are left out.
        date: Of the measurement, as the card states it.
        folder: By default the statistics that ship.

    Returns:
        For each test set the numbers beside those of error-level analysis, with intervals, the paired difference and,
        where it was measured, the robustness.

    Example:
        >>> card_scores("a checkpoint that nobody measured", "0" * 64, "2026-11-26")
        []
    """
    return [
        _score(measured, name, run, date)
        for measured in load_statistics(folder)
        if (run := measured.runs.get(name)) is not None and run.facts["weights_sha256"] == weights_sha256
    ]


def _score(measured: TestSetStatistics, name: str, run: RunStatistics, date: str) -> dict[str, Any]:
    clean = run.counts["clean"]
    ours = summarize(clean)
    score = {
        "data": measured.test_set.folder,
        "split": measured.test_set.split,
        "date": date,
        "definition": DEFINITION,
        "fingerprint": run.facts["fingerprint"],
        "n_forged": sum(row.is_forged for row in clean),
        "n_authentic": sum(not row.is_forged for row in clean),
        "methods": {name: _stated(ours) | {"by_type": _by_type(measured, clean)}},
        "intervals": {key: [found.low, found.high] for key in _STATED if (found := ours[key]) is not None},
    }
    if (compared := measured.runs.get(_COMPARED[0])) is not None:
        theirs = compared.counts["clean"]
        score["methods"][_COMPARED[1]] = _stated(summarize(theirs)) | {"by_type": _by_type(measured, theirs)}
        score["difference"] = {key: _difference(clean, theirs, key) for key in _BY_TYPE}
    if len(run.counts) > 1:
        judged = {str(row.name) for condition, rows in run.counts.items() if condition != "clean" for row in rows}
        rows = {condition: of_type(counts, judged) for condition, counts in run.counts.items()}
        score["robustness"] = {condition: _stated(summarize(counts)) for condition, counts in rows.items()}
        score["n_robustness"] = len(judged)
    return score


def _stated(summary: dict[str, Measured | None]) -> dict[str, float]:
    return {key: found.value for key in _STATED if (found := summary[key]) is not None}


def _by_type(measured: TestSetStatistics, counts: Sequence[ImageCounts]) -> dict[str, dict[str, Any]]:
    parts = {}
    for kind, names in measured.names_by_type().items():
        summary = summarize(of_type(counts, names))
        parts[kind] = {"n": len(names)} | {key: part.value for key in _BY_TYPE if (part := summary[key]) is not None}
    return parts


def _difference(ours: Sequence[ImageCounts], theirs: Sequence[ImageCounts], key: str) -> dict[str, float]:
    """Of the forged images, as both were judged on the same ones in the same order."""
    pairs = zip(pixel_column(ours, key), pixel_column(theirs, key), strict=True)
    defined = [(mine, other) for mine, other in pairs if mine is not None and other is not None]
    return paired_bootstrap([mine for mine, _ in defined], [other for _, other in defined])._asdict()
