"""The fitted numbers are of rows, causes and conditions that there are, and of enough runs."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Grade
from losswatch_server.monitor.diagnosis.magnitudes import FILE, MAGNITUDES, Magnitudes, read
from losswatch_server.monitor.diagnosis.priors import PRIORS, RARE
from losswatch_server.monitor.vocabulary import CauseName, Condition

BY_NAME = {row.name: row for row in ROWS}
DATA: dict[str, Any] = json.loads(
    (resources.files("losswatch_server.monitor.diagnosis") / FILE).read_text(encoding="utf-8")
)


@pytest.mark.parametrize("row", DATA["rows"])
def test_what_was_fitted_of_a_row_is_a_grade_of_it_and_no_fact(row: str) -> None:
    for cause, entry in DATA["rows"][row].items():
        _, grade = BY_NAME[row].grades[CauseName(cause)]
        assert grade is not Grade.FACT
        assert 0 <= entry["value"] <= 6
        assert entry["runs"] >= 5


@pytest.mark.parametrize("condition", DATA["base_rates"])
def test_a_fitted_base_rate_is_of_a_cause_that_the_condition_can_have(condition: str) -> None:
    possible = PRIORS[Condition(condition)]
    for cause, entry in DATA["base_rates"][condition].items():
        assert CauseName(cause) in possible
        assert -2 <= entry["value"] <= 2


def test_every_condition_with_causes_has_fitted_base_rates() -> None:
    assert set(DATA["base_rates"]) | {"overfitting"} == {str(condition) for condition in PRIORS}


def test_a_base_rate_adds_to_the_hand_set_one_and_what_is_not_fitted_stands() -> None:
    plain = Magnitudes()
    moved = read(
        {"rows": {}, "base_rates": {"plateau": {"bad_batch": {"value": 0.5}, "data_not_shuffled": {"value": 1}}}}
    )
    unshuffled = PRIORS[Condition.PLATEAU][CauseName.DATA_NOT_SHUFFLED]
    for magnitudes, wanted in ((plain, unshuffled), (moved, unshuffled + 1)):
        assert magnitudes.base_rate(Condition.PLATEAU, CauseName.DATA_NOT_SHUFFLED) == wanted
    assert plain.base_rate(Condition.PLATEAU, CauseName.BAD_BATCH) == RARE


@pytest.mark.parametrize("known", ["little", "settings", "facts"])
def test_probabilities_are_scaled_for_what_is_known(known: str) -> None:
    assert 0.3 < MAGNITUDES.by_knowledge[known] < 3
