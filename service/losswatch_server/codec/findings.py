"""Findings as JSON, rounded for people or exact for the store, and back.

The exact form is text in Python's own dialect of JSON, whose bare NaN and Infinity tokens keep every float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from losswatch_server.codec.damage import MISSHAPEN, DamagedCellError
from losswatch_server.codec.encoding import NOT_PLAIN, dumps, encode_plain, exact_text, rounded, timestamp
from losswatch_server.codec.shapes import shape_check
from losswatch_server.monitor.diagnosis.suspicions import Suspicion
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity

_check = shape_check(Finding)


def finding_json(finding: Finding, *, exact: bool = False) -> dict[str, Any]:
    """The contract's finding. ``exact``: the fields of a Finding alone, every number as it is."""
    number = _as_it_is if exact else rounded
    causes = [_cause_json(cause, number) for cause in finding.causes]
    advice = [_advice_json(advice, number) for advice in finding.advice]
    evidence = dict(finding.evidence) if exact else _evidence_json(finding.evidence)
    fields = _fields(finding, number(finding.confidence), evidence, causes, advice)
    return fields if exact else {**fields, "docs": f"/v1/conditions/{finding.condition}"}


def _fields(
    finding: Finding, confidence: float, evidence: Mapping[str, Any], causes: Any, advice: Any
) -> dict[str, Any]:
    return {
        "id": finding.id,
        "condition": str(finding.condition),
        "series": finding.series,
        "attempt": finding.attempt,
        "episode": finding.episode,
        "severity": str(finding.severity),
        "confidence": confidence,
        "onset_step": finding.onset_step,
        "opened_step": finding.opened_step,
        "last_step": finding.last_step,
        "resolved_step": finding.resolved_step,
        "closed_by": None if finding.closed_by is None else str(finding.closed_by),
        "summary": finding.summary,
        "evidence": evidence,
        "causes": causes,
        "advice": advice,
    }


class _Encoded(NamedTuple):
    """A finding with its wire form, and that of its causes and its advice (None: they have to be encoded anew)."""

    finding: Finding
    whole: msgspec.Raw
    causes: msgspec.Raw | None = None
    advice: msgspec.Raw | None = None


class EncodedFindings:
    """The findings of a run's last report in their wire form. What did not change since is not encoded again: neither a
    finding that is the same, nor the causes and advice of one whose evidence moved."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, _Encoded] = {}

    def encode(self, findings: Iterable[Finding]) -> list[msgspec.Raw]:
        """What ``finding_json`` gives of each, as strict JSON."""
        before = self._kept
        self._kept = {finding.id: _encoded(finding, before.get(finding.id)) for finding in findings}
        return [encoded.whole for encoded in self._kept.values()]


def _encoded(finding: Finding, before: _Encoded | None) -> _Encoded:
    if before is not None and before.finding is finding:
        return before
    causes = before.causes if before is not None and before.finding.causes is finding.causes else None
    advice = before.advice if before is not None and before.finding.advice is finding.advice else None
    try:
        if causes is None:
            causes = msgspec.Raw(encode_plain([_cause_json(cause, rounded) for cause in finding.causes]))
        if advice is None:
            advice = msgspec.Raw(encode_plain([_advice_json(advice, rounded) for advice in finding.advice]))
        fields = _fields(finding, rounded(finding.confidence), _evidence_json(finding.evidence), causes, advice)
        whole = msgspec.Raw(encode_plain({**fields, "docs": f"/v1/conditions/{finding.condition}"}))
    except NOT_PLAIN:
        return _Encoded(finding, msgspec.Raw(dumps(finding_json(finding))))
    return _Encoded(finding, whole, causes, advice)


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
