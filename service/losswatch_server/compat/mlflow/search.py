"""The filters of ``mlflow.search_runs`` that a list of runs can answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from losswatch_server.codec.contexts import context_json
from losswatch_server.compat.mlflow.answers import info_json
from losswatch_server.compat.mlflow.errors import invalid
from losswatch_server.runs import RunRow

_CLAUSE = re.compile(
    r"""\s*(?:(attributes?|attr|run|tags?|params?|parameters?)\.)?(?:"([^"]+)"|`([^`]+)`|([\w./-]+))\s*(=|!=)\s*
    (?:'([^']*)'|"([^"]*)")\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)


def filter_of(text: str) -> Callable[[RunRow], bool]:
    """Whether a run fits the filter: comparisons of attributes, tags and parameters with text, joined by AND."""
    clauses = [_clause(part) for part in _AND.split(text)] if text.strip() else []
    return lambda row: all(clause(row) for clause in clauses)


def check_order(orders: Iterable[str]) -> None:
    """Refuses an order that runs are not listed in: the best run of a wrong order is a wrong run."""
    for order in orders:
        if not re.fullmatch(r"\s*(attributes?\.)?[`\"]?start_?time[`\"]?(\s+DESC)?\s*", order, re.IGNORECASE):
            raise invalid(f"Runs are listed newest first; order_by {order[:80]!r} is not supported.")


def _clause(text: str) -> Callable[[RunRow], bool]:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise invalid(
            f"The filter {text[:120]!r} is not supported: compare attributes, tags or params with = or !=, as in "
            "tags.model = 'cnn' AND attributes.status = 'FINISHED'."
        )
    kind = (found[1] or "attributes").lower()[:1]
    key = found[2] or found[3] or found[4]
    wanted = found[6] if found[6] is not None else found[7]
    if found[5] == "=":
        return lambda row: _value(row, kind, key) == wanted
    return lambda row: _value(row, kind, key) not in (None, wanted)


def _value(row: RunRow, kind: str, key: str) -> str | None:
    """``kind``: the first letter of attributes (run), tags or params."""
    if kind == "t":
        return row.name if key == "mlflow.runName" else row.context.tags.get(key)
    value = (context_json(row.context) if kind == "p" else info_json(row)).get(key)
    return None if value is None else str(value)
