"""What counts as found, premature, extra, a false alarm; each metric by its worked example."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from benchmarks.detection import score
from benchmarks.detection.diagnosing import diagnose_run
from benchmarks.detection.judging import Said, judge
from benchmarks.detection.labels import Label, LabelledRun
from benchmarks.detection.score import Share, alarms_per_10000_hours, calibration_error, reliability, share
from benchmarks.detection.summary import length_class, summarize
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.rules.base import Verdict
from losswatch_server.monitor.rules.oscillation import Oscillation


def a_run(label: Label) -> LabelledRun:
    """A hundred points under that label."""
    points = tuple(Point(step=i, loss=1.0) for i in range(101))
    return LabelledRun(id="r", points=points, context=Context(), label=label)


def a_finding(condition: str, opened: int, severity: str = "warning", causes: tuple[str, ...] = ()) -> Said:
    """A finding as far as scoring goes."""
    return Said(
        condition=condition,
        series="loss",
        severity=severity,
        confidence=0.9,
        onset_step=opened,
        opened_step=opened,
        resolved_step=None,
        causes=tuple((cause, 0.3) for cause in causes),
        actions=(),
        summary="",
    )


PLATEAU = Label(condition="plateau", also_ok=("not_learning",), onset_step=40, cause="insufficient_capacity")


@pytest.mark.parametrize(
    ("findings", "found", "premature", "extra"),
    [
        ([], False, False, 0),
        ([a_finding("plateau", 60)], True, False, 0),
        ([a_finding("not_learning", 60)], True, False, 0),
        ([a_finding("plateau", 36)], True, False, 0),
        ([a_finding("plateau", 34)], False, True, 0),
        ([a_finding("plateau", 60, severity="info")], False, False, 0),
        ([a_finding("loss_spike", 50), a_finding("loss_spike", 70)], False, False, 1),
        ([a_finding("plateau", 60), a_finding("diverging", 61)], True, False, 1),
    ],
)
def test_a_fault_is_found_by_its_condition_in_time(
    findings: list[Said], found: bool, premature: bool, extra: int
) -> None:
    row = judge(a_run(PLATEAU), findings)
    assert (row.found, row.premature, row.extra) == (found, premature, extra)


def test_a_run_in_which_a_rule_fails_counts_as_failed_though_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> Verdict:
        raise ZeroDivisionError("a slip")

    run = a_run(PLATEAU)
    assert diagnose_run(run).row.failure == ""
    monkeypatch.setattr(Oscillation, "step", fails)
    assert diagnose_run(run).row.failure == "oscillation/loss: ZeroDivisionError: a slip"


def test_the_delay_is_a_share_of_the_rest_of_the_run() -> None:
    assert judge(a_run(PLATEAU), [a_finding("plateau", 70)]).delay == pytest.approx(0.5)


def test_the_examples_of_the_metrics_hold() -> None:
    done = doctest.testmod(score)
    assert done.attempted > 8
    assert done.failed == 0


def test_the_cause_counts_only_in_the_first_finding_of_the_right_condition() -> None:
    wrong = a_finding("diverging", 50, causes=("insufficient_capacity",))
    first = a_finding("plateau", 60, causes=("missing_nonlinearity", "insufficient_capacity"))
    later = a_finding("not_learning", 70, causes=("insufficient_capacity",))
    assert judge(a_run(PLATEAU), [wrong]).cause_at_3 is False
    row = judge(a_run(PLATEAU), [later, first, wrong])
    assert (row.cause_at_1, row.cause_at_3, row.first_cause) == (False, True, "missing_nonlinearity")


def test_a_cause_that_cannot_be_told_from_the_injected_one_is_fair_and_not_strictly_right() -> None:
    label = replace(PLATEAU, cause_also_ok=("missing_nonlinearity",))
    row = judge(a_run(label), [a_finding("plateau", 60, causes=("missing_nonlinearity",))])
    assert (row.cause_at_1, row.fair_cause_at_1) == (False, True)


def test_a_missed_run_counts_as_a_wrong_cause() -> None:
    row = judge(a_run(PLATEAU), [])
    assert (row.cause_at_1, row.fair_cause_at_1, row.cause_at_3) == (False, False, False)


def test_a_healthy_run_may_be_told_what_is_also_fair_and_no_more() -> None:
    healthy = a_run(Label(condition="healthy", also_ok=("non_finite",)))
    assert not judge(healthy, [a_finding("non_finite", 3)]).false_alarm
    assert judge(healthy, [a_finding("non_finite", 3), a_finding("plateau", 9)]).alarms == ("plateau",)
    assert not judge(healthy, [a_finding("converged", 3, severity="info")]).false_alarm


def test_a_fault_that_may_be_missed_does_not_count_when_it_is() -> None:
    label = Label(condition="slow_convergence", also_ok=("healthy",), onset_step=0)
    assert not judge(a_run(label), []).counts
    assert judge(a_run(label), [a_finding("slow_convergence", 50)]).counts


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 100, 0.0, 0.0370), (50, 100, 0.4038, 0.5962), (100, 100, 0.9630, 1.0)],
)
def test_intervals_are_wilsons(hits: int, of: int, low: float, high: float) -> None:
    assert Share(hits=hits, of=of).interval == pytest.approx((low, high), abs=1e-4)


def test_the_summary_means_over_conditions_and_counts_alarms_once_a_run() -> None:
    spiked = Label(condition="loss_spike", onset_step=50)
    rows = [
        judge(a_run(PLATEAU), [a_finding("plateau", 60)]),
        judge(a_run(PLATEAU), []),
        judge(a_run(spiked), [a_finding("loss_spike", 50)]),
        judge(a_run(Label(condition="healthy")), [a_finding("plateau", 9), a_finding("plateau", 50)]),
        judge(a_run(Label(condition="healthy")), []),
    ]
    summary = summarize(rows)
    assert summary["recall_macro"]["share"] == 0.75
    assert summary["false_alarm_rate"]["hits"] == 1
    assert summary["conditions"]["plateau"]["false_alarms"]["hits"] == 1
    assert summary["false_alarm_rate"]["of"] == 2


def test_intervals_over_few_families_are_wider_than_over_as_many_independent_runs() -> None:
    values, families = [True] * 30 + [False] * 30, ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    alone, clustered = share(values).interval, share(values, families).interval
    assert alone is not None
    assert clustered is not None
    assert clustered[0] < alone[0]
    assert clustered[1] > alone[1]


def test_false_alarms_per_hour_count_every_finding_and_know_epochs() -> None:
    healthy = a_run(Label(condition="healthy"))
    by_step = judge(healthy, [a_finding("plateau", 9), a_finding("loss_spike", 50)])
    assert alarms_per_10000_hours([by_step]) == pytest.approx(1e4 * 2 / (101 * 10 / 3600), abs=0.01)
    by_epoch = judge(replace(healthy, full_context={"step_unit": "epoch"}), [a_finding("plateau", 9)])
    assert alarms_per_10000_hours([by_epoch]) == pytest.approx(1e4 / (101 * 300 / 3600), abs=0.01)


def test_a_claim_of_certainty_stands_in_the_last_tenth() -> None:
    assert [of["from"] for of in reliability([(1.0, True), (0.0, False)])] == [0.0, 0.9]
    assert calibration_error([]) is None


@pytest.mark.parametrize(
    ("points", "name"), [(29, "0-29"), (30, "30-99"), (1000, "1000-9999"), (10_000, "10000 and more")]
)
def test_lengths_fall_into_classes(points: int, name: str) -> None:
    assert length_class(replace(judge(a_run(PLATEAU), []), points=points)) == name
