"""Wording: what happened to an incident, in the few words of a title or of one line of a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from losswatch_server.alerts.incidents import ENDINGS
from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.vocabulary import Condition

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

ADVICE: Mapping[str, str] = {
    Condition.SILENT: "See whether its process is alive, and what it printed last. A run that pauses on purpose can "
    "say so: POST /v1/runs/{run}/pause.",
}
"""What to do about what no finding of the points has advice for."""
ADVICE_FOR_SEVERAL: Mapping[str, str] = {
    Condition.SILENT: "See whether their machine, its network and the scheduler are up.",
}

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
    words = _broken(entry, "is") or IS.get(entry.condition, entry.condition.replace("_", " "))
    if entry.is_open:
        return f"{words}, now {entry.severity}" if entry.change == "worsened" else words
    if entry.closed_by == "returned":
        return "reporting again"
    if entry.is_fatal and entry.change == "ended" and entry.closed_by in ENDINGS:
        died = _broken(entry, "became") or WAS.get(entry.condition, words)
        return f"{died} and {STOPPED.get(entry.closed_by or '', 'stopped')}"
    return f"{words} ({OVER.get(entry.closed_by or '', 'resolved')})"


def _broken(entry: Entry, verb: str) -> str:
    """Which series became what, where the evidence of values that are not finite says so."""
    value = {"nan": "NaN", "inf": "infinite", "-inf": "minus infinite"}.get(str(entry.evidence.get("kind")))
    if entry.condition != Condition.NON_FINITE or value is None:
        return ""
    series = {"grad_norm": "gradient norm", "validation_loss": "validation loss"}.get(entry.series, "loss")
    return f"{series} {verb} {value}"


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
