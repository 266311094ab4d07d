"""LEADERBOARD.md, the worst images, and the README's table of the zoo, all from what ships with the package."""

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...checkpoints import DEFAULT_CHECKPOINT, checkpoint_path, list_checkpoints
from ...metrics import ImageCounts
from ...metrics.pixel import f1
from ..baselines import BASELINES, PREFIX
from ..comparison import paired_bootstrap
from ..explaining import explain, worst_first
from ..protocols import PROTOCOLS
from .measuring import ROBUSTNESS_IMAGES, leaderboard_names
from .statistics import TEST_SETS, RunStatistics, TestImage, TestSetStatistics, load_speed, load_statistics
from .values import Measured, of_type, pixel_column, robustness_area, summarize

_TEMPLATE = Path(__file__).parent / "leaderboard.md"
_ROBUSTNESS_FAMILIES = {
    "jpeg_quality": "JPEG, quality 90 to 50",
    "gaussian_blur_sigma": "blur, sigma 0 to 2 px",
    "gaussian_noise_std": "noise, deviation 0 to 10 levels",
    "resize_factor": "resize, factor 1 to 0.5",
}
_WORST = 12
_PAPER_KEYS = ("pixel_auc", "pixel_f1")
_OWN_ROWS = ("SUMI-IFL", "NCL", "SAFL-Net", "DiffForensics")


def render_leaderboard(measured: Sequence[TestSetStatistics] | None = None) -> str:
    """LEADERBOARD.md.

    Args:
        measured: By default the statistics that ship.
    """
    measured = load_statistics() if measured is None else measured
    processors = sorted({speed["processor"] for speed in load_speed().values()})
    return string.Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        sets="\n\n".join(part for one in measured for part in _set_section(one)),
        differences=_differences_table(measured),
        robustness=_robustness_table(measured[0]),
        robustness_images=ROBUSTNESS_IMAGES,
        processors=", ".join(processors) or "not measured yet",
        cost=_cost_table(),
        papers=_papers_table(),
    )


def render_worst(measured: Sequence[TestSetStatistics] | None = None, name: str = DEFAULT_CHECKPOINT) -> str:
    """The worst images of every set, each with a sentence on what went wrong, as a Markdown section.

    Args:
        measured: By default the statistics that ship.
        name: Of the localizer.
    """
    parts = []
    for one in load_statistics() if measured is None else measured:
        run = one.runs.get(name)
        if run is not None:
            parts += [f"### {one.test_set.title}", _worst_table(one.images, run.counts["clean"])]
    return "\n\n".join(parts)


def render_zoo_table(measured: Sequence[TestSetStatistics] | None = None) -> str:
    """The README's table: a row for each checkpoint that `list_checkpoints()` knows.

    Args:
        measured: By default the statistics that ship.
    """
    measured = load_statistics() if measured is None else measured
    casia = next((one for one in measured if one.test_set is TEST_SETS[0]), None)
    rows = [_zoo_row(name, casia.runs.get(name) if casia else None) for name in list_checkpoints()]
    return _table(["checkpoint", "method", "finds", "class", "parameters", "size", "on held-out data"], rows)


def render_calibration(measured: Sequence[TestSetStatistics] | None = None) -> str:
    """The diagram and the table of docs/calibration.md: a row for each calibrated checkpoint.

    Args:
        measured: By default the statistics that ship.
    """
    casia = next(iter(load_statistics() if measured is None else measured))
    head = ["", "temperature", "map: error", "score: temperature, bias", "score: error", "threshold"]
    known = {name: facts for name, facts in list_checkpoints().items() if "calibration" in facts}
    if not known:
        return "*No checkpoint is calibrated yet: their three fields change nothing.*"
    rows = [_calibration_row(name, facts, casia.runs.get(name)) for name, facts in known.items()]
    table = _table([*head, "label, photos", "label, synthetic", "label, CASIA v1"], rows)
    return f"![Reliability of maps and scores, before and after](calibration.png)\n\n{table}"


def _calibration_row(name: str, facts: Mapping[str, Any], run: RunStatistics | None) -> list[str]:
    point, calibration = facts["operating_point"], facts["calibration"]
    fitted = calibration["fitted"]
    errors = [
        f"{_bare(calibration[of]['before']['error'])} → {_bare(calibration[of]['after']['error'])}"
        for of in ("pixels", "score")
    ]
    photos = [f"{_bare(size['false_alarm_rate'])} (n = {size['n']})" for size in point["by_longer_side"].values()]
    values = summarize(run.counts["clean"], run.facts["score_threshold"]) if run else {}
    casia = [_cell(values.get(key)) for key in ("false_alarms", "called_forged")]
    scale = f"{fitted['score_temperature']:.2f}, {fitted['score_bias']:.2f}"
    return [
        _name(name),
        f"{fitted['temperature']:.2f}",
        errors[0],
        scale,
        errors[1],
        _bare(point["score_threshold"]),
        " / ".join(photos),
        f"{_bare(point['sensitivity'])} (n = {point['n_forged']})",
        " / ".join(casia),
    ]


def _set_section(one: TestSetStatistics) -> list[str]:
    forged = [image for image in one.images if image.n_forged]
    authentic = len(one.images) - len(forged)
    counted = f"{len(forged)} forged, {authentic} authentic pictures."
    results = {
        name: summarize(run.counts["clean"], run.facts["score_threshold"])
        for name, run in ((name, one.runs[name]) for name in leaderboard_names() if name in one.runs)
    }
    keys = {"pixel_auc": "pixel AUC", "pixel_f1": "F1", "pixel_f1_oracle": "best F1", "pixel_iou": "IoU"}
    if authentic:
        keys |= {"authentic_fpr": "false-alarm area", "authentic_alarm_rate": "false-alarm rate"}
        keys |= {"image_auc": "image AUC"}
    bare = ("pixel_f1_oracle", "pixel_iou")
    rows = [
        [_name(name), *(_cell(values[key], key not in bare) for key in keys), _label_cell(values, authentic > 0)]
        for name, values in results.items()
    ]
    parts = [
        f"## {one.test_set.title}",
        f"{counted} {one.test_set.note}",
        _table(["", *keys.values(), "label"], rows),
    ]
    types = one.names_by_type()
    return [*parts, _types_table(one, types)] if len(types) > 1 else parts


def _types_table(one: TestSetStatistics, types: Mapping[str, set[str]]) -> str:
    head = [f"{kind} ({len(names)}): {number}" for kind, names in types.items() for number in ("AUC", "F1")]
    rows = []
    for name in leaderboard_names():
        if name in one.runs:
            clean = one.runs[name].counts["clean"]
            values = [summarize(of_type(clean, names)) for names in types.values()]
            cells = [_cell(value[key]) for value in values for key in ("pixel_auc", "pixel_f1")]
            rows.append([_name(name), *cells])
    return _table(["", *head], rows)


def _differences_table(measured: Sequence[TestSetStatistics]) -> str:
    rows = []
    for name in leaderboard_names():
        if not name.startswith(PREFIX):
            cells = [
                _difference_cell(one, name, key) if name in one.runs else "-" for one in measured for key in _PAPER_KEYS
            ]
            rows.append([_name(name), *cells])
    head = [f"{one.test_set.folder}: {label}" for one in measured for label in ("AUC", "F1")]
    return _table(["", *head], rows)


def _difference_cell(one: TestSetStatistics, name: str, key: str) -> str:
    """How far a checkpoint is above the best of the baselines, the copy-move matcher apart, on the same pictures."""
    values = {}
    for other in (name, *(f"{PREFIX}{baseline}" for baseline in BASELINES if baseline != "copy-move")):
        if other in one.runs:
            forged = [row for row in one.runs[other].counts["clean"] if row.is_forged]
            values[other] = [float(value or 0) for value in pixel_column(forged, key)]
    ours = values.pop(name)
    best = max(values, key=lambda other: sum(values[other]))
    difference = paired_bootstrap(ours, values[best])
    bounds = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.mean:+.3f} {bounds} ({best.removeprefix(PREFIX)})"


def _robustness_table(one: TestSetStatistics) -> str:
    rows = []
    for name in leaderboard_names():
        run = one.runs.get(name)
        if run is not None and len(run.counts) > 1:
            areas = [
                [_bare(robustness_area(run, family, key)) for key in ("pixel_auc", "pixel_f1")]
                for family in _ROBUSTNESS_FAMILIES
            ]
            rows.append([_name(name), *(" / ".join(area) for area in areas)])
    return _table(["", *_ROBUSTNESS_FAMILIES.values()], rows)


def _cost_table() -> str:
    speeds, known = load_speed(), list_checkpoints()
    rows = []
    for name in leaderboard_names():
        facts, speed = known.get(name), speeds.get(name)
        size = [f"{facts['parameters'] / 1e6:.2f} M", f"{facts['size_bytes'] / 1e6:.1f} MB"] if facts else ["-", "-"]
        rows.append([_name(name), *size, f"{speed['milliseconds']} ms" if speed else "-"])
    return _table(["", "parameters", "weights", "CPU time"], rows)


def _papers_table() -> str:
    """The row of each paper's own method, on the data sets of the leaderboard."""
    sources = {test_set.folder for test_set in TEST_SETS}
    rows = []
    for protocol in PROTOCOLS.values():
        for dataset in protocol.datasets:
            numbers: dict[str, dict[str, float]] = {}
            for number in protocol.paper_numbers(dataset) if dataset.source in sources else ():
                if number.method in _OWN_ROWS and number.metric in _PAPER_KEYS:
                    numbers.setdefault(number.method, {})[number.metric] = number.value
            for method, found in numbers.items():
                values = [_bare(found.get(key)) for key in _PAPER_KEYS]
                rows.append([method, protocol.table.source, dataset.name, protocol.training, *values])
    return _table(["*paper*: method", "source", "data set", "trained on", "AUC", "F1"], rows)


def _worst_table(images: Sequence[TestImage], counts: Sequence[ImageCounts]) -> str:
    types = {image.name: image.forgery_type for image in images}
    rows = [
        [
            f"`{Path(str(row.name)).name}`",
            _bare(f1(row.confusion())),
            _bare(row.pixel_auc),
            explain(types[str(row.name)], row),
        ]
        for row in worst_first(counts)[:_WORST]
    ]
    return _table(["image", "F1", "AUC", "what went wrong"], rows)


def _zoo_row(name: str, run: RunStatistics | None) -> list[str]:
    facts = list_checkpoints()[name]
    config = json.loads((Path(checkpoint_path(name)) / "config.json").read_text(encoding="utf-8"))
    faces = facts.get("task", "localization") != "localization"
    default = ", the default" if name == DEFAULT_CHECKPOINT else ""
    return [
        f"[`{name}`](model_cards/{name}.md){default}",
        facts["method"],
        "fake faces" if faces else "forged regions",
        f"`{config['architectures'][0]}`",
        f"{facts['parameters'] / 1e6:.2f} M",
        f"{facts['size_bytes'] / 1e6:.1f} MB",
        _face_result(facts["scores"]) if faces else _localization_result(run),
    ]


def _face_result(scores: Iterable[Mapping[str, object]]) -> str:
    values = [f"{score['data']}: image AUC {_bare(score['values']['image_auc'])}" for score in scores]  # type: ignore[index]
    return "; ".join(values)


def _localization_result(run: RunStatistics | None) -> str:
    if run is None:
        return "not measured"
    values = summarize(run.counts["clean"])
    return f"CASIA v1: AUC {_cell(values['pixel_auc'], False)}, F1 {_cell(values['pixel_f1'], False)}"


def _name(name: str) -> str:
    if name == DEFAULT_CHECKPOINT:
        return f"**{name}** (default)"
    return name if name.startswith(PREFIX) else f"**{name}**"


def _label_cell(values: Mapping[str, Measured | None], authentic: bool) -> str:
    shares = [values["called_forged"], *([values["false_alarms"]] if authentic else [])]
    return " / ".join(_bare(share.value if share else None) for share in shares)


def _cell(measured: Measured | None, interval: bool = True) -> str:
    if measured is None:
        return "-"
    bounds = f" [{_bare(measured.low)}, {_bare(measured.high)}]" if interval and measured.low < measured.high else ""
    return f"{_bare(measured.value)}{bounds}"


def _bare(value: float | None) -> str:
    """Three decimals without the leading zero, as the field writes them."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0") if value < 1 else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
