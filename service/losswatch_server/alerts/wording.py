"""Wording: what happened to an incident, in the few words of a title or of one line of a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from losswatch_server.alerts.incidents import ENDINGS
from losswatch_server.monitor.conditions import CONDITIONS

if TYPE_CHECKING:
    from losswatch_server.alerts.message import Entry

IS: Mapping[str, str] = {
    **{condition: traits.phrase for condition, traits in CONDITIONS.items()},
    "run.failed": "failed",
    "run.slow": "slowed down",
    "run.finished": "finished",
    "run.cancelled": "cancelled",
    "target.disabled": "target switched off",
    "test": "test message",
}
WAS: Mapping[str, str] = {condition: traits.ending for condition, traits in CONDITIONS.items() if traits.ending}
"""How a run ended that died of its fault."""

OVER: Mapping[str, str] = {
    "superseded": "resumed from an earlier step",
    "withdrawn": "taken back, later values explain it",
    "run.finished": "run finished",
    "run.failed": "run failed",
    "run.cancelled": "run cancelled",
    "run.deleted": "run deleted",
    "lapsed": "no longer waited for",
}
STOPPED: Mapping[str, str] = {"run.failed": "failed", "run.cancelled": "was cancelled", "run.finished": "stopped"}


def phrase(entry: Entry) -> str:
    """What happened to one incident: ``diverging``, ``diverged and stopped``, ``plateau (resolved)``."""
    words = IS.get(entry.condition, entry.condition.replace("_", " "))
    if entry.is_open:
        return words
    if entry.closed_by == "returned":
        return "reporting again"
    if entry.is_fatal and entry.change == "ended" and entry.closed_by in ENDINGS:
        return f"{WAS.get(entry.condition, words)} and {STOPPED.get(entry.closed_by or '', 'stopped')}"
    return f"{words} ({OVER.get(entry.closed_by or '', 'resolved')})"


def counted(entries: Sequence[Entry]) -> str:
    """What happened to several: the phrases with how often each, the most frequent first; a count only where it says
    something."""
    found = Counter(phrase(e) for e in entries).most_common()
    if len(found) == 1:
        return found[0][0]
    listed = [f"{count} {words}" for words, count in found[:4]]
    return ", ".join(listed) + (f", {sum(c for _, c in found[4:])} other" if found[4:] else "")


def duration(seconds: float) -> str:
    """A span as people say it: ``40 seconds``, ``7 minutes``, ``3 hours``, ``2 days``."""
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return _plural(round(seconds / size), word)
    return _plural(max(0, round(seconds)), "second")


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def time_of(value: Any) -> float | None:
    """Unix seconds of a time as evidence has it: a number, or RFC 3339."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None
