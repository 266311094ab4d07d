"""Structured results: the numbers of a card as `.eval_results/*.yaml`, the form that the Hub reads."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from .results import METRICS, Number, own_numbers

FOLDER = ".eval_results"


def eval_results(description: Mapping[str, Any]) -> dict[str, str]:
    """The result files of a described checkpoint, by their names in its repository.

    One file a data set and split, one entry a number. The form has no place for what a number rests on, so its notes
    hold the definition, the split, the count of images and the 95 % interval. The data set's revision is the
    fingerprint of the images, where it is known: these sets are folders on a disk, no repositories on the Hub.

    Example:
        >>> score = {"data": "mine", "split": None, "n_forged": 5, "n_authentic": 0, "definition": "mean over images",
        ...          "values": {"pixel_f1": 0.5}, "date": "2026-11-26"}
        >>> [name] = eval_results({"scores": [score]})
        >>> name
        '.eval_results/mine.yaml'
    """
    files = {}
    for score in description.get("scores", []):
        entries = _entries(score)
        if entries:
            name = _slug("-".join(filter(None, (score["data"], score.get("split")))))
            files[f"{FOLDER}/{name}.yaml"] = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=120)
    return files


def _entries(score: Mapping[str, Any]) -> list[dict[str, Any]]:
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    return eval_result_entries_to_yaml(
        [
            EvalResultEntry(
                dataset_id=_slug(score["data"]),
                task_id=number.metric,
                value=number.value,
                dataset_revision=score.get("fingerprint"),
                date=score.get("date"),
                notes=_notes(score, number),
            )
            for number in own_numbers(score)
        ]
    )


def _notes(score: Mapping[str, Any], number: Number) -> str:
    title, meaning = METRICS[number.metric]
    interval = number.interval
    parts = [
        f"{title}: {meaning}",
        f"definition: {score['definition']}",
        f"split: {score.get('split') or 'all'}",
        f"n: {number.n}",
        f"95 % interval: {f'{interval.low:.4f} to {interval.high:.4f}' if interval else 'not computed'}",
    ]
    if score.get("fingerprint"):
        parts.append("revision: SHA-256 of the list of images")
    return "; ".join(parts)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")
