"""Diagnosis without a service: a request body, or a training log as it stands, to what the monitor says of it.

Pure: nothing is stored, and the same bytes give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from losswatch_logs import LogPoint, ReadLog, read
from losswatch_server.monitor.explain import Explanation, Probe
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point
from losswatch_server.monitor.report import Assessment, assess
from losswatch_server.same_step import in_order
from losswatch_server.wire import NotJsonError, read_context
from losswatch_server.wire.bodies import Body, parse_json, read_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is said of the points, the context that was used, how a log was read (None for a JSON body), and, where
    that was asked for, each finding explained."""

    assessment: Assessment
    context: Context
    log: ReadLog | None
    explanations: tuple[Explanation, ...] = ()
    faults: tuple[Fault, ...] = ()
    """What failed on the way, for whoever logs and counts; the answer says it too."""


class _Begin(NamedTuple):
    """A resume from a checkpoint, in the order of the points."""

    number: int
    step: int


def diagnose_bytes(
    raw: bytes, context: Context = EMPTY_CONTEXT, *, name: str | None = None, explain: bool = False
) -> Diagnosis:
    """JSON with ``points`` or ``step`` is taken as a points request, everything else as a training log.

    ``context`` lies over what the body says of the job. ``name`` is the log's file name, where there is one.
    ``explain``: the numbers behind each finding too, for the price of a second fold. Raises BodyRefusedError,
    PointsRefusedError or ``losswatch_logs.UnreadableLogError``.
    """
    body = _points_request(raw)
    if body is not None:
        merged = (body.context or EMPTY_CONTEXT).merged(context)
        log, entries = None, list[Point | _Begin](in_order(body.points))
    else:
        log = read(raw, name=name)
        merged = read_context(log.context).merged(context)
        entries = _lineage(log.points)
    monitor = _folded(entries, merged)
    assessment = assess(monitor)
    explanations = _explained(entries, merged, assessment.findings) if explain else ()
    faults = [*monitor.drain_faults(), *assessment.faults]
    faults += [fault for explanation in explanations for fault in explanation.faults]
    return Diagnosis(assessment=assessment, context=merged, log=log, explanations=explanations, faults=tuple(faults))


def _explained(
    entries: Sequence[Point | _Begin], context: Context, findings: Sequence[Finding]
) -> tuple[Explanation, ...]:
    """All findings in one more fold, and one for those that another rule opened than the one that speaks last."""
    probes = [Probe(finding) for finding in findings]
    if probes:
        _folded(entries, context, probes)
    corrected = [probe.corrected() for probe in probes]
    if any(corrected):
        _folded(entries, context, [probe for probe in corrected if probe is not None])
    return tuple((right or probe).explanation() for right, probe in zip(corrected, probes, strict=True))


def _folded(entries: Iterable[Point | _Begin], context: Context, probes: Sequence[Probe] = ()) -> Monitor:
    """Fold points by ascending step (within an attempt)."""
    monitor = Monitor("diagnose")
    monitor.see_context(context)
    for entry in entries:
        if isinstance(entry, _Begin):
            monitor.begin_attempt(entry.number, entry.step)
        else:
            monitor.see(entry)
            for probe in probes:
                probe.look(monitor)
    return monitor


def _points_request(raw: bytes) -> Body | None:
    if raw.lstrip()[:1] not in (b"{", b"\xef"):
        return None
    try:
        value: Any = parse_json(raw)
    except NotJsonError:
        return None
    if not isinstance(value, dict):
        return None
    if "points" in value or ("step" in value and not isinstance(value["step"], list)):
        return read_value(value)
    return None


def _lineage(points: Sequence[LogPoint]) -> list[Point | _Begin]:
    """The points that a run of this log is judged by: a later attempt supersedes what came at or past its start."""
    kept: list[Point | _Begin] = []
    attempt = 1
    for point in points:
        if point.attempt != attempt:
            attempt = point.attempt
            while kept and kept[-1].step >= point.step:
                kept.pop()
            kept.append(_Begin(attempt, point.step))
        kept.append(_point(point))
    return kept


def _point(point: LogPoint) -> Point:
    return Point(
        step=point.step,
        loss=point.loss,
        grad_norm=point.grad_norm,
        learning_rate=point.learning_rate,
        validation_loss=point.validation_loss,
        epoch=point.epoch,
        metrics=point.metrics or None,
        loss_is_null=point.loss_is_null,
    )
