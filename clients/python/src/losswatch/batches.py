"""Which of the waiting records travel together in one request. Pure."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

MAX_POINTS = 2000
MAX_BYTES = 1_000_000


class Record(NamedTuple):
    """One thing to deliver, in order: a point, a change of context, or the end of the run; ``line`` is its JSON."""

    line: bytes
    step: int = -1
    names: Tuple[str, ...] = ()
    context: Optional[Dict[str, Any]] = None
    finish: Optional[str] = None
    error: Optional[str] = None


class Batch(NamedTuple):
    """What one request carries, and how many of the waiting records that is."""

    context: Optional[Dict[str, Any]]
    points: List[bytes]
    finish: Optional[str]
    used: int
    error: Optional[str] = None


def parse(line: bytes) -> Record:
    """A record from its line in a spool. Raises ValueError for a line that is damaged."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("not a record")
    if "step" in value:
        return Record(line, int(value["step"]), tuple(name for name in value if name != "step"))
    if isinstance(value.get("context"), dict):
        return Record(line, context=value["context"])
    if isinstance(value.get("finish"), str):
        error = value.get("error")
        return Record(line, finish=value["finish"], error=error if isinstance(error, str) else None)
    raise ValueError("not a record")


def merged(context: Dict[str, Any], later: Dict[str, Any]) -> Dict[str, Any]:
    """A context with a later one laid over it: of ``facts`` and ``tags`` each entry by itself, as the service does."""
    inner = {
        name: {**context[name], **later[name]}
        for name in ("facts", "tags")
        if isinstance(context.get(name), dict) and isinstance(later.get(name), dict)
    }
    return {**context, **later, **inner}


def next_batch(records: Sequence[Record], max_points: int = MAX_POINTS, max_bytes: int = MAX_BYTES) -> Optional[Batch]:
    """The longest beginning of ``records`` that one request may carry, or None when there is nothing to send yet.

    The service sorts the points of a request by step and refuses two that contradict, so a batch ends before a step
    that goes back (a resume), and before a step that gives a field a second time. It also ends before a change of
    context, which holds for what follows it, and before the end of the run.
    """
    context: Optional[Dict[str, Any]] = None
    points: List[bytes] = []
    size = 0
    step = -1
    names: frozenset[str] = frozenset()
    used = 0
    for record in records:
        if record.finish is not None:
            if not points:
                return Batch(context, points, record.finish, used + 1, record.error)
            break
        if record.context is not None:
            if points:
                break
            context = merged(context or {}, record.context)
            used += 1
            continue
        same_step = record.step == step
        if record.step < step or (same_step and not names.isdisjoint(record.names)):
            break
        if points and (len(points) >= max_points or size + len(record.line) > max_bytes):
            break
        names = names.union(record.names) if same_step else frozenset(record.names)
        step = record.step
        size += len(record.line) + 1
        points.append(record.line)
        used += 1
    return Batch(context, points, None, used) if points else None


def has_more_than_contexts(peek: Callable[[int], List[Record]]) -> bool:
    """Whether a point or an end is among the records that wait: a context goes with what follows it."""
    return any(record.context is None for record in peek(64)) or next_batch(peek(MAX_POINTS)) is not None
