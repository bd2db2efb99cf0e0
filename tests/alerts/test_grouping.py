"""Invariants of grouping under any course of events, on the pure core alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.alerts.grouping import Group, GroupKey, Review, group_key, review
from losswatch_server.alerts.grouping import as_json as group_json
from losswatch_server.alerts.grouping import from_json as group_from
from losswatch_server.alerts.incidents import Event, Incident, apply, as_json, from_json
from losswatch_server.alerts.message import compose, supersede
from losswatch_server.alerts.policy import Reason, Rules, Surroundings
from losswatch_server.monitor.vocabulary import Severity

RULES = Rules(group_wait_s=30, group_interval_s=300, repeat_interval_s=100_000)
END = 5_000.0

Course = dict[str, list[tuple[float, float]]]
"""By run: when its finding is open."""


@dataclass
class Heard:
    """What a target heard over a course of events."""

    group: Group
    reviews: list[tuple[float, Review]] = field(default_factory=list)


def play(course: Course, rules: Rules = RULES) -> Heard:
    """Look at the group whenever something changes or it asked to be looked at."""
    changes = sorted({at for spans in course.values() for span in spans for at in span if at <= END})
    told = Heard(Group(key=GroupKey(project="p", sweep="s", incident_class="stagnation")))
    due: float | None = None
    while changes or (due is not None and due <= END):
        now = min([at for at in (changes[0] if changes else None, due) if at is not None])
        changes = [at for at in changes if at > now]
        result = review(told.group, incidents(course, now), rules, Surroundings(), now)
        told.group, due = result.group, result.again_at
        assert due is None or due > now, "a group that asks to be looked at again at once never rests"
        if result.speaks:
            told.reviews.append((now, result))
    return told


def incidents(course: Course, now: float) -> list[Incident]:
    found = []
    for run, spans in course.items():
        begun = [span for span in spans if span[0] <= now]
        if begun:
            opened, closed = begun[-1]
            over = closed <= now
            found.append(incident(run, opened, closed if over else None, max(closed if over else opened, opened)))
    return found


def incident(run: str, opened: float, closed: float | None = None, changed: float | None = None) -> Incident:
    return Incident(
        id=f"f_{run}", project="p", run=run, uid=run, condition="plateau", severity=Severity.WARNING, sweep="s",
        opened_at=opened, closed_at=closed, closed_by=None if closed is None else "resolved",
        changed_at=opened if changed is None else changed,
    )  # fmt: skip


@st.composite
def courses(draw: st.DrawFn) -> Course:
    course: Course = {}
    for number in range(draw(st.integers(1, 12))):
        times = sorted(draw(st.lists(st.integers(0, 2_000), min_size=1, max_size=8, unique=True)))
        spans = [(float(a), float(b)) for a, b in zip(times[::2], times[1::2], strict=False)]
        course[f"r{number}"] = [*spans, (float(times[-1]), END * 2)] if len(times) % 2 else spans
    return course


@given(courses())
def test_whatever_happens_messages_keep_their_distance(course: Course) -> None:
    times = [at for at, _ in play(course).reviews]
    assert all(b - a >= RULES.group_wait_s for a, b in pairwise(times))
    for first in times:
        within = [at for at in times if first <= at < first + RULES.group_wait_s + RULES.group_interval_s]
        assert len(within) <= 3


@given(courses())
def test_whatever_stays_is_told_once_and_whatever_is_over_is_told_as_resolved(course: Course) -> None:
    told = play(course)
    open_now: set[str] = set()
    for _, result in told.reviews:
        for told_of, reason in result.telling:
            if reason is Reason.FIRST:
                assert told_of.id not in open_now, "told twice"
                open_now.add(told_of.id)
            elif reason is Reason.RESOLVED:
                assert told_of.id in open_now, "resolved what was never told"
                open_now.remove(told_of.id)
    assert open_now == {f"f_{run}" for run, spans in course.items() if spans[-1][1] > END}


@given(courses())
def test_a_group_and_its_incidents_survive_the_store(course: Course) -> None:
    told = play(course)
    assert group_from(told.group.key, group_json(told.group)) == told.group
    for one in incidents(course, END):
        assert from_json(as_json(one)) == one


@given(courses())
def test_the_latest_state_says_everything_that_was_never_delivered(course: Course) -> None:
    """All messages but the last were lost: the one that replaces them names just what is open."""
    said = None
    for number, (at, result) in enumerate(play(course).reviews):
        fresh = compose([result], "g", f"m{number}", at)
        said = fresh if said is None else supersede(said, fresh)
    left = set() if said is None else {entry.id for entry in said.entries if entry.is_open}
    assert left == {f"f_{run}" for run, spans in course.items() if spans[-1][1] > END}


def test_the_first_message_of_a_group_waits_for_nothing() -> None:
    result = review(Group(key=group_key(incident("r", 7), RULES)), [incident("r", 7)], RULES, Surroundings(), 7)
    assert (result.reason, result.again_at) == (Reason.FIRST, 7 + RULES.repeat_interval_s)


@pytest.mark.parametrize(
    ("group_by", "text"),
    [(("group", "condition"), "=p/=s/=stagnation/*"), (("group",), "=p/=s/*/*"), (("run",), "=p/*/*/=r"),
     ((), "=p/*/*/*")],
)  # fmt: skip
def test_a_group_is_named_by_what_its_members_share(group_by: tuple[str, ...], text: str) -> None:
    key = group_key(incident("r", 0), replace(RULES, group_by=frozenset(group_by)))
    assert key.text() == text
    assert key.holds(incident("r", 0))


def test_names_with_the_separator_do_not_collide() -> None:
    first, second = (
        GroupKey(project="p", sweep="a/=b", incident_class=None),
        GroupKey(project="p", sweep="a", incident_class="b"),
    )
    assert first.text() != second.text()


def test_an_event_of_an_unknown_kind_changes_nothing() -> None:
    event = Event(id=1, project="p", uid="u", run="r", kind="run.promoted", at=0.0)
    assert apply(event, {"f_r": incident("r", 0)}) == []
