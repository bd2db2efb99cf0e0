"""Runs and reports as JSON, in the field order of the contract's example."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import msgspec

from losswatch_server.codec.assessments import forecast_json, verdict_json
from losswatch_server.codec.contexts import context_json
from losswatch_server.codec.encoding import NOT_PLAIN, dumps_plain, encode_plain, timestamp
from losswatch_server.codec.findings import EncodedFindings
from losswatch_server.monitor.forecast import Forecast
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.report import Assessment
from losswatch_server.monitor.vocabulary import LoopAction, RunState, Status


class RunFacts(Protocol):
    """What is written of a run: ``losswatch_server.runs.RunRow`` has it."""

    @property
    def project(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def step(self) -> int | None: ...
    @property
    def points(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def detection_version(self) -> int: ...
    @property
    def state(self) -> RunState: ...
    @property
    def status(self) -> Status: ...
    @property
    def action(self) -> LoopAction: ...
    @property
    def headline(self) -> str: ...
    @property
    def context(self) -> Context: ...
    @property
    def created_at(self) -> float: ...
    @property
    def last_seen_at(self) -> float: ...
    @property
    def finished_at(self) -> float | None: ...
    @property
    def error(self) -> str: ...
    @property
    def paused_until(self) -> float | None: ...
    @property
    def damaged(self) -> tuple[str, ...]: ...


class ReportFacts(Protocol):
    """What is written of a report: ``losswatch_server.runs.Report`` has it."""

    @property
    def run(self) -> RunFacts: ...
    @property
    def assessment(self) -> Assessment: ...
    @property
    def stale(self) -> bool: ...
    @property
    def encoded(self) -> EncodedParts | None: ...


class CountFacts(Protocol):
    """What became of the points of one request: ``losswatch_server.runs.Recorded`` has it."""

    @property
    def accepted(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def conflicts(self) -> int: ...


def run_json(run: RunFacts) -> dict[str, Any]:
    """A run as ``GET /v1/runs/{run}`` and events show it."""
    return {
        "run": run.name,
        "project": run.project,
        "uid": run.uid,
        "attempt": run.attempt,
        "step": run.step,
        "points": run.points,
        "version": run.version,
        "detection_version": run.detection_version,
        "state": str(run.state),
        "status": str(run.status),
        "action": str(run.action),
        "headline": run.headline,
        "context": context_json(run.context),
        "created_at": timestamp(run.created_at),
        "last_seen_at": timestamp(run.last_seen_at),
        "finished_at": timestamp(run.finished_at),
        "error": run.error or None,
        "paused_until": timestamp(run.paused_until),
        "damaged": list(run.damaged),
    }


def counts_json(counts: CountFacts) -> dict[str, Any]:
    """``accepted``, ``duplicates``, ``late``, ``conflicts``."""
    return {
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "late": counts.late,
        "conflicts": counts.conflicts,
    }


def report_json(
    report: ReportFacts, counts: CountFacts | None = None, encoded: EncodedParts | None = None
) -> dict[str, Any]:
    """The contract's report; with ``counts`` when it answers a request that brought points. ``encoded``: what is not
    to be encoded again."""
    run, assessment = report.run, report.assessment
    return {
        "run": run.name,
        "project": run.project,
        "uid": run.uid,
        "attempt": run.attempt,
        "step": run.step,
        "points": run.points,
        "version": run.version,
        "detection_version": run.detection_version,
        **({} if counts is None else counts_json(counts)),
        "state": run.state.value,
        **_verdict_json(assessment, encoded),
        "error": run.error or None,
        "stale": report.stale,
    }


class EncodedParts:
    """What the last answer wrote of a run's findings and forecast, for the next one."""

    __slots__ = ("_findings", "_forecast")

    def __init__(self) -> None:
        self._findings = EncodedFindings()
        self._forecast: tuple[Forecast, msgspec.Raw] | None = None

    def findings(self, assessment: Assessment) -> list[msgspec.Raw]:
        """See EncodedFindings."""
        return self._findings.encode(assessment.findings)

    def forecast(self, assessment: Assessment) -> msgspec.Raw:
        """Encoded again where it is another one."""
        if self._forecast is None or self._forecast[0] is not assessment.forecast:
            made = msgspec.Raw(dumps_plain(forecast_json(assessment.forecast)))
            self._forecast = assessment.forecast, made
        return self._forecast[1]


def _verdict_json(assessment: Assessment, encoded: EncodedParts | None) -> dict[str, Any]:
    if encoded is None:
        return verdict_json(assessment)
    findings, forecast = encoded.findings(assessment), encoded.forecast(assessment)
    return verdict_json(assessment, findings=findings, told_forecast=forecast)


def report_bytes(report: ReportFacts, counts: CountFacts | None = None) -> bytes:
    """``report_json`` as strict JSON: every number in it is rounded, or an integer. Where the report keeps what it has
    encoded, only what changed since the last one is."""
    if report.encoded is not None:
        with contextlib.suppress(*NOT_PLAIN):
            return encode_plain(report_json(report, counts, report.encoded))
    return dumps_plain(report_json(report, counts))
