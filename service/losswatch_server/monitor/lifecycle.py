"""The only life cycle of findings: verdicts in, findings opened, updated, resolved, reopened.

Hysteresis: a finding resolves only after its detector has been quiet for a while, and a condition that returns soon
after that reopens the same finding instead of beginning a new episode. Absorption: what a worse condition explains
does not open a finding of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.findings import Finding, finding_id
from losswatch_server.monitor.rules.base import Alarm, Detector, Over, Quiet, Verdict
from losswatch_server.monitor.vocabulary import ClosedBy, Condition, Severity

KEPT = 16
"""Closed findings that stay in a run's state and in its report; the full history is the store's."""

_NOTHING: frozenset[Condition] = frozenset()
WORSE = frozenset({Condition.NON_FINITE, Condition.DIVERGING})
"""Conditions that end their echoes when they open. A divergence that ends in NaN stays: it says why."""

ECHO_POINTS = 64
"""What opened this short before a worse condition was its first sign."""

QUIET_POINTS = 4
"""Quiet points before a finding of a detector that sees every point resolves; one that says ``Over`` waited itself."""
QUIET_REVIEWS = 2
"""Quiet reviews before a finding of a detector that is asked at reviews resolves."""
REOPEN_SHARE = 0.05
REOPEN_POINTS = 32
"""A condition that returns within 32 points, or 5 % of the run, of its resolution reopens its finding."""


def key_of(detector: Detector) -> str:
    """The name of what a detector finds: its condition and series."""
    return f"{detector.condition}/{detector.series}"


@dataclass(slots=True)
class Life:
    """The life of one condition on one series."""

    finding: Finding | None = None
    quiet: int = 0
    episode: int = 0
    opened_at: int = -1
    """Count of points when the finding opened."""
    resolved_at: int = -1
    """Count of points at the last resolution."""


@dataclass(slots=True)
class LifeCycle:
    """All findings of a run. ``changes`` collects what was opened, updated or closed since it was last drained."""

    uid: str
    attempt: int = 1
    lives: dict[str, Life] = field(default_factory=dict)
    closed: list[Finding] = field(default_factory=list)
    changes: list[Finding] = field(default_factory=list)
    turns: int = 0
    """How often a finding opened, worsened or closed since this object was made; no part of a run's state."""

    @property
    def troubled(self) -> frozenset[Condition]:
        """Conditions with an open finding of severity warning or above."""
        if not self.lives:
            return _NOTHING
        return frozenset(
            life.finding.condition
            for life in self.lives.values()
            if life.finding is not None and life.finding.severity is not Severity.INFO
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is no finding, open or closed."""
        return not self.closed and all(life.finding is None for life in self.lives.values())

    def is_open(self, key: str) -> bool:
        """Whether a finding of this condition and series is open."""
        life = self.lives.get(key)
        return life is not None and life.finding is not None

    def take(self, detector: Detector, verdict: Verdict, step: int, points: int) -> None:
        """Apply a verdict given at ``step``, the ``points``-th point."""
        key = key_of(detector)
        if isinstance(verdict, Alarm):
            self._alarm(key, detector, verdict, step, points)
        elif isinstance(verdict, Quiet):
            life = self.lives.get(key)
            if life is not None and life.finding is not None:
                life.quiet += 1
                if life.quiet >= (QUIET_POINTS if detector.every_point else QUIET_REVIEWS):
                    self._close(life, step, points)
        elif isinstance(verdict, Over):
            life = self.lives.get(key)
            if life is not None and life.finding is not None:
                life.finding = replace(life.finding, evidence={**life.finding.evidence, **verdict.evidence})
                self._close(life, step, points)

    def _alarm(self, key: str, detector: Detector, alarm: Alarm, step: int, points: int) -> None:
        life = self.lives.get(key)
        if life is None:
            life = self.lives[key] = Life()
        life.quiet = 0
        if life.finding is not None:
            self._update(life, alarm, step)
            return
        if CONDITIONS[detector.condition].absorbed_by & self.troubled - {detector.condition}:
            return
        window = max(REOPEN_POINTS, int(REOPEN_SHARE * points))
        if life.resolved_at >= 0 and points - life.resolved_at <= window and self._reopen(life, key, alarm, step):
            return
        life.episode += 1
        life.opened_at = points
        finding = Finding(
            id=finding_id(self.uid, self.attempt, detector.condition, detector.series, life.episode),
            condition=detector.condition,
            series=detector.series,
            attempt=self.attempt,
            episode=life.episode,
            severity=alarm.severity,
            confidence=alarm.confidence,
            onset_step=min(alarm.onset_step, step),
            opened_step=step,
            last_step=step,
            evidence=alarm.evidence,
        )
        self._absorb(finding, step, points)
        self._set(life, finding)
        self.turns += 1

    def _absorb(self, finding: Finding, step: int, points: int) -> None:
        """Close what is open only as an echo of a worse condition that opens now and began no later, or soon after."""
        for life in self.lives.values():
            echo = life.finding
            if (
                echo is not None
                and echo.condition not in WORSE
                and finding.condition in CONDITIONS[echo.condition].absorbed_by
                and finding.condition in WORSE
                and (echo.onset_step >= finding.onset_step or points - life.opened_at <= ECHO_POINTS)
            ):
                self._close(life, step, points)

    def _update(self, life: Life, alarm: Alarm, step: int) -> None:
        assert life.finding is not None
        old = life.finding
        severity = old.severity
        if alarm.severity.rank > severity.rank:
            severity = alarm.severity
            self.turns += 1
        self._set(
            life,
            replace(old, severity=severity, confidence=alarm.confidence, last_step=step, evidence=alarm.evidence),
        )

    def _reopen(self, life: Life, key: str, alarm: Alarm, step: int) -> bool:
        for i in range(len(self.closed) - 1, -1, -1):
            old = self.closed[i]
            if f"{old.condition}/{old.series}" == key and old.closed_by is ClosedBy.RESOLVED:
                del self.closed[i]
                life.finding = replace(old, resolved_step=None, closed_by=None)
                self.turns += 1
                self._update(life, alarm, step)
                return True
        return False

    def _close(self, life: Life, step: int, points: int) -> None:
        assert life.finding is not None
        finding = replace(life.finding, resolved_step=step, closed_by=ClosedBy.RESOLVED)
        life.finding, life.quiet, life.resolved_at = None, 0, points
        self.closed.append(finding)
        del self.closed[:-KEPT]
        self.changes.append(finding)
        self.turns += 1

    def _set(self, life: Life, finding: Finding) -> None:
        life.finding = finding
        self.changes.append(finding)

    def begin_attempt(self, number: int) -> None:
        """Findings that open from here on belong to the new attempt; episodes are counted anew."""
        self.attempt = number
        for life in self.lives.values():
            life.episode = 0

    def findings(self) -> tuple[Finding, ...]:
        """Open and recently closed ones, by the step at which they opened."""
        found = self.closed + [life.finding for life in self.lives.values() if life.finding is not None]
        return tuple(sorted(found, key=lambda f: (f.opened_step, f.condition, f.series, f.id)))
