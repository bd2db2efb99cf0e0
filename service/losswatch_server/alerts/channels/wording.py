"""Words for every channel: clipping to a receiver's limits, numbers, times, one line out of many."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from losswatch_server.alerts.message import Entry, Message, phrase
from losswatch_server.monitor.vocabulary import Severity

COLOURS: Mapping[str, str] = {
    Severity.CRITICAL: "#d92d20",
    Severity.WARNING: "#f79009",
    Severity.INFO: "#2e90fa",
    "resolved": "#12b76a",
}


def colour(message: Message) -> str:
    """By severity while anything is open; green when all is over."""
    return COLOURS[message.severity if message.is_firing else "resolved"]


def width(text: str) -> int:
    """Length in UTF-16 units: what the strictest receivers count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clip(text: str, limit: int, escape: Callable[[str], str] = lambda character: character) -> str:
    """The text, escaped, within ``limit`` UTF-16 units; a cut ends in an ellipsis and never splits an escape."""
    text = plain(text)
    whole = "".join(escape(c) for c in text)
    if width(whole) <= limit:
        return whole
    kept: list[str] = []
    room = limit - 1
    for character in text:
        escaped = escape(character)
        if (room := room - width(escaped)) < 0:
            break
        kept.append(escaped)
    return "".join(kept).rstrip() + "…"


def plain(text: str) -> str:
    """Without control, formatting and lone surrogate characters: what a client wrote must not steer a terminal."""
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def one_line(text: str) -> str:
    """Every run of white space as one space: for titles and mail headers."""
    return plain(" ".join(text.split()))


def number(value: Any) -> str:
    """A value of the evidence as people read it."""
    match value:
        case bool() | str() | None:
            return "–" if value is None else str(value)
        case int():
            return f"{value:,}" if abs(value) >= 100_000 else str(value)
        case float():
            return f"{value:.4g}" if math.isfinite(value) else str(value)
        case [low, high]:
            return f"{number(low)} to {number(high)}"
    return str(value)


def evidence(entry: Entry, limit: int) -> list[tuple[str, str]]:
    """Name and value of the first pieces of evidence."""
    pieces = [(name.replace("_", " "), number(value)) for name, value in entry.evidence.items()]
    return pieces[:limit]


def lines(entries: Sequence[Entry], limit: int) -> list[str]:
    """One line per entry, and one that counts what is left out."""
    shown = [f"{e.run}: {phrase(e)}" + (f" (step {e.step})" if e.step is not None else "") for e in entries[:limit]]
    left = len(entries) - len(shown)
    return [*shown, f"and {left} more"] if left > 0 else shown


def footer(message: Message) -> str:
    """Where it comes from: project, sweep, why now, when."""
    parts = [f"project {message.project}"]
    if message.sweep:
        parts.append(f"group {message.sweep}")
    if message.reason == "repeat_interval":
        parts.append("still open")
    return " · ".join([*parts, clock_time(message.at)])


def clock_time(at: float) -> str:
    """As people write it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def timestamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
