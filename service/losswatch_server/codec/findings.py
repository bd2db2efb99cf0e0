"""Findings as JSON, rounded for people or exact for the store, and back.

The exact form is text in Python's own dialect of JSON, whose bare NaN and Infinity tokens keep every float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from losswatch_server.codec.damage import MISSHAPEN, DamagedCellError
from losswatch_server.codec.encoding import exact_text, rounded, timestamp
from losswatch_server.codec.shapes import shape_check
from losswatch_server.monitor.diagnosis.suspicions import Suspicion
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity

_check = shape_check(Finding)


def finding_json(finding: Finding, *, exact: bool = False) -> dict[str, Any]:
    """The contract's finding. ``exact``: the fields of a Finding alone, every number as it is."""
    number = _as_it_is if exact else rounded
    fields = {
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
        "evidence": number(dict(finding.evidence)) if exact else _evidence_json(finding.evidence),
        "causes": [_cause_json(cause, number) for cause in finding.causes],
        "advice": [_advice_json(advice, number) for advice in finding.advice],
    }
    return fields if exact else {**fields, "docs": f"/v1/conditions/{finding.condition}"}


def suspicion_json(suspicion: Suspicion) -> dict[str, Any]:
    """The contract's suspicion."""
    return {
        "condition": str(suspicion.condition),
        "probability": round(suspicion.probability, 2),
        "summary": suspicion.summary,
        "causes": [_cause_json(cause, rounded) for cause in suspicion.causes],
        "advice": [_advice_json(advice, rounded) for advice in suspicion.advice],
        "docs": f"/v1/conditions/{suspicion.condition}",
    }


def finding_text(finding: Finding) -> str:
    """The exact form, with causes and advice."""
    return exact_text(finding_json(finding, exact=True))


def finding_from_text(text: str | bytes) -> Finding:
    """The exact inverse of ``finding_text``; pairs in the evidence come back as tuples. Raises DamagedCellError."""
    try:
        fields = json.loads(text)
        _check(fields)
        return finding_from_fields(fields)
    except MISSHAPEN as error:
        raise DamagedCellError(f"not a finding: {error}") from error


def finding_from_fields(fields: Mapping[str, Any]) -> Finding:
    """The inverse of ``finding_json(exact=True)`` after a way through JSON. Raises what is in MISSHAPEN."""
    closed_by = fields["closed_by"]
    return Finding(
        **{
            **fields,
            "condition": Condition(fields["condition"]),
            "severity": Severity(fields["severity"]),
            "closed_by": None if closed_by is None else ClosedBy(closed_by),
            "evidence": {name: _tuples(value) for name, value in fields["evidence"].items()},
            "causes": tuple(_cause(cause) for cause in fields["causes"]),
            "advice": tuple(_advice(advice) for advice in fields["advice"]),
        }
    )


def finding_of_columns(
    finding_id: str, condition: str, severity: str, opened_step: int, closed_by: str | None
) -> Finding | None:
    """What is left of a finding whose text is damaged: its row's other columns; None where those are, too."""
    try:
        return Finding(
            id=finding_id,
            condition=Condition(condition),
            series="unknown",
            attempt=1,
            episode=1,
            severity=Severity(severity),
            confidence=0.0,
            onset_step=opened_step,
            opened_step=opened_step,
            last_step=opened_step,
            resolved_step=None if closed_by is None else opened_step,
            closed_by=None if closed_by is None else ClosedBy(closed_by),
            summary="What was kept of this finding is damaged; only its condition, severity and step can be read.",
        )
    except ValueError:
        return None


def _evidence_json(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers to six digits; a time (``last_seen_at``) is a time and no measurement: RFC 3339, to the millisecond."""
    return {
        str(name): timestamp(value) if name.endswith("_at") and isinstance(value, float) else rounded(value)
        for name, value in evidence.items()
    }


def _cause_json(cause: Cause, number: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "cause": str(cause.cause),
        "probability": cause.probability if number is _as_it_is else round(cause.probability, 2),
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


def _cause(fields: Mapping[str, Any]) -> Cause:
    because, against = tuple(fields["because"]), tuple(fields["against"])
    return Cause(**{**fields, "cause": CauseName(fields["cause"]), "because": because, "against": against})


def _advice(fields: Mapping[str, Any]) -> Advice:
    return Advice(**{**fields, "cause": None if fields["cause"] is None else CauseName(fields["cause"])})


def _as_it_is(value: Any) -> Any:
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
