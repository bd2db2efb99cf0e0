"""Contexts and findings as JSON text for the database: exact, unlike what leaves the service.

Python's own JSON dialect (bare NaN and Infinity tokens) keeps every float64; only SQLite's json functions read a
context, whose numbers are finite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import CONTEXT_FIELDS, Context
from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity
from losswatch_server.store import damage

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def context_text(context: Context) -> str:
    """A context with the fields that are given."""
    given = {name: value for name in CONTEXT_FIELDS if (value := getattr(context, name)) is not None and value != {}}
    if context.facts is not None:
        given["facts"] = context.facts.given()
    return _encode(given)


class DamagedDocumentError(ValueError):
    """The text is not what was written."""


def context_from(text: str | bytes) -> Context:
    """The exact inverse of ``context_text``. Raises DamagedDocumentError."""
    try:
        given = json.loads(text)
        msgspec.convert(given, Context)
        if "layer_order" in given:
            given["layer_order"] = tuple(given["layer_order"])
        if "facts" in given:
            given["facts"] = ModelFacts.of(given["facts"])
        return Context(**given)
    except damage.MISSHAPEN as error:
        raise DamagedDocumentError(f"not a context: {error}") from error


def finding_text(finding: Finding) -> str:
    """A finding with its causes and advice."""
    return _encode(finding_fields(finding))


def finding_from(text: str | bytes) -> Finding:
    """The exact inverse of ``finding_text``; pairs in the evidence come back as tuples.

    Raises DamagedDocumentError.
    """
    try:
        fields = json.loads(text)
        msgspec.convert(fields, Finding)
        return finding_from_fields(fields)
    except damage.MISSHAPEN as error:
        raise DamagedDocumentError(f"not a finding: {error}") from error


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


def finding_fields(finding: Finding) -> dict[str, Any]:
    """A finding as plain values for JSON."""
    fields = {name: getattr(finding, name) for name in Finding.__dataclass_fields__}
    fields["evidence"] = dict(finding.evidence)
    fields["causes"] = [{name: getattr(cause, name) for name in Cause.__dataclass_fields__} for cause in finding.causes]
    fields["advice"] = [{name: getattr(item, name) for name in Advice.__dataclass_fields__} for item in finding.advice]
    return fields


def finding_from_fields(fields: Mapping[str, Any]) -> Finding:
    """The exact inverse of ``finding_fields`` after a way through JSON."""
    return Finding(
        **{
            **fields,
            "condition": Condition(fields["condition"]),
            "severity": Severity(fields["severity"]),
            "closed_by": fields["closed_by"] and ClosedBy(fields["closed_by"]),
            "evidence": {name: _tuples(value) for name, value in fields["evidence"].items()},
            "causes": tuple(
                Cause(
                    **{
                        **cause,
                        "cause": CauseName(cause["cause"]),
                        "because": tuple(cause["because"]),
                        "against": tuple(cause["against"]),
                    }
                )
                for cause in fields["causes"]
            ),
            "advice": tuple(
                Advice(**{**item, "cause": item["cause"] and CauseName(item["cause"])}) for item in fields["advice"]
            ),
        }
    )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
