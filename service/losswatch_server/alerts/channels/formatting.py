"""Words for every channel: clipping to a receiver's limits, numbers, times, one line out of many."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from losswatch_server.alerts.message import Entry, Message
from losswatch_server.alerts.wording import duration, phrase, time_of
from losswatch_server.monitor.sentences import number as in_words
from losswatch_server.monitor.vocabulary import Severity

COLOURS: Mapping[str, str] = {
    Severity.CRITICAL: "#d92d20",
    Severity.WARNING: "#f79009",
    Severity.INFO: "#2e90fa",
    "resolved": "#12b76a",
}


def colour(message: Message) -> str:
    """By severity; green when runs are well again, and never for one that is over."""
    return COLOURS["resolved" if message.is_recovery else message.severity]


def width(text: str) -> int:
    """Length in UTF-16 units: what the strictest receivers count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clip(text: str, limit: int, escape: Callable[[str], str] = lambda character: character) -> str:
    """The text, escaped, within ``limit`` UTF-16 units; a cut ends in an ellipsis and never splits an escape."""
    text = plain(text[: 4 * limit])  # a megabyte from a client is not looked at letter by letter
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
    if text.isascii() and text.isprintable():
        return text
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
            return in_words(value)
        case [low, high]:
            return f"{number(low)} to {number(high)}"
    return str(value)


TELLING: Mapping[str, str] = {
    "growth_per_step": "growth per step",
    "overflow_step": "overflows near step",
    "current": "loss now",
    "initial": "loss at the start",
    "lowest": "lowest loss",
    "last_finite": "last finite loss",
    "level_before": "loss before",
    "peak": "peak",
    "level": "loss level",
    "chance_level": "chance level",
    "best_step": "best step",
    "best_validation": "best validation loss",
    "validation_now": "validation loss now",
    "train_now": "training loss now",
    "learning_rate_limit": "learning rate limit",
    "last_seen_at": "last heard of",
    "expected_gap_s": "expected every",
}
"""The evidence that a person acts on, in the order in which it is shown, and what people call it; programs get all."""


def evidence(message: Message, limit: int) -> list[tuple[str, str]]:
    """Name and value of the most telling numbers of the one run it is about, but for those that its sentences say
    already. Times are told from the message's."""
    entry = message.detail
    if entry is None or entry.closed_by == "returned":  # what was measured of a silence says nothing of its end
        return []
    needless: tuple[str, ...] = () if entry.is_open else ("overflow_step",)  # a run that is over will not overflow
    if entry.series == "validation_metric":  # the sentence names the metric, and what it was
        needless += ("best_validation", "validation_now")
    said = f"{message.text} {message.advice}"
    pieces = {
        name: one_line(_piece(name, entry.evidence[name], message.at)[:300])
        for name in TELLING
        if entry.evidence.get(name) is not None and name not in needless
    }
    return [(TELLING[name], value) for name, value in pieces.items() if not _says(said, value)][:limit]


def _says(text: str, value: str) -> bool:
    """Whether a text has a number, and not only as a part of another one."""
    return bool(value) and re.search(rf"(?<![\d.,]){re.escape(value)}(?![\d%]|[.,]\d)", text) is not None


def _piece(name: str, value: Any, now: float) -> str:
    if name.endswith("_at") and (at := time_of(value)) is not None:
        return f"{duration(now - at)} ago ({clock_time(at)})" if at <= now else clock_time(at)
    if name.endswith("_s") and isinstance(value, int | float):
        return duration(value)
    return number(value)


def plain_evidence(entry: Entry) -> dict[str, Any]:
    """Evidence for programs: as it is, without control characters, and no more than a receiver cares to store."""
    return {clip(name, 100): _plain_value(value) for name, value in list(entry.evidence.items())[:40]}


def _plain_value(value: Any) -> Any:
    match value:
        case str():
            return clip(value, 300)
        case list():
            return [_plain_value(item) for item in value[:20]]
    return value


def lines(entries: Sequence[Entry], limit: int) -> list[str]:
    """One line per entry, and one that counts what is left out."""
    shown = [_line(entry) for entry in entries[:limit]]
    left = len(entries) - len(shown)
    return [*shown, f"and {left} more"] if left > 0 else shown


WORTH_SAYING_S = 60.0


def _line(entry: Entry) -> str:
    stands = ", still open" if entry.change == "still" else ""
    return f"{entry.run}: {phrase(entry)}{stands}" + (f" (step {entry.step:,})" if entry.step is not None else "")


def footer(message: Message) -> str:
    """Where it comes from and when: project, sweep, step, for how long it has stood."""
    parts = [] if message.project == "default" else [f"project {message.project}"]
    if message.sweep:
        parts.append(f"group {clip(one_line(message.sweep), 100)}")
    entry = message.detail
    if entry is not None and entry.step is not None:
        parts.append(f"step {entry.step:,}")
    if entry is not None and entry.is_open and entry.change != "notice" and message.at - entry.since >= WORTH_SAYING_S:
        parts.append(f"open for {duration(message.at - entry.since)}")
    return " · ".join([*parts, clock_time(message.at)])


def clock_time(at: float) -> str:
    """As people write it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def timestamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
