"""Findings as JSON, rounded for people or exact for the store, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from losswatch_server.codec.encoding import plain, rounded
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity

_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def finding_json(finding: Finding, *, exact: bool = False) -> dict[str, Any]:
    """The contract's finding; ``exact`` keeps every digit, so that ``finding_from_json`` gives the same finding."""
    number = plain if exact else rounded
    return {
        "id": finding.id,
        "condition": str(finding.condition),
        "series": finding.series,
        "attempt": finding.attempt,
        "episode": finding.episode,
        "severity": str(finding.severity),
        "confidence": number(finding.confidence),
        "onset_step": finding.onset_step,
        "opened_step": finding.opened_step,
        "last_step": finding.last_step,
        "resolved_step": finding.resolved_step,
        "closed_by": None if finding.closed_by is None else str(finding.closed_by),
        "summary": finding.summary,
        "evidence": number(finding.evidence),
        "causes": [_cause_json(cause, number) for cause in finding.causes],
        "advice": [_advice_json(advice, number) for advice in finding.advice],
        "docs": f"/v1/conditions/{finding.condition}",
    }


def finding_from_json(data: Mapping[str, Any]) -> Finding:
    """The finding that ``finding_json(exact=True)`` wrote. KeyError or ValueError for anything else."""
    closed_by = data["closed_by"]
    return Finding(
        id=data["id"],
        condition=Condition(data["condition"]),
        series=data["series"],
        attempt=data["attempt"],
        episode=data["episode"],
        severity=Severity(data["severity"]),
        confidence=_read(data["confidence"]),
        onset_step=data["onset_step"],
        opened_step=data["opened_step"],
        last_step=data["last_step"],
        resolved_step=data["resolved_step"],
        closed_by=None if closed_by is None else ClosedBy(closed_by),
        summary=data["summary"],
        evidence={name: _read(value) for name, value in data["evidence"].items()},
        causes=tuple(_cause(cause) for cause in data["causes"]),
        advice=tuple(_advice(advice) for advice in data["advice"]),
    )


def _cause_json(cause: Cause, number: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "cause": str(cause.cause),
        "probability": number(cause.probability),
        "because": list(cause.because),
        "against": list(cause.against),
        "check": cause.check,
    }


def _advice_json(advice: Advice, number: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "action": advice.action,
        "value": number(advice.value),
        "current": number(advice.current),
        "summary": advice.summary,
        "reference": advice.reference,
        "cause": None if advice.cause is None else str(advice.cause),
    }


def _cause(data: Mapping[str, Any]) -> Cause:
    return Cause(
        cause=CauseName(data["cause"]),
        probability=_read(data["probability"]),
        because=tuple(data["because"]),
        against=tuple(data["against"]),
        check=data["check"],
    )


def _advice(data: Mapping[str, Any]) -> Advice:
    return Advice(
        action=data["action"],
        value=_read(data["value"]),
        current=_read(data["current"]),
        summary=data["summary"],
        reference=data["reference"],
        cause=None if data["cause"] is None else CauseName(data["cause"]),
    )


def _read(value: Any) -> Any:
    """Numbers back from their strings, lists as the tuples that evidence holds."""
    match value:
        case str():
            return _NON_FINITE.get(value, value)
        case list():
            return tuple(_read(item) for item in value)
        case Mapping():
            return {name: _read(item) for name, item in value.items()}
    return value
