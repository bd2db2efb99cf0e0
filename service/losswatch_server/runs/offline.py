"""Diagnosis without a service: a request body, or a training log as it stands, to what the monitor says of it.

Pure: nothing is stored, and the same bytes give the same answer.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from losswatch_logs import NO_COLUMNS, Columns, Doubt, LogPoint, ReadLog, read_all
from losswatch_server.codec import NotJsonError, assessment_json, read_context
from losswatch_server.codec.bodies import Body, parse_json, read_value
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point
from losswatch_server.monitor.replay import Explanation, Probe
from losswatch_server.monitor.report import Assessment, assess
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, LoopAction, Status
from losswatch_server.runs.answers import StoredPoint, stored_point_json
from losswatch_server.runs.points.merge import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is said of the points, the context that was used, how a log was read (None for a JSON body), and, where
    that was asked for, each finding explained. Of a log that holds several runs: the worst, and all of them as
    ``runs``, in the order of the log."""

    assessment: Assessment
    context: Context
    log: ReadLog | None
    explanations: tuple[Explanation, ...] = ()
    faults: tuple[Fault, ...] = ()
    """What failed on the way, for whoever logs and counts; the answer says it too."""
    runs: tuple[Diagnosis, ...] = ()
    series: tuple[StoredPoint, ...] | None = None
    """The points that it was judged by, thinned, where they were asked for."""


_BADNESS = (Status.HEALTHY, Status.WAITING, Status.WARNING, Status.CRITICAL)


class _Begin(NamedTuple):
    """A resume from a checkpoint, in the order of the points."""

    number: int
    step: int


def diagnose_bytes(
    raw: bytes,
    context: Context = EMPTY_CONTEXT,
    *,
    name: str | None = None,
    explain: bool = False,
    columns: Columns = NO_COLUMNS,
    resolution: int | None = None,
) -> Diagnosis:
    """JSON with ``points`` or ``step`` is taken as a points request, everything else as a training log.

    ``context`` lies over what the body says of the job. ``name`` is the log's file name, where there is one;
    ``columns`` are those of its columns that a person names.
    ``explain``: the numbers behind each finding too, for the price of a second fold. ``resolution``: about so many of
    the points too. Raises BodyRefusedError,
    PointsRefusedError or ``losswatch_logs.UnreadableLogError``.
    """
    with _without_collection():
        body = _points_request(raw)
        if body is not None:
            merged = (body.context or EMPTY_CONTEXT).merged(context)
            return _diagnosed(list(in_order(body.points)), merged, None, explain, resolution)
        runs = [
            _diagnosed(_lineage(log.points), read_context(log.context).merged(context), log, explain, resolution)
            for log in read_all(raw, name=name, columns=columns)
        ]
    worst = max(runs, key=lambda run: _BADNESS.index(run.assessment.status))
    if len(runs) == 1:
        return worst
    return replace(worst, runs=tuple(runs), faults=tuple(fault for run in runs for fault in run.faults))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Nothing is looked through for circles: a long log makes a million objects and none, and the search took a sixth
    of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def answer_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """What ``POST /v1/diagnose`` answers: the verdict, how the log was read, and of several runs a report each."""
    answer = _run_json(diagnosis)
    if diagnosis.runs:
        answer["reports"] = [_run_json(run) for run in diagnosis.runs]
    return answer


def _run_json(diagnosis: Diagnosis) -> dict[str, Any]:
    log = diagnosis.log
    verdict = assessment_json(diagnosis.assessment)
    who = {name: verdict.pop(name) for name in ("attempt", "step", "points")}
    run = {} if log is None or log.run is None else {"run": log.run}
    return {
        **run,
        **who,
        "detection_version": DETECTION_VERSION,
        **verdict,
        "read": None if log is None else _reading_json(log),
        **({} if diagnosis.series is None else {"series": [stored_point_json(stored) for stored in diagnosis.series]}),
    }


def _reading_json(log: ReadLog) -> dict[str, Any]:
    return {
        "format": log.format,
        "points": len(log.points),
        "total_lines": log.total_lines,
        "read_as": list(log.read_as),
        "columns": [column._asdict() for column in log.columns],
        "doubts": [doubt_sentence(doubt) for doubt in log.doubts],
        "skipped": [{"line": line.line, "text": line.text, "reason": line.reason} for line in log.skipped],
        "skipped_lines": log.skipped_lines,
        "context": dict(log.context),
    }


def doubt_sentence(doubt: Doubt) -> str:
    """A doubt, with the parameter and the option that would settle it."""
    if not doubt.remedy:
        return doubt.detail
    name, _, value = doubt.remedy.partition("=")
    option = f"--{name.replace('_', '-')}"
    return f"{doubt.detail}; say {doubt.remedy} ({option} {value!r}) if that is wrong"


def _diagnosed(
    entries: Sequence[Point | _Begin], context: Context, log: ReadLog | None, explain: bool, resolution: int | None
) -> Diagnosis:
    monitor = _folded(entries, context)
    assessment = assess(monitor, asked=True)
    explanations = _explained(entries, context, assessment.findings) if explain else ()
    faults = [*monitor.drain_faults(), *assessment.faults]
    faults += [fault for explanation in explanations for fault in explanation.faults]
    if log is not None:
        assessment = _with_trainings(_with_doubts(assessment, log.doubts), log.points)
    return Diagnosis(
        assessment=assessment,
        context=context,
        log=log,
        explanations=explanations,
        faults=tuple(faults),
        series=None if resolution is None else _thinned(entries, resolution),
    )


def _thinned(entries: Sequence[Point | _Begin], resolution: int) -> tuple[StoredPoint, ...]:
    """About so many of the points, as those of a stored run."""
    from losswatch_server.runs.series import thin  # brings the store, which the command line does not need

    attempt, points = 1, []
    for entry in entries:
        if isinstance(entry, _Begin):
            attempt = entry.number
        else:
            points.append(StoredPoint(entry, attempt, False))
    return tuple(thin(points, resolution))


def _with_doubts(assessment: Assessment, doubts: Sequence[Doubt]) -> Assessment:
    """The verdict that follows from a reading in doubt: nothing is called healthy on it, and an alarm says so."""
    serious = [doubt_sentence(doubt) for doubt in doubts if doubt.serious]
    if not serious:
        return assessment
    notes = (*assessment.notes, *(f"The reading is in doubt: {sentence}." for sentence in serious))
    if assessment.status not in (Status.HEALTHY, Status.WAITING):
        return replace(assessment, notes=notes)
    return replace(
        assessment,
        status=Status.WAITING,
        action=LoopAction.LOOK,
        headline=f"The reading is in doubt: {serious[0]}. Read so, nothing is wrong.",
        notes=notes[:-1] if len(serious) == 1 else notes,
    )


def _with_trainings(assessment: Assessment, points: Sequence[LogPoint]) -> Assessment:
    """Says so where several trainings follow one another in a log: the last is judged."""
    begun = trainings(points)
    if begun == 1:
        return assessment
    note = (
        f"{begun} trainings follow one another in this log: the steps begin again. The last one, "
        f"{'1 point' if assessment.points == 1 else f'{assessment.points:,} points'}, is judged; the earlier ones are "
        "not. To have one of them judged, cut its lines out."
    )
    return replace(assessment, notes=(note, *assessment.notes))


def trainings(points: Sequence[LogPoint]) -> int:
    """How often a log begins from the start: an attempt that leaves nothing of those before is another training."""
    begun, attempt, first = 1, 1, math.inf
    for point in points:
        if point.attempt != attempt:
            attempt = point.attempt
            if point.step <= first:
                begun, first = begun + 1, math.inf
        first = min(first, point.step)
    return begun


def _explained(
    entries: Sequence[Point | _Begin], context: Context, findings: Sequence[Finding]
) -> tuple[Explanation, ...]:
    """All findings in one more fold."""
    probes = [Probe(finding) for finding in findings]
    if probes:
        _folded(entries, context, probes)
    return tuple(probe.explanation() for probe in probes)


def _folded(entries: Iterable[Point | _Begin], context: Context, probes: Sequence[Probe] = ()) -> Monitor:
    """Fold points by ascending step (within an attempt)."""
    monitor = Monitor("diagnose")
    monitor.see_context(context)
    for probe in probes:
        probe.watch(monitor)
    due: list[Point] = []
    for entry in entries:
        if isinstance(entry, _Begin):
            monitor.see_all(due)
            due.clear()
            monitor.begin_attempt(entry.number, entry.step)
        elif probes:
            monitor.see(entry)
            for probe in probes:
                probe.look(monitor)
        else:
            due.append(entry)
    monitor.see_all(due)
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
