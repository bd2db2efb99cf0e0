"""Snapshots: the state of a monitor as bytes, and back. Documented and migratable; never pickle.

Format (version 1)::

    4 bytes    magic "LWS1"
    4 bytes    length H of the header, little endian
    H bytes    the header, UTF-8 JSON as Python's json writes it (bare NaN and Infinity)
    D bytes    causes and advice, where D is ``diagnoses_bytes`` of the header: deflated JSON, see ``diagnoses.pack``
    rest       float64 numbers, little endian

The header is ``{"detection_version", "watched", "diagnoses_bytes", "state"}``. In the state, a list of numbers is
``{"$f": [offset, count]}`` (integers: ``"$i"``; rows of equal length: ``{"$m": [offset, rows, columns]}``), offset and
count in numbers of the rest. Everything else is named by the fields of the dataclasses it comes from: Memory, the
detectors' states in the order of the registry, the findings, and the faults that were met.

In the state: ``uid``, ``attempt``, ``points`` (of rank 0) and ``step`` (the last one, -1 before the first);
``next_review`` and ``next_forecast``, counts of losses; ``forecast`` as [floor, interval, steps_to_floor]; ``context``;
``memory``; ``detectors``; ``tracks``, by rule and series the life cycle of its findings; ``closed``, the latest closed
findings; ``faults``.

Findings have a form of their own here: the monitor depends on no codec, and a report makes their summary anew, so that
a snapshot does without it.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import Any

from losswatch_server.monitor.diagnoses import next_count, unpack
from losswatch_server.monitor.faults import FIELDS, Fault, Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.forecast import Forecast
from losswatch_server.monitor.lifecycle import Life
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, ClosedBy, Condition, Severity

MAGIC = b"LWS1"
_FLOATS, _INTS, _LISTS = {float}, {int}, {list}


_AS_IT_IS = frozenset({float, int, str, bool, NoneType})


_NAMES: dict[type, tuple[str, ...] | None] = {}


def _names_of(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for a type that is none."""
    if kind not in _NAMES:
        _NAMES[kind] = tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None
    return _NAMES[kind]


class _Writer:
    def __init__(self) -> None:
        self.count = 0
        self.parts: list[bytes] = []

    def put(self, value: Any) -> Any:
        kind = type(value)
        if kind in _AS_IT_IS:
            return value
        if kind is list:
            return self._list(value)
        names = _names_of(kind)
        if names is not None:
            return {name: self.put(getattr(value, name)) for name in names}
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, dict):
            return {str(k): self.put(v) for k, v in value.items()}
        if isinstance(value, tuple):
            return list(value)
        return value

    def _list(self, value: list[Any]) -> Any:
        if not value:
            return []
        offset = self.count
        kinds = set(map(type, value))
        if kinds == _FLOATS:
            self._numbers(value)
            return {"$f": [offset, len(value)]}
        if kinds == _INTS:
            self._numbers(value)
            return {"$i": [offset, len(value)]}
        if kinds == _LISTS and value[0] and len(set(map(len, value))) == 1:
            self._numbers(list(chain.from_iterable(value)))
            return {"$m": [offset, len(value), len(value[0])]}
        return [self.put(v) for v in value]

    def _numbers(self, numbers: Sequence[float]) -> None:
        self.count += len(numbers)
        self.parts.append(struct.pack(f"<{len(numbers)}d", *numbers))


class _Reader:
    def __init__(self, numbers: array[float]) -> None:
        self.numbers = numbers

    def get(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.get(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "$f" in value:
            offset, count = value["$f"]
            return self.numbers[offset : offset + count].tolist()
        if "$i" in value:
            offset, count = value["$i"]
            return [int(v) for v in self.numbers[offset : offset + count]]
        if "$m" in value:
            offset, rows, columns = value["$m"]
            flat = self.numbers[offset : offset + rows * columns].tolist()
            return [flat[i : i + columns] for i in range(0, len(flat), columns)]
        return {k: self.get(v) for k, v in value.items()}

    def fill(self, target: Any, value: dict[str, Any]) -> None:
        """Lay decoded fields over a fresh dataclass of the same shape."""
        for f in dataclasses.fields(target):
            present = getattr(target, f.name)
            if dataclasses.is_dataclass(present):
                self.fill(present, value[f.name])
            else:
                given = self.get(value[f.name])
                if isinstance(present, (list, dict)) and type(given) is not type(present):
                    raise TypeError(f"{f.name} is no {type(present).__name__}")
                if isinstance(present, (int, float)) and isinstance(given, (str, list, dict)):
                    raise TypeError(f"{f.name} is no number")
                setattr(target, f.name, given)


def _finding_fields(finding: Finding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    fields = {f.name: getattr(finding, f.name) for f in dataclasses.fields(finding)}
    del fields["causes"], fields["advice"], fields["summary"]
    return fields


def _finding(fields: dict[str, Any] | None) -> Finding | None:
    if fields is None:
        return None
    closed_by = fields["closed_by"]
    known = fields | {
        "condition": Condition(fields["condition"]),
        "severity": Severity(fields["severity"]),
        "closed_by": ClosedBy(closed_by) if closed_by is not None else None,
    }
    return Finding(**known)


def freeze(monitor: Monitor) -> bytes:
    """All of a monitor's state; what ``drain_changes`` and ``drain_faults`` give is not part of it."""
    writer = _Writer()
    life = monitor.life
    state = {
        "uid": monitor.uid,
        "attempt": monitor.attempt,
        "points": monitor.points,
        "step": monitor.step,
        "next_review": monitor.next_review,
        "next_forecast": monitor.next_forecast,
        "forecast": [monitor.forecast.floor, monitor.forecast.interval, monitor.forecast.steps_to_floor],
        "context": writer.put(monitor.context),
        "memory": writer.put(monitor.memory),
        "detectors": [writer.put(s) for s in monitor.states],
        "tracks": {
            key: {
                "finding": _finding_fields(t.finding),
                "quiet": t.quiet,
                "episode": t.episode,
                "opened_at": t.opened_at,
                "resolved_at": t.resolved_at,
            }
            for key, t in life.lives.items()
        },
        "closed": [_finding_fields(f) for f in life.closed],
        "faults": [[getattr(fault, name) for name in FIELDS] for fault in monitor.faults.known()],
    }
    diagnoses = monitor.diagnoses.pack()
    known = {
        "detection_version": DETECTION_VERSION,
        "watched": monitor.watched,
        "diagnoses_bytes": len(diagnoses),
        "state": state,
    }
    header = json.dumps(known, separators=(",", ":")).encode()
    return b"".join((MAGIC, struct.pack("<I", len(header)), header, diagnoses, *writer.parts))


def thaw(data: bytes) -> Monitor:
    """A monitor from its bytes. ValueError for another detection version, or bytes that are no snapshot."""
    try:
        if data[:4] != MAGIC:
            raise ValueError("not a snapshot")
        (length,) = struct.unpack("<I", data[4:8])
        header = json.loads(data[8 : 8 + length])
        rest = 8 + length + header["diagnoses_bytes"]
        numbers = array("d")
        numbers.frombytes(data[rest:])
        if sys.byteorder == "big":
            numbers.byteswap()
        if header["detection_version"] != DETECTION_VERSION:
            raise ValueError(f"a snapshot of detection version {header['detection_version']}")
        state = header["state"]
        monitor = Monitor(state["uid"], watched=header["watched"])
        monitor.attempt, monitor.points, monitor.step = state["attempt"], state["points"], state["step"]
        monitor.diagnoses = unpack(data[8 + length : rest])
        monitor.next_diagnosis = next_count(1, monitor.points)
        monitor.next_review = state["next_review"]
        monitor.next_forecast = state["next_forecast"]
        floor, interval, steps = state["forecast"]
        monitor.forecast = Forecast(
            floor=floor, interval=(interval[0], interval[1]) if interval else None, steps_to_floor=steps
        )
        reader = _Reader(numbers)
        context = reader.get(state["context"])
        if context["layer_order"] is not None:
            context["layer_order"] = tuple(context["layer_order"])
        if context["facts"] is not None:
            context["facts"] = ModelFacts.of(context["facts"])
        monitor.see_context(Context(**context))
        reader.fill(monitor.memory, state["memory"])
        for target, fields in zip(monitor.states, state["detectors"], strict=True):
            if target is not None:
                reader.fill(target, fields)
        life = monitor.life
        life.attempt = monitor.attempt
        for key, t in state["tracks"].items():
            life.lives[key] = Life(
                finding=_finding(t["finding"]),
                quiet=t["quiet"],
                episode=t["episode"],
                opened_at=t["opened_at"],
                resolved_at=t["resolved_at"],
            )
        life.closed = [f for f in map(_finding, state["closed"]) if f is not None]
        monitor.faults = Faults(Fault(**dict(zip(FIELDS, fault, strict=True))) for fault in state["faults"])
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"a damaged snapshot: {error}") from error
    return monitor
