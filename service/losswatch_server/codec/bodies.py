"""The body of a points request: a fast path for what is plainly right, an exact one for everything else.

The fast path decodes and checks with msgspec in one pass (about 1 us a point). Whatever it does not take (bare NaN,
numbers as words, a fault anywhere) goes to the exact path, which reads by the contract's rules and names every fault.
Both give the same points for what both accept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from losswatch_server.codec.contexts import read_context
from losswatch_server.codec.numbers import as_float
from losswatch_server.codec.points import MAX_LAYERS, MAX_METRICS, MAX_RANK, read_point, valid_time
from losswatch_server.codec.problems import (
    MAX_NAME,
    BodyRefusedError,
    Problem,
    did_you_mean,
    pointer,
    printable,
    text_problem,
)
from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.points import MAX_STEP, Context, Point

MAX_POINTS = 100_000
MAX_WRITER = 64
BODY_FIELDS = ("points", "context", "writer")

_NOT_POINTS = (
    'the body must be {"points": [{"step": 1, "loss": 0.7}, …]}, with "context" and "writer" beside it if you like, '
    'or one bare point such as {"step": 1, "loss": 0.7}'
)


class NotJsonError(ValueError):
    """The body is not JSON; the text says where it stops being so."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a points request brings. ``context`` None means that it gave none."""

    points: Sequence[Point]
    context: Context | None = None
    writer: str | None = None
    bare: bool = False

    def place(self, index: int, field: str | None = None) -> str:
        """The JSON pointer of a point, or of one of its fields."""
        parts: list[str | int] = [] if self.bare else ["points", index]
        return pointer(*parts, *([field] if field else []))


_Step = Annotated[int, Meta(ge=0, le=MAX_STEP)]
_Rank = Annotated[int, Meta(ge=0, le=MAX_RANK)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Layers = Annotated[dict[_Name, float], Meta(max_length=MAX_LAYERS)]
_Metrics = Annotated[dict[_Name, float], Meta(max_length=MAX_METRICS)]


class _FastPoint(Struct, forbid_unknown_fields=True, gc=False):
    step: _Step
    loss: float | UnsetType | None = UNSET
    grad_norm: float | None = None
    learning_rate: float | None = None
    validation_loss: float | None = None
    epoch: float | None = None
    time: str | None = None
    layers: _Layers | None = None
    metrics: _Metrics | None = None
    rank: _Rank = 0


class _FastBody(Struct, forbid_unknown_fields=True):
    points: Annotated[list[_FastPoint], Meta(max_length=MAX_POINTS)]
    context: dict[str, Any] | None = None
    writer: Annotated[str, Meta(min_length=1, max_length=MAX_WRITER)] | None = None


LEAST_COLUMNS = 8
"""Points from which on columns are made faster than points."""

_decode_body = msgspec.json.Decoder(_FastBody).decode
_decode_point = msgspec.json.Decoder(_FastPoint).decode


class _LeftToExactPathError(Exception):
    """Left to the exact path."""


def read_body(raw: bytes) -> Body:
    """The points, context and writer of a request. Raises NotJsonError, or BodyRefusedError naming every fault."""
    # Outside of an except clause, whose exception would keep alive what the fast path has made.
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _LeftToExactPathError):
        return _read_fast(raw)
    return read_value(parse_json(raw))


def parse_json(raw: bytes) -> Any:
    """JSON of any kind, with bare NaN and Infinity, a byte-order mark and UTF-16 allowed. Raises NotJsonError."""
    if not raw.strip():
        raise NotJsonError("the body is empty")
    try:
        return json.loads(raw.removeprefix(b"\xef\xbb\xbf"), parse_int=_read_int)
    except UnicodeDecodeError as error:
        raise NotJsonError(f"the body is not UTF-8 text (byte {error.start})") from error
    except RecursionError as error:
        raise NotJsonError("the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise NotJsonError(
            f"the body stops being JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error


def read_value(value: Any) -> Body:
    """The exact path: the body from its parsed JSON. Raises BodyRefusedError."""
    if not isinstance(value, dict):
        raise BodyRefusedError([Problem("", _NOT_POINTS)])
    problems: list[Problem] = []
    bare = "points" not in value and not (value.keys() <= set(BODY_FIELDS))
    if bare:
        return Body(points=_read_points([value], ((),), problems), bare=True)
    for name in value.keys() - set(BODY_FIELDS):
        meant = did_you_mean(name, BODY_FIELDS, {})
        hint = f"did you mean {meant}?" if meant else "beside points there may be context and writer"
        problems.append(Problem(pointer(name), f'unknown field "{printable(name)}": {hint}'))
    items = value.get("points")
    if not isinstance(items, list):
        problems.append(Problem("" if items is None else "/points", _NOT_POINTS))
        items = []
    if len(items) > MAX_POINTS:
        detail = f"{len(items)} points; at most {MAX_POINTS} fit in one request, so send them in several"
        raise BodyRefusedError([*problems, Problem("/points", detail)])
    context = None
    if value.get("context") is not None:
        try:
            context = read_context(value["context"], ("context",))
        except BodyRefusedError as refusal:
            problems.extend(refusal.problems)
    writer = value.get("writer")
    if problem := _writer_problem(writer):
        problems.append(Problem("/writer", problem))
    points = _read_points(items, _places(len(items)), problems)
    return Body(points=points, context=context, writer=writer)


def _places(count: int) -> Any:
    return (("points", index) for index in range(count))


def _read_points(items: list[Any], places: Any, problems: list[Problem]) -> list[Point]:
    points = [read_point(item, place, problems) for item, place in zip(items, places, strict=True)]
    if problems:
        raise BodyRefusedError(problems, len(problems))
    return [point for point in points if point is not None]


def _writer_problem(writer: Any) -> str | None:
    if writer is None:
        return None
    if not isinstance(writer, str) or not 1 <= len(writer) <= MAX_WRITER:
        return f"writer must be a text of 1 to {MAX_WRITER} characters, the same for the life of one process"
    return text_problem(writer, "writer")


def _read_fast(raw: bytes) -> Body:
    if raw.startswith(b'{"points"') or b'"points"' in raw[:4096] or b'"points"' in raw[-4096:]:
        body = _decode_body(raw)
        if body.writer is not None and not body.writer.isprintable():
            raise _LeftToExactPathError
        try:
            context = None if body.context is None else read_context(body.context)
        except BodyRefusedError as refusal:
            raise _LeftToExactPathError from refusal  # the exact path names its faults and those of the points
        return Body(_points(body.points), context, body.writer)
    return Body([_point(_decode_point(raw))], bare=True)


def _points(fast: list[_FastPoint]) -> Sequence[Point]:
    """All points of a body; many of them as a batch."""
    if len(fast) < LEAST_COLUMNS:
        return [_point(point) for point in fast]
    count = len(fast)
    times = [point.time for point in fast]
    layers = [point.layers for point in fast]
    metrics = [point.metrics for point in fast]
    if times.count(None) < count and not all(valid_time(time) for time in times if time is not None):
        raise _LeftToExactPathError
    for maps in (layers, metrics):
        if maps.count(None) < count:
            for some in maps:
                if some is not None:
                    _check_names(some)
    losses = [point.loss for point in fast]
    nulls = [False] * count
    if None in losses or UNSET in losses:
        nulls = [loss is None for loss in losses]
        losses = [None if loss is UNSET else loss for loss in losses]
    return Batch(
        (
            [point.step for point in fast],
            losses,
            [point.grad_norm for point in fast],
            [point.learning_rate for point in fast],
            [point.validation_loss for point in fast],
            [point.epoch for point in fast],
            times,
            layers if layers.count(None) == count else [some or None for some in layers],
            metrics if metrics.count(None) == count else [some or None for some in metrics],
            [point.rank for point in fast],
            nulls,
        )
    )


def _point(fast: _FastPoint) -> Point:
    loss = fast.loss
    if fast.time is not None and not valid_time(fast.time):
        raise _LeftToExactPathError
    if fast.layers is not None:
        _check_names(fast.layers)
    if fast.metrics is not None:
        _check_names(fast.metrics)
    return Point(
        fast.step,
        None if loss is UNSET else loss,
        fast.grad_norm,
        fast.learning_rate,
        fast.validation_loss,
        fast.epoch,
        fast.time,
        fast.layers or None,
        fast.metrics or None,
        fast.rank,
        loss is None,
    )


def _check_names(numbers: Mapping[str, float]) -> None:
    for name in numbers:
        if not name.isprintable():  # stricter than the rule; the exact path decides
            raise _LeftToExactPathError


def _read_int(digits: str) -> int | float:
    """Integers of any length: beyond the interpreter's limit of 4300 digits they are infinities anyway."""
    return int(digits) if len(digits) < 400 else as_float(-1 if digits.startswith("-") else 1) * float("inf")
