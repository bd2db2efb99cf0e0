"""Causes and advice of a watched run are kept between points; what is kept depends on the record alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losswatch_server.monitor import diagnoses
from losswatch_server.monitor.diagnoses import Diagnoses, diagnose_findings, last_count, next_count, unpack
from losswatch_server.monitor.faults import Faults
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.snapshot import freeze, thaw
from monitor.curves import falling, flat, growing, points, watch

LONG = points(
    [*falling(120), 30.0, *falling(200, start=0.4), *flat(180, level=0.35, noise=0.001), *growing(80, factor=1.1)],
    grad_norm=[1.0] * 581,
)
CONTEXT = Context(optimizer="sgd", learning_rate=0.1, total_steps=600)


def fresh(monitor: Monitor) -> Diagnoses:
    return diagnose_findings(monitor.findings(), monitor.memory, monitor.context, monitor.step)


def kept_at_each_point(stream: Sequence[Point]) -> dict[int, bytes]:
    """By the count of points, what is kept when they come one by one; without those at which nothing changed."""
    monitor, kept = Monitor("test", watched=True), {0: b""}
    monitor.see_context(CONTEXT)
    for point in stream:
        monitor.see(point)
        kept[monitor.points] = monitor.diagnoses.pack()
    return kept


ONE_BY_ONE = kept_at_each_point(LONG)


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 4)
@given(st.data())
def test_what_is_kept_is_the_same_in_any_pieces_and_after_any_snapshot(data: st.DataObject) -> None:
    monitor, place = Monitor("test", watched=True), 0
    monitor.see_context(CONTEXT)
    while place < len(LONG):
        size = data.draw(st.integers(1, 200))
        if data.draw(st.booleans()):
            monitor = thaw(freeze(monitor))
        slices = data.draw(st.sampled_from([size, 16, 128]))
        for begun in range(place, min(place + size, len(LONG)), slices):
            end = min(begun + slices, place + size, len(LONG))
            monitor.see_all(LONG[begun:end], min(place + size, len(LONG)) - end)
        place += size
        assert monitor.diagnoses.pack() == ONE_BY_ONE[monitor.points]


def test_they_are_worked_out_seldom_and_wherever_a_finding_opens_or_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor("test", watched=True)
    monitor.see_context(CONTEXT)
    at: list[int] = []
    gather = diagnoses.gather
    monkeypatch.setattr(diagnoses, "gather", lambda *given: at.append(monitor.points) or gather(*given))
    turned = []
    for point in LONG:
        before = {f.id: (f.is_open, f.severity) for f in monitor.findings()}
        monitor.see(point)
        if {f.id: (f.is_open, f.severity) for f in monitor.findings()} != before:
            turned.append(monitor.points)
    assert len(turned) >= 4
    assert set(turned) <= set(at)
    assert len(at) < len(LONG) / 8
    assert all(later - earlier <= later // diagnoses.SHARE + 1 for earlier, later in pairwise(at))
    at.clear()
    batched = monitor = Monitor("test", watched=True)
    batched.see_context(CONTEXT)
    batched.see_all(LONG)
    assert batched.diagnoses.pack() == ONE_BY_ONE[len(LONG)]
    assert len(at) <= 1 + sum(count > last_count(1, len(LONG)) for count in turned)


def test_a_report_of_a_watched_run_says_what_is_so_now_and_the_causes_of_then() -> None:
    monitor, asked = Monitor("test", watched=True), Monitor("test")
    for one in (monitor, asked):
        one.see_context(CONTEXT)
    for point in LONG:
        monitor.see(point)
        asked.see(point)
        if monitor.points % 7 and monitor.points < 490:
            continue
        kept, now = assess(monitor), assess(asked)
        bare = [replace(f, causes=(), advice=()) for f in now.findings]
        assert [replace(f, causes=(), advice=()) for f in kept.findings] == bare
        assert (kept.headline, kept.status, kept.action, kept.notes) == (
            now.headline,
            now.status,
            now.action,
            now.notes,
        )
        assert all(bool(f.causes) == bool(n.causes) for f, n in zip(kept.findings, now.findings, strict=True))


def test_a_context_is_heeded_at_once() -> None:
    monitor = watch(LONG, watched=True)
    before = monitor.diagnoses
    monitor.see_context(CONTEXT)
    assert monitor.diagnoses.pack() == fresh(monitor).pack() != before.pack()


def test_a_run_without_findings_works_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnoses, "gather", lambda *_: pytest.fail("gathered"))
    monitor = watch(points(falling(400)), watched=True)
    assert monitor.findings() == ()
    assert monitor.diagnoses.pack() == b""


def test_a_finding_that_did_not_change_is_the_same_object_in_the_next_report() -> None:
    stream = points([*falling(120), 30.0, *falling(200, start=0.4)])
    monitor = watch(stream, watched=True)
    while monitor.points + 1 == monitor.next_diagnosis:
        monitor.see(Point(monitor.step + 1, 0.3))
    kept = monitor.diagnoses
    (first,) = assess(monitor).findings
    monitor.see(Point(monitor.step + 1, 0.3))
    assert monitor.diagnoses is kept
    assert assess(monitor).findings[0] is first


def test_what_is_kept_comes_back_from_its_bytes() -> None:
    known = fresh(watch(LONG, CONTEXT))
    known.faults.add("causes", "plateau/loss", 7, ValueError("a bug"))
    again = unpack(known.pack())
    assert again.of == known.of
    assert again.faults.known() == known.faults.known()
    assert again.pack() == known.pack()
    assert again.faults.drain() == []
    for damaged in (known.pack()[:-3], known.pack() + b"x"):
        with pytest.raises(Exception, match=r"cut short|incomplete"):
            unpack(damaged)


@given(st.integers(0, 100_000), st.integers(0, 10_000))
def test_the_counts_are_a_property_of_the_number_of_points(points: int, more: int) -> None:
    following = next_count(1, points)
    assert points < following <= points + max(1, points // diagnoses.SHARE + 1)
    assert last_count(following, points + more) == last_count(1, points + more) or following > points + more
    assert next_count(following, points + more) == next_count(1, points + more)


def test_a_sentence_that_fails_is_said_at_every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = watch(LONG, CONTEXT, watched=True)
    monkeypatch.setattr(diagnoses, "summary", lambda _: [][0])
    for _ in range(2):
        faults = Faults()
        told = monitor.diagnoses.tell(monitor.findings()[0], monitor.step, faults)
        assert told.summary.endswith(f"since step {told.onset_step}.")
        assert [fault.part for fault in faults.known()] == ["sentence"]
