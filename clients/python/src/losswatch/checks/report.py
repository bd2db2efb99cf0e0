"""The report of a preflight, in the words of the service: findings, causes, advice, numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """Something that a check found wrong before the first step."""

    check: str
    """Which check: ``gradients``, ``one_batch``, …"""
    severity: str
    """``critical`` where no training can work, ``warning`` where it will be worse."""
    condition: str
    """What a run would show: ``not_learning``, ``diverging``, ``non_finite``, …"""
    summary: str
    action: str
    """As in the service's advice: ``set_learning_rate``, ``scale_inputs``, …"""
    advice: str
    cause: Optional[str] = None
    value: Any = None
    evidence: Dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> Dict[str, Any]:
        """As a finding of the service's report, as far as there is one before a training."""
        value = {} if self.value is None else {"value": self.value}
        cause = [{"cause": self.cause, "because": [self.summary]}] if self.cause else []
        return {
            "check": self.check,
            "severity": self.severity,
            "condition": self.condition,
            "summary": self.summary,
            "evidence": self.evidence,
            "causes": cause,
            "advice": [{"action": self.action, **value, "summary": self.advice}],
        }


@dataclass(frozen=True)
class Preflight:
    """What was found, the gravest first, and what was seen on the way."""

    findings: Tuple[Finding, ...]
    passed: Tuple[str, ...]
    """A sentence for each check that found nothing."""
    skipped: Tuple[str, ...] = ()
    """A sentence for each check that could not be done."""
    facts: Dict[str, Any] = field(default_factory=dict)
    """As in ``context.facts``."""
    learning_rates: Tuple[Tuple[float, float], ...] = ()
    """The curve of the learning-rate range test: (rate, loss)."""
    largest_stable_learning_rate: Optional[float] = None
    suggested_learning_rate: Optional[float] = None

    @property
    def status(self) -> str:
        """``critical``, ``warning`` or ``healthy``."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in _SEVERITIES[:2] if severity in found), "healthy")

    @property
    def headline(self) -> str:
        """The gravest finding, in a sentence."""
        return self.findings[0].summary if self.findings else "Nothing stands in the way of this training."

    def as_json(self) -> Dict[str, Any]:
        """Plain values, in the shape of the service's report."""
        return {
            "status": self.status,
            "headline": self.headline,
            "findings": [finding.as_json() for finding in self.findings],
            "passed": list(self.passed),
            "skipped": list(self.skipped),
            "facts": dict(self.facts),
            "largest_stable_learning_rate": self.largest_stable_learning_rate,
            "suggested_learning_rate": self.suggested_learning_rate,
            "learning_rates": [list(point) for point in self.learning_rates],
        }

    def post(self, run: Any) -> None:
        """Tells a run what was seen: the facts, and the rest as hyper-parameters of the preflight."""
        run.update_context(
            facts=dict(self.facts),
            preflight={
                "status": self.status,
                "findings": [finding.summary for finding in self.findings],
                "suggested_learning_rate": self.suggested_learning_rate,
                "largest_stable_learning_rate": self.largest_stable_learning_rate,
            },
        )

    def lines(self) -> List[str]:
        """For a person, a line each."""
        said = [f"preflight: {self.status}. {self.headline}"]
        for finding in self.findings:
            said += [f"  {finding.severity}: {finding.summary}", f"    {finding.advice}"]
        said += [f"  ok: {sentence}" for sentence in self.passed]
        said += [f"  not checked: {sentence}" for sentence in self.skipped]
        if self.suggested_learning_rate is not None:
            largest = self.largest_stable_learning_rate
            limit = f"; steps are stable up to {largest:.3g}" if largest is not None else ""
            said.append(f"  a learning rate of {self.suggested_learning_rate:.2g} suits this batch{limit}")
        return said

    def __str__(self) -> str:
        return "\n".join(self.lines())


def ordered(findings: List[Finding]) -> Tuple[Finding, ...]:
    """The gravest first; of the same severity in the order in which they were found."""
    return tuple(sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity)))
