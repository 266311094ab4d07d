"""The dataset doctor: what is wrong with a data set of forgeries, and what can be mended without losing anything."""

from .examination import check_dataset
from .findings import SEVERITY_OF, Finding, Report
from .repairs import ORIGINALS, Repairs, repair_dataset, undo_repairs

__all__ = [
    "ORIGINALS",
    "SEVERITY_OF",
    "Finding",
    "Repairs",
    "Report",
    "check_dataset",
    "repair_dataset",
    "undo_repairs",
]
