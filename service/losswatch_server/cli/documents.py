"""What ``diagnose`` is given, read: the JSON of the points endpoint, or a training log as it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from losswatch import logs
from losswatch_server import wire
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import Assessment, assess
from losswatch_server.wire.bodies import parse_json


class UnreadableError(ValueError):
    """The document holds nothing that can be judged; the message says what could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that was read: its points with the attempt of each, what it says of the job, and how it was read."""

    points: tuple[tuple[int, Point], ...]
    context: Context
    read_as: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    skipped_lines: int = 0


def read_document(raw: bytes, name: str) -> Document:
    """The points of ``raw``. Raises UnreadableError."""
    if not raw.strip():
        raise UnreadableError(f"{name} is empty")
    try:
        value = parse_json(raw)
    except wire.NotJsonError:
        value = None
    if isinstance(value, dict) and ("points" in value or "step" in value):
        try:
            return _from_body(wire.read_body(raw))
        except wire.BodyRefusedError as refusal:
            raise UnreadableError(f"{name}: {refusal}") from refusal
    try:
        return _from_log(logs.read(raw, name=name))
    except logs.UnreadableLogError as error:
        raise UnreadableError(error.detail) from error


def judge(document: Document, context: Context) -> Assessment:
    """Folds a document into an assessment. Of an attempt that was resumed only what came before the resume counts."""
    monitor = Monitor("diagnose")
    monitor.see_context(document.context.merged(context))
    attempt = 1
    for number, point in _standing(document.points):
        if number != attempt:
            monitor.begin_attempt(number, point.step)
            attempt = number
        monitor.see(point)
    return assess(monitor)


def standing_curve(document: Document) -> tuple[list[int], list[float]]:
    """Steps and losses of what was judged, for a picture."""
    pairs = [(p.step, p.loss) for _, p in _standing(document.points) if p.loss is not None and not p.rank]
    return [step for step, _ in pairs], [loss for _, loss in pairs]


def _standing(points: Iterable[tuple[int, Point]]) -> list[tuple[int, Point]]:
    kept: list[tuple[int, Point]] = []
    attempt = 1
    for number, point in points:
        if number != attempt:
            attempt = number
            while kept and kept[-1][1].step >= point.step:
                kept.pop()
        kept.append((number, point))
    return kept


def _from_body(body: wire.Body) -> Document:
    merged: dict[tuple[int, int], Point] = {}
    for point in sorted(body.points, key=lambda p: p.step):
        key = (point.step, point.rank)
        given = {name: value for name, value in point._asdict().items() if value is not None}
        merged[key] = merged[key]._replace(**given) if key in merged else point
    return Document(
        points=tuple((1, point) for point in merged.values()),
        context=body.context or Context(),
        read_as=(f"{len(merged)} points as JSON",),
    )


def _from_log(log: logs.ReadLog) -> Document:
    points = tuple(
        (
            line.attempt,
            Point(
                line.step,
                loss=line.loss,
                grad_norm=line.grad_norm,
                learning_rate=line.learning_rate,
                validation_loss=line.validation_loss,
                epoch=line.epoch,
                metrics=line.metrics or None,
                loss_is_null=line.loss_is_null,
            ),
        )
        for line in log.points
    )
    return Document(
        points=points,
        context=wire.read_context(log.context),
        read_as=(f"{log.format}: {len(points)} points", *log.read_as),
        skipped=tuple(f"line {line.line}: {line.text!r}: {line.reason}" for line in log.skipped),
        skipped_lines=log.skipped_lines,
    )
