"""Figures in the pages come from the benchmark's results, or say that nothing was measured."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from losswatch_server import catalogue
from losswatch_server.catalogue import figures

SUMMARY = {
    "healthy": 1412,
    "false_alarm_rate": {"hits": 3, "of": 412, "share": 0.0073, "interval": [0.0025, 0.0212]},
    "recall_macro": {"share": 0.93, "interval": [0.91, 0.95]},
    "delay": {"median": 0.041, "interval": [0.03, 0.05]},
    "conditions": {
        "diverging": {
            "recall": {"hits": 58, "of": 60, "share": 0.9667, "interval": [0.886, 0.991]},
            "delay": None,
            "false_alarms": {"hits": 0, "of": 412, "share": 0.0, "interval": [0.0, 0.0092]},
            "false_alarms_per_10000_points": 0.0,
        }
    },
    "causes": {"bad_batch": {"cause_at_3": {"hits": 9, "of": 10, "share": 0.9, "interval": [0.6, 0.98]}}},
}

CASES = [
    ("healthy", "1,412"),
    ("false_alarm_rate", "0.7 % (0.2 % to 2.1 %), 3 of 412"),
    ("recall_macro", "93.0 % (91.0 % to 95.0 %)"),
    ("delay", "4.1 % (3.0 % to 5.0 %)"),
    ("recall.diverging", "96.7 % (88.6 % to 99.1 %), 58 of 60"),
    ("false_alarms.diverging", "0.0 % (0.0 % to 0.9 %), 0 of 412"),
    ("false_alarms_per_10000_points.diverging", "0.0"),
    ("cause_at_3.bad_batch", "90.0 % (60.0 % to 98.0 %), 9 of 10"),
    ("delay.diverging", figures.NOT_MEASURED),
    ("recall.plateau", figures.NOT_MEASURED),
    ("no_such_measure", figures.NOT_MEASURED),
]


@pytest.mark.parametrize(("name", "words"), CASES, ids=[name for name, _ in CASES])
def test_a_figure_reads_as_a_person_would_say_it(name, words):
    assert figures.figure(name, SUMMARY) == words


def test_without_results_every_figure_says_that_it_was_not_measured():
    rows = figures.table("diverging", {}).splitlines()[2:]
    assert rows
    assert all(row.endswith(f"| {figures.NOT_MEASURED} |") for row in rows)


def test_placeholders_are_replaced_inside_a_sentence():
    assert (
        figures.resolve("found {{figure:recall.diverging}}.", SUMMARY) == "found 96.7 % (88.6 % to 99.1 %), 58 of 60."
    )


def test_no_page_carries_a_figure_that_was_typed_into_it():
    """Under "How often it is wrong" every percentage must come from the results."""
    for page in catalogue.conditions():
        text = (resources.files("losswatch_server.catalogue") / "conditions" / f"{page.name}.md").read_text()
        section = text.split("## How often it is wrong")[1].split("## When it does not fire")[0]
        assert not re.search(r"\d\s*%|\d of \d", section), page.name
