"""What an evaluation leaves behind: one table to read, and files with every number and its definition."""

import csv
import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import write_atomically
from ..metrics import Definition
from .curves import Curve, plot_curves
from .labelled_images import EvaluationError
from .paper_tables import PaperNumber
from .protocols import Protocol, ProtocolDataset
from .robustness import CLEAN
from .scores import GROUPINGS, Group, RunScores
from .store import EvaluationFolder, ImageRecord

#: Columns of the table: of each line the first number that the definition reports.
_COLUMNS = (
    {"pixel_f1": "pixel F1", "pixel_iou": "pixel IoU", "pixel_miou": "pixel mIoU"},
    {"pixel_auc": "pixel AUC", "pixel_f1_oracle": "best F1", "pixel_miou_pooled": "pooled mIoU"},
    {"image_auc": "image AUC"},
    {"image_balanced_acc": "balanced acc.", "image_acc": "image acc."},
    {"authentic_fpr": "false-alarm area"},
    {"authentic_alarm_rate": "alarm rate"},
)
_NAMES = {key: name for column in _COLUMNS for key, name in column.items()}
_INTERVALS_IN_TABLE = ("pixel_f1", "pixel_auc", "image_auc")


class Evaluation:
    """All that one call measured, ready to be printed and written.

    Args:
        folder: What was judged.
        kept: The images that every number is about.
        left_out: `NAME: reason` of each other image.
        definition: What the numbers mean.
        scores: Of every localizer and condition, clean ones first.
        metrics: Keys that robustness is shown by.
        curves: Of a robustness grid.
        protocol: And its data set, if a protocol was asked for.
    """

    def __init__(
        self,
        folder: EvaluationFolder,
        kept: Sequence[ImageRecord],
        left_out: Sequence[str],
        definition: Definition,
        scores: Sequence[RunScores],
        metrics: Sequence[str],
        curves: Sequence[Curve] = (),
        protocol: tuple[Protocol, ProtocolDataset] | None = None,
    ) -> None:
        self.folder = folder
        self.kept = kept
        self.left_out = left_out
        self.definition = definition
        self.scores = scores
        self.metrics = metrics
        self.curves = curves
        self.protocol = protocol
        self.n_forged = sum(record.label == "forged" for record in kept)

    def table(self) -> str:
        """The comparison as a person reads it."""
        parts = [self._heading(), self._scores_table()]
        if self._conditions() != [CLEAN]:
            parts += [self._robustness_table(metric) for metric in self.metrics]
        if self.curves:
            parts.append(self._areas_table())
        parts.append(self._groups_table())
        if self.protocol:
            parts.append(self._paper_table())
        return "\n\n".join(parts) + "\n"

    def write(self, target: Path, parquet: bool = False) -> None:
        """Write `summary.txt`, `results.json`, `per_image.csv`, `groups.csv`; of a grid `robustness.csv`, `curves.png`.

        Args:
            target: Folder; created if missing.
            parquet: Also write `per_image.parquet`.

        Raises:
            EvaluationError: If a package is missing that draws curves or writes Parquet; all other files are there.
        """
        write_atomically(target / "summary.txt", self.table().encode())
        text = json.dumps(self.as_dict(), ensure_ascii=False, indent=1) + "\n"
        write_atomically(target / "results.json", text.encode())
        rows = self._image_rows()
        write_atomically(target / "per_image.csv", _to_csv(rows))
        write_atomically(target / "groups.csv", _to_csv(self._group_rows()))
        if self._conditions() != [CLEAN]:
            write_atomically(target / "robustness.csv", _to_csv(self._robustness_rows()))
        try:
            if self.curves:
                plot_curves(target / "curves.png", self.curves)
            if parquet:
                _write_parquet(target / "per_image.parquet", rows)
        except ImportError as error:
            raise EvaluationError(
                f"{error.name} is missing: pip install 'ifl-hub[report,train]', call again"
            ) from error

    def as_dict(self) -> dict[str, Any]:
        """Every number with its definition and origin, JSON-able and the same whenever it is computed."""
        from .. import __version__

        return {
            "definition": self.definition.as_dict(),
            "data": {
                "name": self.folder.name,
                "split": self.folder.split,
                "fingerprint": self.folder.fingerprint,
                "n_images": len(self.kept),
                "n_forged": self.n_forged,
                "n_authentic": len(self.kept) - self.n_forged,
                "n_skipped": len(self.left_out),
                "skipped": list(self.left_out),
            },
            "intervals": "95 % percentile bootstrap over images, 1000 draws; thresholds chosen on the data held fixed",
            "ifl_hub": __version__,
            "runs": [_run_as_dict(run) for run in self.scores],
            "curves": [
                {
                    "model": curve.model,
                    "family": curve.family,
                    "metric": curve.metric,
                    "area_under_curve": curve.area,
                    "points": curve.points,
                }
                for curve in self.curves
            ],
            "paper": self._paper_as_dict(),
        }

    def _heading(self) -> str:
        name = self.folder.name + (f", split {self.folder.split}" if self.folder.split else "")
        choices = self.definition.as_dict()
        definition = f"definition {choices.pop('preset')}: " + ", ".join(f"{key} {v}" for key, v in choices.items())
        lines = [
            f"{name}: {self.n_forged} forged, {len(self.kept) - self.n_forged} authentic, "
            f"{len(self.left_out)} left out; fingerprint {self.folder.fingerprint[:16]}",
            *textwrap.wrap(definition, 118, subsequent_indent="  "),
            *(f"left out: {reason}" for reason in self.left_out[:5]),
        ]
        if len(self.left_out) > 5:
            lines.append(f"left out: {len(self.left_out) - 5} more, see results.json")
        return "\n".join(lines)

    def _conditions(self) -> list[str]:
        return list(dict.fromkeys(run.condition for run in self.scores))

    def _values_by_condition(self, metric: str) -> dict[str, dict[str, float | None]]:
        """Model to condition to value, the clean one first."""
        values: dict[str, dict[str, float | None]] = {}
        for run in self.scores:
            values.setdefault(run.model, {})[run.condition] = run.value(metric)
        return values

    def _robustness_table(self, metric: str) -> str:
        """A line a condition, a column a model: names of conditions are long."""
        by_model = self._values_by_condition(metric)
        rows = [
            [condition, *(_number(values.get(condition)) for values in by_model.values())]
            for condition in self._conditions()
        ]
        return f"Robustness, {_NAMES.get(metric, metric)}\n" + _aligned([["condition", *by_model], *rows])

    def _robustness_rows(self) -> list[dict[str, Any]]:
        conditions = self._conditions()
        return [
            {"model": model, "metric": metric, **{condition: values.get(condition) for condition in conditions}}
            for metric in self.metrics
            for model, values in self._values_by_condition(metric).items()
        ]

    def _scores_table(self) -> str:
        reported = [[key for key in column if key in self.definition.reports] for column in _COLUMNS]
        keys = [column[0] for column in reported if column]
        rows = [
            [run.model, (run.facts["weights_sha256"] or "-")[:8], *(_cell(run, key) for key in keys)]
            for run in self.scores
            if run.condition == self._conditions()[0]
        ]
        return _aligned([["model", "weights", *(_NAMES[key] for key in keys)], *rows])

    def _areas_table(self) -> str:
        rows = [[curve.model, curve.family, curve.metric, f"{curve.area:.4f}"] for curve in self.curves]
        return "Areas under the robustness curves (mean height)\n" + _aligned(
            [["model", "over", "metric", "area"], *rows]
        )

    def _groups_table(self) -> str:
        parts = []
        for run in self.scores:
            if run.condition == CLEAN and not run.model.startswith("baseline:"):
                names = list(run.groups[0].values) if run.groups else []
                rows = [_group_cells(group, names) for group in run.groups if not _is_trivial(group, self.kept)]
                head = ["group", "forged", "authentic", *(_NAMES.get(name, name) for name in names)]
                parts.append(f"{run.model}, the worst group first\n" + _aligned([head, *rows]))
        return "\n\n".join(parts) or "Groups: see groups.csv"

    def _paper_table(self) -> str:
        assert self.protocol is not None
        protocol, dataset = self.protocol
        rows = [
            [f"paper: {number.method}", number.dataset, number.metric, f"{number.value:.4f}"]
            for number in protocol.paper_numbers(dataset)
        ]
        note = f" ({protocol.table.note})" if protocol.table.note else ""
        departures = protocol.departures(dataset, self.n_forged, len(self.kept) - self.n_forged)
        return "\n".join(
            [
                f"paper: the numbers below are printed in {protocol.table.source}{note}; none was measured here",
                *(f"paper: not comparable as it stands: {line}" for line in departures),
                _aligned([["paper", "data set", "metric", "value"], *rows]),
            ]
        )

    def _paper_as_dict(self) -> dict[str, Any] | None:
        if self.protocol is None:
            return None
        protocol, dataset = self.protocol
        numbers: list[PaperNumber] = protocol.paper_numbers(dataset)
        return {
            "protocol": protocol.name,
            "source": protocol.table.source,
            "note": protocol.table.note,
            "departures": protocol.departures(dataset, self.n_forged, len(self.kept) - self.n_forged),
            "numbers": [{**number._asdict(), "mark": "paper"} for number in numbers],
        }

    def _image_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "model": run.model,
                "weights_sha256": run.facts["weights_sha256"],
                "condition": run.condition,
                "file_name": record.name,
                "label": record.label,
                **{name: getattr(record, name) for name in GROUPINGS},
                "height": record.height,
                "width": record.width,
                **{key: value for key, value in values.items() if key != "name"},
                "definition": self.definition.preset,
            }
            for run in self.scores
            for record, values in zip(self.kept, run.per_image, strict=True)
        ]

    def _group_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "model": run.model,
                "condition": run.condition,
                "grouping": group.grouping,
                "group": group.group,
                "n_forged": group.n_forged,
                "n_authentic": group.n_authentic,
                **group.values,
                "definition": self.definition.preset,
            }
            for run in self.scores
            for group in run.groups
        ]


def _run_as_dict(run: RunScores) -> dict[str, Any]:
    result = {key: value for key, value in run.result.items() if key != "definition"}
    return {
        **run.facts,
        "values": result,
        "intervals_95": dict(run.intervals),
        "groups": [{**vars(group), "values": dict(group.values)} for group in run.groups],
    }


def _cell(run: RunScores, key: str) -> str:
    value, interval = run.value(key), run.intervals.get(key)
    if value is None or interval is None or key not in _INTERVALS_IN_TABLE:
        return _number(value)
    return f"{value:.4f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _is_trivial(group: Group, kept: Sequence[ImageRecord]) -> bool:
    """Whether a group is the whole data set over again, such as its only source."""
    return group.n_forged + group.n_authentic == len(kept)


def _group_cells(group: Group, names: Sequence[str]) -> list[str]:
    numbers = [_number(group.values[name]) for name in names]
    return [f"{group.grouping}: {group.group}", str(group.n_forged), str(group.n_authentic), *numbers]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first flush left, numbers flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column and _is_numeric(rows, column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() or row[column] == "-" for row in rows[1:])


def _to_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue().encode()


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), buffer)
    write_atomically(path, buffer.getvalue())
