"""Named protocols: on which images, prepared how and scored by which definition the papers' tables were made.

A protocol names what a paper tested on; it brings no data. A run under it takes over its preset and its robustness
grid, says how the run departs from it (other image counts, another preprocessing), and prints the paper's numbers
beside its own, marked *paper*.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .labelled_images import EvaluationError
from .paper_tables import PAPER_TABLES, PaperNumber, PaperTable


@dataclass(frozen=True)
class ProtocolDataset:
    """A test set of a protocol.

    Args:
        name: As the paper's table calls it.
        source: As the `source` column of our metadata calls it.
        forged: Images with forgeries in the test part; None where the paper does not say.
        authentic: Authentic images in it; None where the paper does not say.
        split: Which part of the set it is.
    """

    name: str
    source: str
    forged: int | None
    authentic: int | None
    split: str = "the whole set"


@dataclass(frozen=True)
class Protocol:
    """How a table was made.

    Args:
        name: That of the table, such as `"safl_net/table_4"`.
        datasets: What was tested on.
        preprocessing: How the paper feeds an image to its network; ours travels with each checkpoint.
        preset: Of `ifl_hub.metrics`: our reading of what the numbers mean.
        training: What the network had seen.
        grid: Robustness grid of `ifl_hub.evaluation.robustness`, or None.
    """

    name: str
    datasets: tuple[ProtocolDataset, ...]
    preprocessing: str
    preset: str
    training: str
    grid: str | None = None

    @property
    def table(self) -> PaperTable:
        """The paper's own numbers."""
        return PAPER_TABLES[self.name]

    def dataset(self, source: str) -> ProtocolDataset:
        """The test set whose images have this `source`.

        Raises:
            EvaluationError: If the protocol has no such set.

        Example:
            >>> PROTOCOLS["safl_net/table_4"].dataset("casia1").forged
            920
        """
        for dataset in self.datasets:
            if dataset.source == source:
                return dataset
        known = ", ".join(dataset.source for dataset in self.datasets)
        raise EvaluationError(
            f"protocol {self.name} has no data set {source!r} (the `source` of the rows); it has {known}"
        )

    def departures(self, dataset: ProtocolDataset, forged: int, authentic: int) -> list[str]:
        """What keeps a run from being comparable with the table, one sentence each.

        Args:
            dataset: The set that was tested on.
            forged: Forged images in the run.
            authentic: Authentic images in the run.

        Example:
            >>> protocol = PROTOCOLS["safl_net/table_4"]
            >>> protocol.departures(protocol.dataset("casia1"), 116, 90)[0]
            '116 forged images, the paper has 920'
        """
        counts = (("forged", forged, dataset.forged), ("authentic", authentic, dataset.authentic))
        found = [
            f"{ours} {kind} images, the paper {'does not say how many' if theirs is None else f'has {theirs}'}"
            for kind, ours, theirs in counts
            if ours != theirs
        ]
        return [
            *found,
            f"preprocessing is each checkpoint's own, the paper's: {self.preprocessing}",
            f"the paper's networks were trained on: {self.training}",
        ]

    def paper_numbers(self, dataset: ProtocolDataset) -> list[PaperNumber]:
        """The paper's numbers on one of its sets, all conditions of a robustness table included."""
        names = (dataset.name, f"{dataset.name}@")
        return [
            number
            for number in self.table.numbers()
            if number.dataset == names[0] or number.dataset.startswith(names[1])
        ]


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        EvaluationError: If there is none; the message lists all.
    """
    if name not in PROTOCOLS:
        raise EvaluationError(f"no protocol {name!r}: choose from {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


_CASIA1 = ProtocolDataset("CASIA", "casia1", 920, 800)
_COLUMBIA = ProtocolDataset("Columbia", "columbia", 180, 183)
_COVERAGE = ProtocolDataset("Coverage", "coverage", 100, 100)
_NIST16 = ProtocolDataset("NIST16", "nist16", 564, 0)
_OWN_PART = "the paper's test part; its list is not published"

_CROPS_256 = "forged images cropped to 256x256"
_RESIZE_512 = "resized to 512x512"

_SUMI_TRAINING = "training parts of DEFACTO-12, SSRGFD and CASIAv2, and Spliced COCO"
_SAFL_TRAINING = "48 000 synthesized and public images (ProDEFACTO, PSBattles)"
_DIFF_TRAINING = "CASIAv2 and Fantastic-Reality"

_SAFL_PUBLIC = (_COLUMBIA, _COVERAGE, _CASIA1, _NIST16, ProtocolDataset("IMD20", "imd2020", 2010, 414))
_NCL_SETS = (
    ProtocolDataset("NIST16", "nist16", 160, 0, "404 train, 160 test, the practice the paper cites; not de-duplicated"),
    ProtocolDataset("CASIA", "casia1", 920, 800, "train on CASIA v2, test on CASIA v1, the practice the paper cites"),
    ProtocolDataset("Coverage", "coverage", 25, None, "75 train, the rest test"),
    ProtocolDataset("Columbia", "columbia", None, None, _OWN_PART),
    ProtocolDataset("Defacto", "defacto", None, None, "Defacto-12K"),
)
_DIFF_CASIA = ProtocolDataset("CASIA1.0+", "casia1", 920, 800, "forged of CASIA v1, authentic exchanged for Corel")
_DIFF_EDITING = (_DIFF_CASIA, _COLUMBIA, ProtocolDataset("IMD2020", "imd2020", 2010, 414))
_DIFF_AUTOSPLICE = ProtocolDataset("AutoSplice", "autosplice", 3621, 2273)

_ALL = (
    Protocol(
        "sumi_ifl/table_2",
        (
            ProtocolDataset("DEFACTO-12", "defacto12", None, None, _OWN_PART),
            ProtocolDataset("SSRGFD", "ssrgfd", None, None, _OWN_PART),
            ProtocolDataset("CASIAv2", "casia2", None, None, _OWN_PART),
        ),
        _CROPS_256,
        "paper_sumi_ifl",
        _SUMI_TRAINING,
    ),
    Protocol(
        "sumi_ifl/table_3",
        (ProtocolDataset("CIMD", "cimd", 100, 100), ProtocolDataset("NIST16", "nist16", 288, 288)),
        _CROPS_256,
        "paper_sumi_ifl",
        _SUMI_TRAINING,
    ),
    Protocol("ncl/table_1", _NCL_SETS, _RESIZE_512, "paper_ncl", "the training part of each set, from scratch"),
    Protocol("ncl/table_2", _NCL_SETS, _RESIZE_512, "paper_ncl", "the set that the row names, from scratch"),
    Protocol("ncl/table_3", _NCL_SETS[:1], _RESIZE_512, "paper_ncl", "the training part of NIST16", "ncl"),
    Protocol("safl_net/table_4", _SAFL_PUBLIC, _RESIZE_512, "paper_safl_net", _SAFL_TRAINING),
    Protocol(
        "safl_net/table_5",
        (ProtocolDataset("CASIA-D", "casia_d", None, None, "the mixture of CASIA v1 and v2 that SPAN introduced"),),
        _RESIZE_512,
        "paper_safl_net",
        _SAFL_TRAINING,
    ),
    Protocol(
        "safl_net/table_6",
        (
            ProtocolDataset("Coverage", "coverage", 25, None, "75 train, the rest test"),
            _CASIA1,
            ProtocolDataset("NIST16", "nist16", 160, 0, "404 train, 160 test, the practice the paper cites"),
        ),
        _RESIZE_512,
        "paper_safl_net",
        f"{_SAFL_TRAINING}, then the training part of each set",
    ),
    Protocol("safl_net/table_7", (_NIST16,), _RESIZE_512, "paper_safl_net", _SAFL_TRAINING, "safl_net"),
    Protocol(
        "diff_forensics/table_2",
        (
            *_DIFF_EDITING,
            _NIST16,
            ProtocolDataset("DSO-1", "dso1", None, None),
            ProtocolDataset("Korus", "korus", None, None),
            _DIFF_AUTOSPLICE,
            ProtocolDataset("OpenForensics", "openforensics", None, None),
        ),
        _RESIZE_512,
        "paper_diff_forensics",
        _DIFF_TRAINING,
    ),
    Protocol(
        "diff_forensics/table_3",
        (*_DIFF_EDITING, _DIFF_AUTOSPLICE),
        _RESIZE_512,
        "paper_diff_forensics",
        _DIFF_TRAINING,
    ),
    Protocol(
        "exposing_deception/table_1",
        (
            ProtocolDataset("FF++ (C23)", "faceforensics_c23", None, None, "official test videos, every fifth frame"),
            ProtocolDataset("Celeb-DF-V2", "celeb_df_v2", None, None),
            ProtocolDataset("DFDC", "dfdc", None, None),
        ),
        "face crops at 224x224",
        "paper_exposing_deception",
        "the training part of each set",
    ),
    Protocol(
        "exposing_deception/table_2",
        (
            ProtocolDataset("CD1", "celeb_df_v1", None, None),
            ProtocolDataset("CD2", "celeb_df_v2", None, None),
            ProtocolDataset("DFDC-P", "dfdc_preview", None, None),
            ProtocolDataset("DFDC", "dfdc", None, None),
        ),
        "face crops at 224x224",
        "paper_exposing_deception",
        "FaceForensics++ (C23)",
    ),
    Protocol(
        "exposing_deception/table_3",
        (
            ProtocolDataset("CD2", "celeb_df_v2", None, None),
            ProtocolDataset("DFDC-P", "dfdc_preview", None, None),
            ProtocolDataset("DFDC", "dfdc", None, None),
        ),
        "face crops at 224x224",
        "paper_exposing_deception",
        "FaceForensics++ (C23)",
    ),
)

#: Every protocol by name. The tables of ablations have none: they need networks that only their authors have.
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({protocol.name: protocol for protocol in _ALL})
