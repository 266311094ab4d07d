"""Protocols and paper tables: complete, consistent with each other, and equal to spot checks made by eye."""

import pytest

from ifl_hub.evaluation.paper_tables import PAPER_TABLES, PAPERS
from ifl_hub.evaluation.protocols import PROTOCOLS, find_protocol
from ifl_hub.evaluation.robustness import parse_condition, parse_grid


def cell(table, method, dataset, metric):
    found = [
        number.value
        for number in PAPER_TABLES[table].numbers()
        if (number.method, number.dataset, number.metric) == (method, dataset, metric)
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("table", "method", "dataset", "metric", "value"),
    [
        ("sumi_ifl/table_2", "SUMI-IFL", "SSRGFD", "pixel_f1", 0.7995),
        ("sumi_ifl/table_3", "SUMI-IFL", "NIST16", "pixel_auc", 0.7339),
        ("ncl/table_1", "NCL", "Defacto", "pixel_f1", 0.607),
        ("ncl/table_3", "SPAN", "NIST16@jpeg_quality_100", "pixel_auc", 0.807),
        ("safl_net/table_5", "SAFL-Net", "CASIA-D", "image_f1", 0.9837),
        ("safl_net/table_6", "SAFL-Net", "Coverage", "pixel_f1", 0.803),
        ("safl_net/table_7", "SAFL-Net", "NIST16@gaussian_blur_kernel_15_px", "pixel_auc", 0.8768),
        ("diff_forensics/table_2", "HiFi-Net", "AutoSplice", "pixel_f1", 0.613),
        ("diff_forensics/table_3", "DiffForensics", "IMD2020", "image_eer", 0.333),
        ("exposing_deception/table_1", "Exposing the Deception", "DFDC", "image_log_loss", 0.3379),
        ("exposing_deception/table_3", "Exposing the Deception", "CD2", "video_auc", 0.936),
        ("exposing_deception/table_4", "LIL and GIL", "CD2", "image_acc", 0.807),
    ],
)
def test_cells_as_a_person_reads_them_in_the_papers(table, method, dataset, metric, value):
    assert cell(table, method, dataset, metric) == value


@pytest.mark.parametrize("table", PAPER_TABLES.values(), ids=lambda table: table.name)
def test_a_table_is_rectangular_and_holds_fractions(table):
    assert all(len(values) == len(table.columns) for values in table.rows.values())
    assert all(0 <= number.value <= 1 for number in table.numbers())
    assert table.source.startswith(PAPERS[table.name.split("/")[0]])


def test_averages_recompute_where_a_table_prints_them():
    for table, metric in (
        ("diff_forensics/table_2", "pixel_f1"),
        ("diff_forensics/table_2", "pixel_auc"),
        ("diff_forensics/table_3", "image_auc"),
    ):
        numbers = list(PAPER_TABLES[table].numbers())
        for method in PAPER_TABLES[table].rows:
            own = {n.dataset: n.value for n in numbers if (n.method, n.metric) == (method, metric)}
            average = own.pop("average")
            assert sum(own.values()) / len(own) == pytest.approx(average, abs=1.1e-3)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_a_protocol_covers_its_table_and_nothing_else(protocol):
    in_table = {dataset.split("@")[0] for dataset, _ in protocol.table.columns} - {"average"}
    assert {dataset.name for dataset in protocol.datasets} == in_table
    for dataset in protocol.datasets:
        assert protocol.paper_numbers(dataset)
        assert protocol.dataset(dataset.source) is dataset
    assert protocol.preset == f"paper_{protocol.name.split('/')[0]}"


@pytest.mark.parametrize("protocol", [p for p in PROTOCOLS.values() if p.grid], ids=lambda protocol: protocol.name)
def test_a_robustness_protocol_runs_the_conditions_of_its_table(protocol):
    in_table = {dataset.split("@")[1] for dataset, _ in protocol.table.columns}
    assert {condition.name for condition in parse_grid(protocol.grid)} == in_table
    assert {parse_condition(name).name for name in in_table} == in_table


def test_every_method_has_a_protocol():
    assert {name.split("/")[0] for name in PROTOCOLS} == set(PAPERS)


def test_departures_say_what_differs_and_nothing_about_equal_counts():
    protocol = find_protocol("safl_net/table_4")
    casia = protocol.dataset("casia1")
    assert protocol.departures(casia, 116, 90)[:2] == [
        "116 forged images, the paper has 920",
        "90 authentic images, the paper has 800",
    ]
    assert not any("images, the paper" in line for line in protocol.departures(casia, 920, 800))


def test_unknown_names_are_errors_that_list_what_there_is():
    with pytest.raises(ValueError, match="choose from sumi_ifl/table_2"):
        find_protocol("sumi")
    with pytest.raises(ValueError, match=r"has no data set 'comofod'.*it has columbia"):
        find_protocol("safl_net/table_4").dataset("comofod")
