"""The decision table: is a target told about an incident now, and why (not)?"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.mute_rules import Matcher, MuteRule
from losswatch_server.alerts.policy import LastNotified, Reason, Rules, Surroundings, decide
from losswatch_server.monitor.vocabulary import Severity

NOW = 10_000.0
WARNING, CRITICAL, INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO
TOLD = LastNotified(WARNING, NOW - 600)
RULES = Rules(group_wait_s=30, repeat_interval_s=3_600)


def incident(**changes: object) -> Incident:
    fresh = Incident(
        id="f_1",
        project="default",
        run="lr-1",
        uid="u1",
        condition="plateau",
        severity=WARNING,
        opened_at=NOW - 700,
        changed_at=NOW - 700,
        sweep="scan",
        tags={"team": "vision"},
    )
    return replace(fresh, **changes)  # type: ignore[arg-type]


def mute_rule(**changes: object) -> MuteRule:
    matcher = Matcher(field="run", operator="starts_with", value="lr-")
    made = MuteRule(id="s", project="default", matchers=(matcher,), starts_at=NOW - 10, ends_at=NOW + 50)
    return replace(made, **changes)  # type: ignore[arg-type]


def beside(condition: str, severity: Severity = CRITICAL, **changes: object) -> Incident:
    return incident(**({"id": f"other-{condition}", "condition": condition, "severity": severity} | changes))


def died(**changes: object) -> Incident:
    """A critical divergence that ended with its run, five seconds ago."""
    fresh = {"condition": "diverging", "severity": CRITICAL, "closed_at": NOW - 5, "closed_by": "run.finished"}
    return incident(**(fresh | {"changed_at": NOW - 5} | changes))


TOLD_CRITICAL = LastNotified(CRITICAL, NOW - 600)
CLOSED = {"closed_at": NOW - 31, "closed_by": "resolved"}

Row = tuple[str, Incident, LastNotified | None, Rules, tuple[MuteRule, ...], tuple[Incident, ...], Reason, float | None]
TABLE: list[Row] = [
    ("an open finding nobody was told of is the first", incident(), None, RULES, (), (), Reason.FIRST, None),
    ("one below the target's severity is not told", incident(severity=INFO), None, RULES, (), (),
     Reason.BELOW_SEVERITY, None),
    ("info is told to a target that wants it", incident(severity=INFO), None, replace(RULES, min_severity=INFO), (), (),
     Reason.FIRST, None),
    ("a condition that the target did not choose is not told", incident(), None,
     replace(RULES, conditions=frozenset({"diverging"})), (), (), Reason.NOT_CHOSEN, None),
    ("a run without the target's tag is not told", incident(), None, replace(RULES, tags={"team": "speech"}), (), (),
     Reason.NOT_CHOSEN, None),
    ("a run with the target's tag is told", incident(), None, replace(RULES, tags={"team": "vision"}), (), (),
     Reason.FIRST, None),
    ("what happened before the target was made is not told to it", incident(), None, replace(RULES, since=NOW - 5), (),
     (), Reason.BEFORE_TARGET, None),
    ("told once, it is unchanged until the repeat interval", incident(), TOLD, RULES, (), (),
     Reason.UNCHANGED, NOW - 600 + 3_600),
    ("after the repeat interval it is told again", incident(), TOLD, replace(RULES, repeat_interval_s=600), (), (),
     Reason.REPEAT_INTERVAL, None),
    ("a higher severity than told is worse", incident(severity=CRITICAL), TOLD, RULES, (), (), Reason.WORSENED, None),
    ("an acknowledged finding is not repeated", incident(acknowledged=WARNING), TOLD,
     replace(RULES, repeat_interval_s=600), (), (), Reason.ACKNOWLEDGED, None),
    ("acknowledged before anybody was told: no message", incident(acknowledged=WARNING), None, RULES, (), (),
     Reason.ACKNOWLEDGED, None),
    ("an acknowledged finding that worsens is told", incident(acknowledged=WARNING, severity=CRITICAL), TOLD, RULES, (),
     (), Reason.WORSENED, None),
    ("a receiver with incidents is reminded of acknowledged ones", incident(acknowledged=WARNING), TOLD,
     replace(RULES, repeat_interval_s=600, tracks_state=True), (), (), Reason.REPEAT_INTERVAL, None),
    ("a muted finding is looked at again when the mute ends", incident(muted_until=NOW + 9), None, RULES, (), (),
     Reason.MUTED, NOW + 9),
    ("a mute without an end ends never", incident(muted_until=inf, severity=CRITICAL), TOLD, RULES, (), (),
     Reason.MUTED, None),
    ("a mute that is over mutes no more", incident(muted_until=NOW), None, RULES, (), (), Reason.FIRST, None),
    ("a silenced finding is looked at again when the silence ends", incident(), None, RULES, (mute_rule(),), (),
     Reason.SILENCED, NOW + 50),
    ("a silence that has not begun silences nothing", incident(), None, RULES, (mute_rule(starts_at=NOW + 1),), (),
     Reason.FIRST, None),
    ("a silence that is over silences nothing", incident(), None, RULES, (mute_rule(ends_at=NOW),), (),
     Reason.FIRST, None),
    ("a silence for other runs silences nothing", incident(run="base"), None, RULES, (mute_rule(),), (),
     Reason.FIRST, None),
    ("a non-finite loss hides the other findings of its run", incident(), None, RULES, (), (beside("non_finite"),),
     Reason.INHIBITED, None),
    ("a non-finite loss that is over hides nothing", incident(), None, RULES, (), (beside("non_finite", **CLOSED),),
     Reason.FIRST, None),
    ("a non-finite loss is not hidden by what is less severe", incident(condition="non_finite", severity=CRITICAL),
     None, RULES, (), (beside("loss_spike", WARNING),), Reason.FIRST, None),
    ("a gradient that is not finite either is the same fault", incident(condition="non_finite", severity=CRITICAL),
     None, RULES, (), (beside("non_finite", opened_at=NOW - 701),), Reason.INHIBITED, None),
    ("what follows from a fault that was told is its next stage", incident(condition="non_finite", severity=CRITICAL),
     None, RULES, (), (beside("diverging", opened_at=NOW - 800),), Reason.INHIBITED, None),
    ("a muted one speaks for no other", incident(condition="non_finite", severity=CRITICAL), None, RULES, (),
     (beside("diverging", opened_at=NOW - 800, muted_until=inf),), Reason.FIRST, None),
    ("of two that began together the non-finite loss speaks", incident(condition="diverging", severity=CRITICAL), None,
     RULES, (), (beside("non_finite"),), Reason.INHIBITED, None),
    ("a silent run hides everything of it", incident(), None, RULES, (), (beside("silent", WARNING),),
     Reason.INHIBITED, None),
    ("what the target did not choose hides nothing from it", incident(), None,
     replace(RULES, conditions=frozenset({"plateau"})), (), (beside("non_finite"),), Reason.FIRST, None),
    ("a run that was told to stop may fall silent", incident(condition="silent"), None, RULES, (),
     (beside("diverging"),), Reason.INHIBITED, None),
    ("a run that only wobbled may not", incident(condition="silent"), None, RULES, (),
     (beside("oscillation", WARNING),), Reason.FIRST, None),
    ("a run that nobody waits for any more is not told late", beside("silent", WARNING, closed_at=NOW - 5,
     closed_by="lapsed"), None, RULES, (), (), Reason.NEVER_TOLD, None),
    ("nor does anybody hear that it is waited for no more", beside("silent", WARNING, closed_at=NOW - 31,
     closed_by="lapsed"), TOLD, RULES, (), (), Reason.RESOLVED_NOT_WANTED, None),
    ("but a receiver with incidents closes its own", beside("silent", WARNING, closed_at=NOW - 31, closed_by="lapsed"),
     TOLD, replace(RULES, tracks_state=True), (), (), Reason.RESOLVED, None),
    ("a spike may pass before anybody reads of it", incident(condition="loss_spike", opened_at=NOW - 10), None, RULES,
     (), (), Reason.MAY_PASS, NOW + 20),
    ("a spike that has stood for a while is told", incident(condition="loss_spike", opened_at=NOW - 30), None, RULES,
     (), (), Reason.FIRST, None),
    ("a critical one is told at once", incident(condition="loss_spike", severity=CRITICAL, opened_at=NOW), None, RULES,
     (), (), Reason.FIRST, None),
    ("a spike that its run ended with will not pass", incident(condition="loss_spike", opened_at=NOW - 10,
     closed_at=NOW - 5, closed_by="run.failed"), None, RULES, (), (), Reason.FIRST, None),
    ("a failure is news", incident(condition="run.failed", severity=CRITICAL, notice=True), None, RULES, (), (),
     Reason.FIRST, None),
    ("the failure of a run that was told to stop is none",
     incident(condition="run.failed", severity=CRITICAL, notice=True, opened_at=NOW), None, RULES, (),
     (beside("diverging", closed_at=NOW, closed_by="run.failed"),), Reason.INHIBITED, None),
    ("a notice is told once", incident(condition="run.failed", notice=True), TOLD, replace(RULES, repeat_interval_s=1),
     (), (), Reason.UNCHANGED, None),
    ("a silent run is not repeated: nothing new can come of it", incident(condition="silent"), TOLD,
     replace(RULES, repeat_interval_s=600), (), (), Reason.UNCHANGED, None),
    ("but a receiver with incidents is reminded of it", incident(condition="silent"), TOLD,
     replace(RULES, repeat_interval_s=600, tracks_state=True), (), (), Reason.REPEAT_INTERVAL, None),
    ("for a day", incident(condition="silent", opened_at=NOW - 90_000), TOLD,
     replace(RULES, repeat_interval_s=600, tracks_state=True), (), (), Reason.UNCHANGED, None),
    ("what went by itself before anybody was told is never told", incident(**CLOSED), None, RULES, (), (),
     Reason.RECOVERED, None),
    ("a run that diverged and stopped before anybody was told is told", died(), None, RULES, (), (), Reason.FIRST,
     None),
    ("one that failed of it, too", died(closed_by="run.failed"), None, RULES, (), (), Reason.FIRST, None),
    ("one that was resumed before anybody was told, too", died(closed_by="superseded"), None, RULES, (), (),
     Reason.FIRST, None),
    ("a warning that stood when the run finished, too", incident(closed_at=NOW - 5, closed_by="run.finished"), None,
     RULES, (), (), Reason.FIRST, None),
    ("of a deleted run nothing is told", died(closed_by="run.deleted"), None, RULES, (), (), Reason.NEVER_TOLD, None),
    ("what ended below the target's severity is not told", died(severity=INFO), None, RULES, (), (),
     Reason.BELOW_SEVERITY, None),
    ("what ended while muted is not told", died(muted_until=inf), None, RULES, (), (), Reason.MUTED, None),
    ("what ended under a silence waits for its end", died(), None, RULES, (mute_rule(),), (), Reason.SILENCED,
     NOW + 50),
    ("what ended after somebody had acknowledged it is not told", died(acknowledged=CRITICAL), None, RULES, (), (),
     Reason.ACKNOWLEDGED, None),
    ("what ended before the target was made is not told to it", died(), None, replace(RULES, since=NOW - 1), (), (),
     Reason.BEFORE_TARGET, None),
    ("of the stages of one death the most severe is told", died(condition="oscillation", severity=WARNING), None, RULES,
     (), (died(id="other"),), Reason.INHIBITED, None),
    ("a death that was told as a fault is told as its end", died(closed_at=NOW - 31), TOLD_CRITICAL, RULES, (), (),
     Reason.ENDED, None),
    ("after a moment: the run may go on", died(), TOLD_CRITICAL, RULES, (), (), Reason.KEPT_FIRING, NOW + 25),
    ("a warning that outlived its run has not resolved", incident(closed_at=NOW - 31, closed_by="run.finished"), TOLD,
     RULES, (), (), Reason.ENDED, None),
    ("a receiver with incidents closes that one", incident(closed_at=NOW - 31, closed_by="run.finished"), TOLD,
     replace(RULES, tracks_state=True), (), (), Reason.RESOLVED, None),
    ("but keeps a death", died(closed_at=NOW - 31), TOLD_CRITICAL, replace(RULES, tracks_state=True), (), (),
     Reason.ENDED, None),
    ("until the end of the day", died(closed_at=NOW - 31), LastNotified(CRITICAL, NOW - 1, ended=True),
     replace(RULES, tracks_state=True), (), (), Reason.UNCHANGED, NOW - 31 + 86_400),
    ("and no longer", died(closed_at=NOW - 86_400), LastNotified(CRITICAL, NOW - 9_000, ended=True),
     replace(RULES, tracks_state=True), (), (), Reason.RESOLVED_NOT_WANTED, None),
    ("or until somebody acknowledges it", died(closed_at=NOW - 31, acknowledged=CRITICAL),
     LastNotified(CRITICAL, NOW - 1, ended=True), replace(RULES, tracks_state=True), (), (), Reason.RESOLVED, None),
    ("or until a later attempt leaves it behind", died(closed_at=NOW - 31, closed_by="superseded"),
     LastNotified(CRITICAL, NOW - 1, ended=True), replace(RULES, tracks_state=True), (), (), Reason.RESOLVED, None),
    ("a failure says itself what else was open", incident(closed_at=NOW - 31, closed_by="run.failed"), TOLD, RULES, (),
     (incident(id="notice", condition="run.failed", severity=CRITICAL, notice=True, opened_at=NOW - 31),),
     Reason.INHIBITED, None),
    ("also of what nobody was told of", incident(closed_at=NOW - 31, closed_by="run.failed"), None, RULES, (),
     (incident(id="notice", condition="run.failed", severity=CRITICAL, notice=True, opened_at=NOW - 31),),
     Reason.INHIBITED, None),
    ("a failure with a warning open is news", incident(condition="run.failed", severity=CRITICAL, notice=True,
     opened_at=NOW), None, RULES, (), (beside("plateau", WARNING, closed_at=NOW, closed_by="run.failed"),),
     Reason.FIRST, None),
    ("a run that falls silent may return", incident(condition="silent", opened_at=NOW - 10), None, RULES, (), (),
     Reason.MAY_PASS, NOW + 20),
    ("a told finding that stays closed is told as resolved", incident(**CLOSED), TOLD, RULES, (), (),
     Reason.RESOLVED, None),
    ("one that has just closed may come back: wait", incident(closed_at=NOW - 10, closed_by="resolved"), TOLD, RULES,
     (), (), Reason.KEPT_FIRING, NOW + 20),
    ("some do not want to hear of resolutions", incident(**CLOSED), TOLD, replace(RULES, send_resolved=False), (), (),
     Reason.RESOLVED_NOT_WANTED, None),
    ("receivers with incidents always hear of them", incident(**CLOSED), TOLD,
     replace(RULES, send_resolved=False, tracks_state=True), (), (), Reason.RESOLVED, None),
    ("the resolution of a muted finding is not told", incident(muted_until=inf, **CLOSED), TOLD, RULES, (), (),
     Reason.RESOLVED_NOT_WANTED, None),
    ("unless an incident would stay open", incident(muted_until=inf, **CLOSED), TOLD, replace(RULES, tracks_state=True),
     (), (), Reason.RESOLVED, None),
    ("a resolution under a silence waits for its end", incident(**CLOSED), TOLD, RULES, (mute_rule(),), (),
     Reason.SILENCED, NOW + 50),
    ("of a deleted run nothing more is told", incident(closed_at=NOW - 99, closed_by="run.deleted"), TOLD, RULES, (),
     (), Reason.RESOLVED_NOT_WANTED, None),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_the_decision(row: Row) -> None:
    _, judged, told, rules, mute_rules, siblings, reason, again_at = row
    around = Surroundings(mute_rules=mute_rules, by_run={"u1": (judged, *siblings)})
    decision = decide(judged, told, told.at if told else None, rules, around, NOW)
    assert (decision.reason, decision.again_at) == (reason, again_at)


def test_every_reason_of_the_policy_stands_in_the_table() -> None:
    elsewhere = {Reason.GROUPED, Reason.OVER_BUDGET, Reason.TEST, Reason.REDELIVERED, Reason.TARGET_DISABLED}
    assert {row[6] for row in TABLE} | elsewhere == set(Reason)


MATCHERS: list[tuple[Matcher, bool]] = [
    (Matcher(field="run", value="lr-1"), True),
    (Matcher(field="run", operator="is_not", value="lr-1"), False),
    (Matcher(field="group", operator="contains", value="ca"), True),
    (Matcher(field="condition", value="plateau"), True),
    (Matcher(field="severity", operator="is_not", value="critical"), True),
    (Matcher(field="tag:team", value="vision"), True),
    (Matcher(field="tag:owner", value="me"), False),
    (Matcher(field="tag:owner", operator="is_not", value="me"), True),
    (Matcher(field="tag:owner", operator="contains", value=""), False),
]


@pytest.mark.parametrize(("matcher", "expected"), MATCHERS)
def test_a_matcher_compares_one_name(matcher: Matcher, expected: bool) -> None:
    assert matcher.matches(incident()) is expected


def test_all_matchers_of_a_silence_must_match() -> None:
    first, second = Matcher(field="run", value="lr-1"), Matcher(field="condition", value="diverging")

    def covers(*matchers: Matcher) -> bool:
        return mute_rule(matchers=matchers).covers(incident(), NOW)

    assert covers(first)
    assert not covers(first, second)
