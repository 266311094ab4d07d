"""The papers' own numbers, as data: printed beside a run with the mark *paper*, never mixed with what was measured.

Transcribed from the tables of the five papers, every row as printed there; a dash is a number that a paper leaves out.
`percent` names the metrics that a paper prints in percent. Figures carry no numbers and are left out, as are tables of
run time. What each number means is often not said in the paper: `ifl_hub.metrics` has a preset `paper_<method>` with
our reading.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

PAPERS = {
    "sumi_ifl": "SUMI-IFL, AAAI 2025",
    "ncl": "NCL, ICCV 2023",
    "safl_net": "SAFL-Net, ICCV 2023",
    "diff_forensics": "DiffForensics, CVPR 2024",
    "exposing_deception": "Exposing the Deception, AAAI 2024",
}


class PaperNumber(NamedTuple):
    """One cell: `value` is a fraction in [0, 1] (a log loss may exceed it)."""

    method: str
    dataset: str
    metric: str
    value: float


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper.

    Args:
        name: Such as `"sumi_ifl/table_2"`.
        title: What it compares.
        columns: `(dataset as the paper calls it, key of our metrics)`; in a robustness table the dataset is followed
            by `@` and the condition's name.
        rows: Method, as the paper calls it, to the printed values or None.
        percent: Metrics that the paper prints in percent; the others are fractions.
        note: What a reader must know before comparing.
    """

    name: str
    title: str
    columns: tuple[tuple[str, str], ...]
    rows: dict[str, tuple[float | None, ...]]
    percent: tuple[str, ...] = ()
    note: str = ""

    @property
    def source(self) -> str:
        """Where it is from, such as `"SUMI-IFL, AAAI 2025, table 2"`."""
        paper, table = self.name.split("/")
        return f"{PAPERS[paper]}, {table.replace('_', ' ')}"

    def numbers(self) -> Iterator[PaperNumber]:
        """Every cell that is not empty, row by row, as a fraction.

        Example:
            >>> next(PAPER_TABLES["ncl/table_1"].numbers())
            PaperNumber(method='ELA', dataset='NIST16', metric='pixel_f1', value=0.236)
        """
        for method, values in self.rows.items():
            for (dataset, metric), value in zip(self.columns, values, strict=True):
                if value is not None:
                    scale = 100 if metric in self.percent else 1
                    yield PaperNumber(method, dataset, metric, round(value / scale, 6))


def _columns(datasets: str, *metrics: str) -> tuple[tuple[str, str], ...]:
    """Every metric of every dataset, the names separated by commas."""
    return tuple((dataset, metric) for dataset in datasets.split(", ") for metric in metrics)


def _rows(text: str) -> dict[str, tuple[float | None, ...]]:
    """`method | value value …` lines, `-` for an empty cell."""
    rows = [line.split("|") for line in text.strip().splitlines()]
    return {
        method.strip(): tuple(None if cell == "-" else float(cell) for cell in cells.split()) for method, cells in rows
    }


def _transposed(text: str, methods: str) -> dict[str, tuple[float | None, ...]]:
    """As `_rows` for a table whose lines are conditions and whose columns are methods."""
    lines = list(_rows(text).values())
    return {method: tuple(line[index] for line in lines) for index, method in enumerate(methods.split())}


_F1_AUC = ("pixel_f1", "pixel_auc")

_SUMI_IFL = (
    PaperTable(
        "sumi_ifl/table_2",
        "In-dataset localization",
        _columns("DEFACTO-12, SSRGFD, CASIAv2", *_F1_AUC),
        _rows("""
            MMFusion  | 0.8052 0.9056 0.5305 0.7864 0.5837 0.6928
            EITL-Net  | 0.8189 0.9381 0.5842 0.8269 0.5281 0.7581
            HiFi-Net  | 0.2235 0.4654 0.0977 0.5112 0.3496 0.5605
            WSCL      | 0.8395 0.9487 0.6471 0.8611 0.7347 0.8941
            IF-OSN    | 0.8258 0.9504 0.6734 0.8866 0.6867 0.8583
            MVSS-Net  | 0.7709 0.9373 0.5439 0.8538 0.5175 0.7781
            PSCC-Net  | 0.4846 0.6188 0.3817 0.4626 0.4381 0.5221
            SUMI-IFL  | 0.9249 0.9760 0.7995 0.9493 0.7604 0.8984
        """),
        note="256x256 crops; train and test parts of the same sets, whose split is not stated",
    ),
    PaperTable(
        "sumi_ifl/table_3",
        "Cross-dataset localization",
        _columns("CIMD, NIST16", *_F1_AUC),
        _rows("""
            MMFusion  | 0.1293 0.5486 0.5519 0.6470
            EITL-Net  | 0.0215 0.5598 0.3246 0.6901
            HiFi-Net  | 0.1049 0.5222 0.4021 0.5681
            WSCL      | 0.0734 0.6273 0.3136 0.6177
            IF-OSN    | 0.0426 0.5369 0.4326 0.6417
            MVSS-Net  | 0.0114 0.476  0.3181 0.7017
            PSCC-Net  | 0.1707 0.4404 0.5039 0.5153
            SUMI-IFL  | 0.1738 0.5513 0.6178 0.7339
        """),
        note="256x256 crops; whether the authentic images (100 and 288) count is not stated",
    ),
    PaperTable(
        "sumi_ifl/table_4",
        "Ablation of the losses",
        _columns("DEFACTO-12, SSRGFD", *_F1_AUC),
        _rows("""
            without L_SU  | 0.8335 0.8888 0.6783 0.7841
            without L_MI  | 0.8774 0.9523 0.6784 0.7942
            without L_aux | 0.9010 0.8972 0.7215 0.8765
            all           | 0.9249 0.9760 0.7995 0.9493
        """),
    ),
)

_NCL = (
    PaperTable(
        "ncl/table_1",
        "Localization, trained and tested on parts of the same set",
        _columns("NIST16, CASIA, Coverage, Columbia, Defacto", *_F1_AUC),
        _rows("""
            ELA          | 23.6 42.9 21.4 61.3 22.2 58.3 47.0 58.1 -    -
            NOI          | 28.5 48.7 26.3 61.2 26.9 58.7 57.4 54.6 -    -
            CFA          | 17.4 50.1 20.7 52.2 19.0 48.5 46.7 72.0 -    -
            J-LSTM       | -    76.4 -    -    -    61.4 -    -    -    -
            ManTra       | -    79.5 -    81.7 -    81.9 -    82.4 -    -
            RGB-N        | 72.2 93.7 40.8 79.5 43.7 81.7 69.7 85.8 -    -
            SPAN (1)     | 29.0 83.6 33.6 81.4 53.5 91.2 81.5 93.6 -    -
            SPAN (2)     | 58.2 96.1 38.2 83.8 55.8 93.7 -    -    -    -
            ObjectFormer | 82.4 99.6 57.9 88.2 75.8 95.7 -    -    -    -
            OSN          | 28.6 76.4 40.5 83.3 72.7 88.3 -    -    -    -
            MVSS-Net     | -    73.7 -    75.3 -    82.4 -    72.6 -    53.8
            MVSS-Net++   | -    71.5 -    77.1 -    52.5 -    56.3 -    88.6
            NCL          | 83.1 91.2 59.8 86.4 80.1 92.8 85.0 94.3 60.7 88.9
        """),
        percent=_F1_AUC,
        note="AUC called optimal, F1 threshold not stated; the authors later warned of near-duplicates across the "
        "NIST16 split; SPAN (1) pre-trained only, SPAN (2) fine-tuned",
    ),
    PaperTable(
        "ncl/table_2",
        "Generalization: one training set, five test sets",
        _columns("NIST16, CASIA, Coverage, Columbia, Defacto", "pixel_auc"),
        _rows("""
            MVSS-Net trained on CASIAv2   | 73.7 75.3 82.4 72.6 53.8
            NCL trained on CASIAv2        | 75.6 86.4 81.6 66.9 53.0
            MVSS-Net++ trained on Defacto | 71.5 77.1 52.5 56.3 88.6
            NCL trained on Defacto        | 77.3 75.6 58.7 52.3 88.9
            NCL trained on Coverage       | 58.1 54.6 92.8 52.2 51.9
            NCL trained on Columbia       | 58.9 57.3 51.5 95.3 52.6
            NCL trained on all            | 95.0 88.4 91.1 92.3 90.1
        """),
        percent=_F1_AUC,
        note="Columbia on Columbia is 95.3 here and 94.3 in table 1, as printed",
    ),
    PaperTable(
        "ncl/table_3",
        "Robustness on NIST16",
        tuple(
            (f"NIST16@{condition}", "pixel_auc")
            for condition in (
                *("clean", "resize_factor_0.78", "resize_factor_0.25"),
                *("gaussian_blur_kernel_3_px", "gaussian_blur_kernel_5_px"),
                *("gaussian_noise_std_3.0_levels", "gaussian_noise_std_5.0_levels"),
                *("jpeg_quality_50", "jpeg_quality_100"),
            )
        ),
        _transposed(
            """
            None                     | 79.5 83.6 91.2
            Resize(0.78x)            | 77.4 83.2 85.6
            Resize(0.25x)            | 75.5 80.3 83.1
            GaussianBlur(size=3)     | 77.4 83.1 84.0
            GaussianBlur(size=5)     | 74.6 79.2 80.6
            GaussianNoise(sigma=3)   | 67.4 75.1 79.5
            GaussianNoise(sigma=5)   | 58.6 67.3 71.4
            JPEGCompress(50)         | 77.9 83.6 84.3
            JPEGCompress(100)        | 74.4 80.7 81.9
        """,
            "ManTra-Net SPAN NCL",
        ),
        percent=_F1_AUC,
        note="quality 100 scores below quality 50 for all three methods: the two labels are probably swapped",
    ),
    PaperTable(
        "ncl/table_4",
        "NCL added to ObjectFormer",
        _columns("NIST16, CASIA, Coverage, Columbia, Defacto", *_F1_AUC),
        _rows("""
            ObjectFormer          | 82.4 99.6 57.9 88.2 75.8 95.7 -    -    -    -
            ObjectFormer with NCL | 84.4 99.6 59.1 88.8 77.4 96.0 -    -    -    -
            NCL                   | 83.1 91.2 59.8 86.4 80.1 92.8 85.0 94.3 60.7 88.9
        """),
        percent=_F1_AUC,
    ),
    PaperTable(
        "ncl/table_5",
        "Ablation of the parts",
        _columns("NIST16, CASIA, Coverage, Columbia, Defacto", "pixel_auc"),
        _rows("""
            Base trained on NIST16           | 75.6 26.4 21.6 16.9 4.3
            Base+Pivot trained on NIST16     | 85.6 60.8 71.7 66.1 41.4
            Base+Pivot+PC trained on NIST16  | 91.2 65.6 76.4 71.5 55.0
            Base trained on Defacto          | 30.3 25.8 17.4 14.0 54.6
            Base+Pivot trained on Defacto    | 70.4 72.1 51.1 50.9 78.2
            Base+Pivot+PC trained on Defacto | 77.3 75.6 58.7 52.3 88.9
        """),
        percent=_F1_AUC,
        note="values far below 50 cannot be an ordinary AUC of a mere failure: not to be reproduced",
    ),
    PaperTable(
        "ncl/table_6",
        "Place of the pivot network",
        _columns("CASIA", *_F1_AUC),
        _rows("""
            after ResNet block 5 | 43.8 70.2
            after ResNet block 2 | 56.3 79.0
            after ResNet block 1 | 59.8 86.4
        """),
        percent=_F1_AUC,
    ),
)

_SAFL_NET = (
    PaperTable(
        "safl_net/table_3",
        "Ablation of the modules",
        _columns("Columbia, Coverage, CASIA, NIST16, IMD20", "pixel_auc"),
        _rows("""
            0: Cls#0                   | 90.3 74.1 73.8 72.4 83.1
            1: Cls#1 (Baseline)        | 90.2 81.6 77.7 79.6 84.6
            2: Cls#1+bdSup#0           | 91.9 81.7 72.5 77.4 79.7
            3: Cls#1+BGM#1             | 93.4 84.6 80.1 83.2 87.3
            4: Cls#1+BGM#2             | 95.5 88.2 81.9 83.9 89.9
            5: Cls#1+BGM#2+SSM#1       | 97.1 93.8 86.1 86.0 93.1
            6: Cls#1+BGM#2+SSM#2       | 96.9 93.5 90.9 88.8 96.5
        """),
        percent=_F1_AUC,
    ),
    PaperTable(
        "safl_net/table_4",
        "Localization, pre-trained only",
        _columns("Columbia, Coverage, CASIA, NIST16, IMD20", "pixel_auc"),
        _rows("""
            ManTra-Net   | 82.4 91.0 81.7 79.5 74.8
            SPAN         | 93.6 92.2 79.7 84.0 75.0
            MVSS-Net     | 87.0 87.8 -    78.8 81.5
            MVSS-Net++   | 80.7 88.1 -    78.4 81.3
            CL-Net       | 94.5 82.3 81.6 84.7 -
            PSCC-Net     | 98.2 84.7 82.9 85.5 80.6
            ObjectFormer | 95.5 92.8 84.3 87.2 82.1
            SAFL-Net     | 96.9 93.5 90.9 88.8 96.5
        """),
        percent=_F1_AUC,
        note="whether the AUC is per image or pooled is not stated",
    ),
    PaperTable(
        "safl_net/table_5",
        "Detection, pre-trained only",
        _columns("CASIA-D", "image_auc", "image_f1"),
        _rows("""
            ManTra-Net   | 59.94 56.69
            SPAN         | 67.33 63.48
            PSCC-Net     | 99.65 97.12
            ObjectFormer | 99.70 97.34
            SAFL-Net     | 99.48 98.37
        """),
        percent=("image_auc", "image_f1"),
    ),
    PaperTable(
        "safl_net/table_6",
        "Localization, fine-tuned on each set",
        _columns("Coverage, CASIA, NIST16", "pixel_auc", "pixel_f1"),
        _rows("""
            RGB-N        | 81.7 43.7 79.5 40.8 93.7 72.2
            SPAN         | 93.7 55.8 83.8 38.2 96.1 58.2
            MVSS-Net     | 84.9 50.4 87.7 52.2 94.2 81.4
            CL-Net       | 85.7 51.2 89.5 58.4 98.5 82.3
            PSCC-Net     | 94.1 72.3 87.5 55.4 99.6 81.9
            ObjectFormer | 95.7 75.8 88.2 57.9 99.6 82.4
            SAFL-Net     | 97.0 80.3 90.8 74.0 99.7 87.9
        """),
        percent=_F1_AUC,
        note="threshold chosen per set, by the strategy of ObjectFormer",
    ),
    PaperTable(
        "safl_net/table_7",
        "Robustness on NIST16",
        tuple(
            (f"NIST16@{condition}", "pixel_auc")
            for condition in (
                *("clean", "resize_factor_0.78", "resize_factor_0.25"),
                *("gaussian_blur_kernel_3_px", "gaussian_blur_kernel_15_px", "jpeg_quality_100", "jpeg_quality_50"),
            )
        ),
        _transposed(
            """
            no distortion      | 83.95 78.82 85.47 87.18 88.79
            Resize (0.78x)     | 83.23 78.32 85.29 87.17 88.39
            Resize (0.25x)     | 80.32 77.54 85.01 86.33 86.92
            GaussianBlur (k3)  | 83.10 78.60 85.38 85.97 88.13
            GaussianBlur (k15) | 79.15 75.81 79.93 80.26 87.68
            Compress (q100)    | 83.59 78.84 85.40 86.37 88.56
            Compress (q50)     | 80.68 78.84 85.37 86.24 88.07
        """,
            "SPAN MVSS-Net PSCC-Net ObjectFormer SAFL-Net",
        ),
        percent=_F1_AUC,
    ),
)

_DIFF_FORENSICS = (
    PaperTable(
        "diff_forensics/table_2",
        "Localization",
        _columns("CASIA1.0+, Columbia, NIST16, IMD2020, DSO-1, Korus, AutoSplice, OpenForensics, average", *_F1_AUC),
        _rows("""
            H-LSTM        | .121 .532 .257 .558 .109 .573 .118 .570 .187 .559 .089 .536 .306 .598 .123 .622 .164 .569
            ManTra-Net    | .136 .612 .357 .767 .160 .741 .180 .785 .089 .687 .104 .681 .192 .622 .043 .678 .158 .697
            HP-FCN        | .132 .772 .050 .549 .071 .690 .029 .665 .013 .545 .076 .663 .029 .556 .027 .650 .053 .636
            GSR-Net       | .244 .821 .340 .836 .221 .746 .102 .788 .055 .697 .060 .632 .047 .722 .025 .683 .137 .741
            SPAN          | .088 .533 .213 .597 .116 .648 .108 .671 .059 .564 .070 .575 .047 .572 .014 .682 .089 .605
            MVSS-Net      | .451 .845 .665 .818 .292 .791 .264 .817 .271 .732 .095 .641 .333 .839 .056 .702 .303 .773
            CAT-Net       | .394 .788 .854 .826 .336 .780 .295 .823 .135 .713 .149 .672 .185 .796 .003 .552 .294 .744
            SATL-Net      | .064 .545 .677 .872 .175 .655 .142 .671 .084 .575 .039 .577 .103 .590 .019 .544 .163 .629
            PSCC-Net      | .355 .738 .672 .881 .238 .740 .295 .800 .318 .721 .156 .623 .150 .784 .065 .610 .281 .737
            HiFi-Net      | .092 .642 .382 .608 .172 .685 .178 .675 .304 .700 .088 .607 .613 .831 .149 .676 .247 .678
            DiffForensics | .517 .868 .912 .931 .415 .828 .511 .911 .485 .874 .257 .721 .507 .940 .122 .820 .466 .862
        """),
        note="ManTra-Net and MVSS-Net with their authors' weights, the others retrained; averaging is not stated",
    ),
    PaperTable(
        "diff_forensics/table_3",
        "Detection",
        _columns("CASIA1.0+, Columbia, IMD2020, AutoSplice, average", "image_acc", "image_auc", "image_eer"),
        _rows("""
            H-LSTM        | .535 .490 .550 .496 .506 .443 .829 .494 .556 .614 .500 .542 .619 .498 .523
            ManTra-Net    | .535 .546 .446 .496 .869 .219 .830 .698 .372 .614 .378 .586 .619 .623 .406
            GSR-Net       | .595 .657 .401 .540 .721 .333 .671 .511 .493 .568 .540 .469 .594 .607 .424
            MVSS-Net      | .791 .937 .136 .664 .984 .055 .799 .661 .391 .809 .886 .191 .766 .867 .193
            CAT-Net       | .671 .690 .362 .755 .953 .115 .785 .684 .370 .699 .790 .296 .728 .779 .286
            SATL-Net      | .459 .392 .573 .744 .912 .131 .667 .602 .420 .463 .347 .614 .583 .563 .435
            PSCC-Net      | .992 .999 .006 .606 .981 .082 .821 .624 .425 .733 .877 .192 .788 .870 .176
            HiFi-Net      | .632 .717 .320 .532 .741 .317 .826 .523 .483 .618 .527 .457 .652 .627 .394
            DiffForensics | .741 .991 .043 .895 .982 .055 .749 .740 .333 .696 .951 .092 .770 .916 .131
        """),
    ),
    PaperTable(
        "diff_forensics/table_4",
        "Ablation of noise and of the weights to start from (noise, encoder, decoder)",
        (
            *_columns("IMD2020, AutoSplice", *_F1_AUC),
            *_columns("IMD2020, AutoSplice", "image_f1", "image_auc"),
            *(("average", "f1"), ("average", "auc")),
        ),
        _rows("""
            none, ADE20K, -       | .416 .904 .297 .910 .768 .725 .634 .862 .529 .850
            Gauss, DDPM, DDPM     | .372 .865 .340 .895 .737 .646 .573 .942 .506 .837
            Gauss, ADE20K, DDPM   | .470 .904 .346 .918 .738 .712 .604 .910 .540 .861
            Simplex, DDPM, DDPM   | .380 .855 .304 .881 .704 .660 .358 .835 .437 .808
            Simplex, ADE20K, DDPM | .511 .911 .507 .940 .841 .740 .679 .951 .635 .886
        """),
        note="the average is over both tasks and both sets",
    ),
    PaperTable(
        "diff_forensics/table_5",
        "Ablation of the losses (segmentation, classification, edges), mean of IMD2020 and AutoSplice",
        (*_columns("IMD2020+AutoSplice", *_F1_AUC, "image_acc", "image_f1", "image_auc"),),
        _rows("""
            s1 c1    | .316 .867 .686 .730 .783
            s1 c1 e1 | .409 .894 .659 .679 .813
            s1 c1 e2 | .412 .910 .623 .635 .808
            s1 c2 e3 | .452 .910 .680 .728 .813
            s2 c1 e3 | .387 .899 .660 .696 .843
            s1 c1 e3 | .509 .925 .722 .760 .846
        """),
    ),
    PaperTable(
        "diff_forensics/table_6",
        "Ablation of the fixed time step, mean of IMD2020 and AutoSplice",
        (
            *_columns("IMD2020+AutoSplice", *_F1_AUC, "image_f1", "image_auc"),
            *(("average", "f1"), ("average", "auc")),
        ),
        _rows("""
            0    | .385 .885 .640 .840 .513 .863
            1    | .427 .920 .783 .847 .605 .884
            3    | .515 .914 .692 .856 .604 .885
            5    | .509 .925 .760 .846 .635 .886
            10   | .366 .894 .686 .801 .526 .848
            25   | .388 .894 .707 .742 .548 .818
            125  | .384 .882 .635 .799 .510 .841
            250  | .437 .901 .695 .812 .566 .857
            500  | .312 .904 .577 .809 .445 .857
            750  | .507 .883 .570 .847 .539 .865
            1000 | .389 .887 .707 .856 .548 .872
        """),
    ),
)

_EXPOSING_DECEPTION = (
    PaperTable(
        "exposing_deception/table_1",
        "In-dataset detection, frames",
        (("FF++ (C23)", "image_auc"), ("Celeb-DF-V2", "image_auc"), ("DFDC", "image_auc"), ("DFDC", "image_log_loss")),
        _rows("""
            Xception               | 0.963 0.985 -     -
            Xception-ELA           | 0.948 -     -     -
            SPSL                   | 0.943 -     -     -
            Face X-ray             | 0.874 -     -     -
            TD-3DCNN               | 0.722 0.888 0.790 0.3670
            F3-Net                 | 0.981 -     -     -
            FInfer                 | 0.957 0.933 0.829 -
            DeepfakeUCL            | -     0.905 -     -
            SBIs                   | -     0.937 -     -
            Agarwal et al. 2020    | -     0.990 -     -
            Wu et al. 2023         | -     0.998 -     -
            Selim Seferbekov       | -     -     0.882 0.4279
            NTechLab               | -     -     0.880 0.4345
            Eighteen Years Old     | -     -     0.886 0.4347
            WM                     | -     -     0.883 0.4284
            Chugh et al. 2020      | -     -     0.907 -
            Exposing the Deception | 0.983 0.999 0.939 0.3379
        """),
        note="the peers' values are cited from their papers",
    ),
    PaperTable(
        "exposing_deception/table_2",
        "Cross-dataset detection, frames, trained on FF++ (C23)",
        _columns("CD1, CD2, DFDC-P, DFDC", "image_auc"),
        _rows("""
            Xception               | 0.750 0.778 0.698 0.636
            DSP-FWA                | 0.785 0.814 0.595 -
            Meso4                  | 0.422 0.536 0.594 -
            F3-Net                 | -     0.712 0.729 0.646
            Face X-ray             | 0.806 0.742 0.809 -
            Multi-Attention        | -     0.674 -     0.680
            OST                    | 0.748 -     0.833 -
            HCIL                   | -     0.790 0.692 -
            LiSiam                 | 0.811 0.782 -     -
            RECCE                  | -     0.687 -     0.691
            ICT                    | 0.814 0.857 -     -
            DCL                    | -     0.823 0.767 -
            IID                    | -     0.838 0.812 -
            Exposing the Deception | 0.818 0.864 0.851 0.721
        """),
        note="Face X-ray and ICT are trained on private data; the paper's text says .857 for its CD2, its table .864",
    ),
    PaperTable(
        "exposing_deception/table_3",
        "Cross-dataset detection, videos, trained on FF++ (C23)",
        _columns("CD2, DFDC-P, DFDC", "video_auc"),
        _rows("""
            Xception               | 0.737 0.679 0.709
            F3-Net                 | 0.757 -     0.709
            PCL+I2G                | 0.900 0.744 0.675
            FST-Matching           | 0.894 -     -
            LipForensics           | 0.824 -     0.735
            FTCN                   | 0.869 0.740 0.710
            Luo et al.             | -     0.797 -
            ResNet-34+SBIs         | 0.870 0.822 0.664
            EFNB4+SBIs             | 0.932 0.862 0.724
            RATF                   | 0.765 0.691 -
            Li et al.              | 0.848 0.785 -
            AltFreezing            | 0.895 -     -
            AUNet                  | 0.928 0.862 0.738
            Exposing the Deception | 0.936 0.902 0.754
        """),
        note="PCL+I2G, SBIs and AUNet are trained on private data",
    ),
    PaperTable(
        "exposing_deception/table_4",
        "Ablation of the losses, frames",
        _columns("FF++ (C23), CD2", "image_acc", "image_auc"),
        _rows("""
            GIL only    | 94.26 0.979 78.79 0.840
            LIL only    | 94.28 0.977 76.96 0.827
            neither     | 93.53 0.966 77.29 0.816
            LIL and GIL | 94.98 0.983 80.70 0.864
        """),
        percent=("image_acc",),
    ),
    PaperTable(
        "exposing_deception/table_5",
        "Backbones, frames",
        _columns("FF++ (C23), CD2", "image_acc", "image_auc"),
        _rows("""
            MobileNet-V1    | 90.85 0.962 70.36 0.858
            EfficientNet-B0 | 93.71 0.982 72.32 0.863
            ResNet-34       | 94.98 0.983 80.70 0.864
        """),
        percent=("image_acc",),
    ),
    PaperTable(
        "exposing_deception/table_6",
        "Robustness on FF++, frames, five levels each",
        _columns("level 1, level 2, level 3, level 4, level 5", "image_auc"),
        _rows("""
            normal      | 0.983 0.983 0.983 0.983 0.983
            contrast    | 0.977 0.977 0.976 0.975 0.967
            saturation  | 0.979 0.979 0.978 0.978 0.978
            compression | 0.972 0.966 0.952 0.939 0.918
            average     | 0.976 0.974 0.969 0.964 0.955
        """),
        note="the rows are perturbations; what a level does is not stated",
    ),
)

#: Every table by name.
PAPER_TABLES = {table.name: table for table in (*_SUMI_IFL, *_NCL, *_SAFL_NET, *_DIFF_FORENSICS, *_EXPOSING_DECEPTION)}
