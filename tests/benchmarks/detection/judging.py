"""One run's findings against its label: found or missed, in time or too early, with which cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.detection.labels import HEALTHY, LabelledRun
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.vocabulary import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One finding, as little of it as scoring and listing need. ``opened_step``: when it first was an alarm."""

    condition: str
    series: str
    severity: str
    confidence: float
    onset_step: int
    opened_step: int
    resolved_step: int | None
    causes: tuple[tuple[str, float], ...]
    actions: tuple[tuple[str, Any], ...]
    summary: str

    @property
    def alarming(self) -> bool:
        """Of warning or above, at any time."""
        return self.severity in (Severity.WARNING, Severity.CRITICAL)


def said(finding: Finding, *, severity: Severity | None = None, opened_step: int | None = None) -> Said:
    """What a finding says; its worst severity and the step of its first alarm where they are known."""
    return Said(
        condition=str(finding.condition),
        series=finding.series,
        severity=str(finding.severity if severity is None else severity),
        confidence=finding.confidence,
        onset_step=finding.onset_step,
        opened_step=finding.opened_step if opened_step is None else opened_step,
        resolved_step=finding.resolved_step,
        causes=tuple((str(c.cause), c.probability) for c in finding.causes),
        actions=tuple((a.action, a.value) for a in finding.advice),
        summary=finding.summary,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One run against its label. The fields of the other kind of run stay at their defaults."""

    id: str
    family: str
    condition: str
    cause: str | None
    onset: int
    steps: tuple[int, int]
    points: int
    said: tuple[Said, ...]
    sent: str = "full"
    by_epoch: bool = False
    failure: str = ""
    """What the monitor raised, if it did."""
    alarms: tuple[str, ...] = ()
    """The conditions said of a healthy run, at any time, that should not be; one for each finding."""
    detected: bool = False
    premature: bool = False
    may_be_missed: bool = False
    extra: int = 0
    delay: float | None = None
    first_cause: str | None = None
    """What stands first in the first matching finding."""
    cause_at_1: bool | None = None
    """The injected cause stands first in the first matching finding. A run that is missed counts as wrong."""
    cause_at_3: bool | None = None
    """The injected cause is among the first three there."""
    fair_cause_at_1: bool | None = None
    """It, or one that an expert could not tell from it by what is logged, stands first there."""
    cause_claims: tuple[tuple[float, bool], ...] = ()
    """Every probability of a cause in the first matching finding, and whether that cause was the injected one."""
    finding_claims: tuple[tuple[str, float, bool], ...] = ()
    """Condition and confidence of every alarm, and whether it was right."""

    @property
    def healthy(self) -> bool:
        """Labelled healthy."""
        return self.condition == HEALTHY

    @property
    def false_alarm(self) -> bool:
        """A healthy run of which anything wrong was ever said."""
        return bool(self.alarms)

    @property
    def found(self) -> bool:
        """Detected, and not before it began."""
        return self.detected and not self.premature

    @property
    def counts(self) -> bool:
        """A fault that a fair monitor may also call healthy counts only where it was found."""
        return not self.healthy and (self.detected or not self.may_be_missed)

    @property
    def wrong(self) -> bool:
        """Anything about the detection is wrong."""
        return self.false_alarm or (self.counts and (not self.found or self.extra > 0))


def judge(run: LabelledRun, findings: Sequence[Said], *, failure: str = "") -> Judged:
    """One run's findings, those that ended included, against its label."""
    label = run.label
    steps = (run.first_step, run.last_step)
    alarms = [f for f in findings if f.alarming]
    onset = label.onset_step if label.onset_step is not None else steps[0]
    right = frozenset(label.also_ok) if label.healthy else label.right
    common: dict[str, Any] = {
        "id": run.id,
        "family": run.family,
        "condition": label.condition,
        "cause": label.cause,
        "onset": onset,
        "steps": steps,
        "points": len(run.points),
        "said": tuple(findings),
        "sent": run.sent,
        "failure": failure,
        "by_epoch": (run.full_context or {}).get("step_unit", run.context.step_unit) == "epoch",
        "finding_claims": tuple((f.condition, f.confidence, f.condition in right) for f in alarms),
    }
    if label.healthy:
        return Judged(**common, alarms=tuple(sorted(f.condition for f in alarms if f.condition not in right)))
    matching = sorted((f for f in alarms if f.condition in right), key=lambda f: f.opened_step)
    spacing = run.points[min(1, len(run.points) - 1)].step - steps[0]
    tolerance = max(0.05 * (steps[1] - steps[0]), 3 * spacing)
    first = matching[0].opened_step if matching else None
    causes = [name for name, _ in matching[0].causes] if matching else []
    return Judged(
        **common,
        detected=first is not None,
        premature=first is not None and first < onset - tolerance,
        may_be_missed=HEALTHY in label.also_ok,
        extra=len({f.condition for f in alarms} - right),
        delay=None if first is None else max(0.0, (first - onset) / max(1, steps[1] - onset)),
        first_cause=causes[0] if causes else None,
        cause_at_1=causes[:1] == [label.cause] if label.cause else None,
        cause_at_3=label.cause in causes[:3] if label.cause else None,
        fair_cause_at_1=bool(label.right_causes & set(causes[:1])) if label.cause else None,
        cause_claims=tuple((p, name == label.cause) for name, p in matching[0].causes)
        if matching and label.cause
        else (),
    )


def row_json(row: Judged) -> dict[str, Any]:
    """One row for a file."""
    return asdict(row)
