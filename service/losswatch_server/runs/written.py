"""The series of a run as text: NDJSON and CSV, and what of the points is wanted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from losswatch_server.codec.encoding import dumps_plain
from losswatch_server.monitor.points import SERIES
from losswatch_server.runs.answers import StoredPoint, stored_point_json

FIELDS = (*SERIES, "time", "layers", "metrics")
"""What may be wanted of points."""
Wanted = frozenset[str] | None
"""Names of FIELDS; None: all."""
Write = Callable[[Sequence[StoredPoint]], bytes]


def only(points: Sequence[StoredPoint], wanted: Wanted) -> list[StoredPoint]:
    """The points with what is wanted of them; those that have nothing of it are left out."""
    if wanted is None:
        return list(points)
    dropped: dict[str, Any] = dict.fromkeys((name for name in FIELDS if name not in wanted), None)
    has_loss = "loss" in wanted
    found = []
    for stored in points:
        point = stored.point._replace(**dropped, loss_is_null=stored.point.loss_is_null and has_loss)
        if point.loss_is_null or any(getattr(point, name) is not None for name in wanted):
            found.append(stored._replace(point=point))
    return found


def json_list(points: Iterable[StoredPoint]) -> bytes:
    """The items of a JSON array."""
    return b",".join(dumps_plain(stored_point_json(stored)) for stored in points)


def ndjson(points: Iterable[StoredPoint]) -> bytes:
    """One object a line."""
    return b"".join(dumps_plain(stored_point_json(stored)) + b"\n" for stored in points)


def csv_head(columns: Sequence[str]) -> bytes:
    """The line of names."""
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow(columns)
    return head.getvalue().encode("utf-8", "backslashreplace")


def csv_rows(points: Iterable[StoredPoint], columns: Sequence[str]) -> bytes:
    """A line for each point, with ``columns``."""
    text = io.StringIO()
    csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n").writerows(
        _flat(stored_point_json(stored)) for stored in points
    )
    return text.getvalue().encode("utf-8", "backslashreplace")


def columns_of(points: Iterable[StoredPoint]) -> list[str]:
    """A column for every series that has a value, layers and metrics as ``layers.NAME`` and ``metrics.NAME``."""
    return ordered({name for stored in points for name in _flat(stored_point_json(stored))})


def chosen(columns: set[str], wanted: Wanted) -> set[str]:
    """Those of the columns that are wanted."""
    return {name for name in columns if wanted is None or name == "rank" or name.partition(".")[0] in wanted}


def ordered(found: set[str]) -> list[str]:
    """Step, attempt and whether it was superseded, then what was found: series in their order, the rest by name."""
    first = ("step", "attempt", "superseded", *SERIES, "time", "rank")
    columns = [name for name in first if name in found or name in first[:3]]
    return columns + sorted(found.difference(columns))


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in data.items():
        match value:
            case dict():
                row.update({f"{name}.{key}": item for key, item in value.items()})
            case bool():
                row[name] = "true" if value else "false"
            case None:
                row[name] = ""
            case _:
                row[name] = value
    return row
