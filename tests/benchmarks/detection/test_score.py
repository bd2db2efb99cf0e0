"""What counts as found, premature, extra, a false alarm."""

from __future__ import annotations

import pytest

from benchmarks.detection.labels import Label, LabelledRun
from benchmarks.detection.score import Said, Share, judge, summarize
from losswatch_server.monitor.points import Context, Point


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


def test_the_delay_is_a_share_of_the_rest_of_the_run() -> None:
    assert judge(a_run(PLATEAU), [a_finding("plateau", 70)]).delay == pytest.approx(0.5)


def test_the_cause_counts_only_in_a_finding_of_the_right_condition() -> None:
    wrong = a_finding("diverging", 60, causes=("insufficient_capacity",))
    right = a_finding("plateau", 60, causes=("missing_nonlinearity", "insufficient_capacity"))
    assert judge(a_run(PLATEAU), [wrong]).cause_at_3 is False
    both = judge(a_run(PLATEAU), [wrong, right])
    assert (both.cause_at_1, both.cause_at_3) == (False, True)


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
    ]
    summary = summarize(rows)
    assert summary["recall_macro"]["share"] == 0.75
    assert summary["false_alarm_rate"]["hits"] == 1
    assert summary["conditions"]["plateau"]["false_alarms"]["hits"] == 1
