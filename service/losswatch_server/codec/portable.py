"""A run as lines of JSON that carry everything of it exactly, from one service to another.

The first line is the run; then come its writers, its record in the order of acceptance, its findings and its newest
stored state; the last line says how many lines there were, so that a file that was cut off is known for it. Lines are
strict JSON: numbers that are not finite are words, and what only a service reads (``exact``, ``packed``) is text.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from losswatch_server.codec.contexts import context_of_text, context_text
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.codec.encoding import dumps
from losswatch_server.codec.points import point_json, read_point
from losswatch_server.codec.problems import Problem
from losswatch_server.monitor.entries import EntryKind
from losswatch_server.monitor.points import Context, Point

FORMAT = 1
MAX_LINE = 16 << 20
"""Bytes; a request of points is not larger either."""

ENTRIES = {
    EntryKind.POINTS: "points",
    EntryKind.MERGE: "merged",
    EntryKind.LATE: "late",
    EntryKind.SUPERSEDED_BY_WRITER: "superseded_by_writer",
    EntryKind.OTHER_RANKS: "other_ranks",
}
KINDS = {name: kind for kind, name in ENTRIES.items()}


class NotPortableError(ValueError):
    """A line that is none of a run; the message says what is wrong with it."""


def line(kind: str, **fields: Any) -> bytes:
    """One line, with its end."""
    return dumps({"line": kind, **fields}) + b"\n"


def points_json(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The points of one part of a record."""
    return [point_json(point) for point in points]


def read_line(raw: bytes) -> dict[str, Any]:
    """The fields of a line. Raises NotPortableError."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NotPortableError(f"it is not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("line"), str):
        raise NotPortableError('it is no object with a "line"')
    return value


def read_points(value: Any) -> list[Point]:
    """The points of a line. Raises NotPortableError."""
    problems: list[Problem] = []
    if not isinstance(value, list) or not value:
        raise NotPortableError("it has no points")
    points = [read_point(one, ("points", n), problems) for n, one in enumerate(value)]
    if problems:
        raise NotPortableError(f"{problems[0].pointer}: {problems[0].detail}")
    return [point for point in points if point is not None]


def exact_context(context: Context) -> str:
    """All of a context."""
    return context_text(context)


def read_context_line(text: Any) -> Context:
    """The inverse. Raises NotPortableError."""
    try:
        return context_of_text(text)
    except (DamagedCellError, TypeError) as error:
        raise NotPortableError(f"its context cannot be read: {error}") from None


def packed(data: bytes | None) -> str | None:
    """Bytes as text."""
    return None if data is None else base64.b64encode(data).decode()


def unpacked(text: Any) -> bytes | None:
    """The inverse. Raises NotPortableError."""
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise NotPortableError(f"its packed bytes cannot be read: {error}") from None
