"""When a notification that did not arrive is tried again, and when it is given up. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from losswatch_server.alerts.egress.client import Answer

RECORD_KEEPER_PAUSES_S = (5.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0, 57_600.0)
"""Pauses before tries 2 to 8 at receivers that keep records: eight tries over about a day."""

CHAT_PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 7_200.0)
"""Pauses for people's channels: eight tries within four hours; a later warning is noise."""

MAX_RETRY_AFTER_S = 86_400.0
DISABLE_AFTER_S = 5 * 86_400.0
"""A target at which everything failed for this long is switched off, and the project's other targets are told."""


class Result(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One try: its result, the HTTP or SMTP status if there was one, and a sentence without secrets."""

    result: Result
    status: int | None = None
    detail: str = ""
    retry_after_s: float | None = None


def next_pause(tries: int, retry_after_s: float | None, pauses: tuple[float, ...], rng: random.Random) -> float | None:
    """Seconds until the next try after ``tries`` failed ones; None when it is given up.

    Jitter takes up to half of a pause away, so that receivers that were down together are not hit together. What a
    receiver asks for by Retry-After is never undercut.
    """
    if tries > len(pauses):
        return None
    pause = pauses[tries - 1] * rng.uniform(0.5, 1.0)
    if retry_after_s is None:
        return pause
    return max(pause, min(retry_after_s, MAX_RETRY_AFTER_S))


def read_answer(answer: Answer, now: float, *, retry_refusals: bool = False) -> Outcome:
    """The common reading of a status: 2xx arrived; 410 never again; 408, 425, 429 and 5xx later; the rest is refused.

    ``retry_refusals`` is for receivers under their owner's hand, where a 401 or 404 is often a deployment in progress.
    """
    status = answer.status
    if 200 <= status < 300:
        return Outcome(result=Result.DELIVERED, status=status)
    after = retry_after(answer.headers, now)
    if status == 410:
        return Outcome(result=Result.GONE, status=status, detail="the receiver says that it is gone (410)")
    if 300 <= status < 400:
        later = Result.RETRY if retry_refusals else Result.REJECTED
        return Outcome(result=later, status=status, detail=f"redirects are not followed ({status})")
    if status in (408, 425, 429) or status >= 500:
        return Outcome(result=Result.RETRY, status=status, detail=f"answered {status}", retry_after_s=after)
    later = Result.RETRY if retry_refusals else Result.REJECTED
    return Outcome(result=later, status=status, detail=f"answered {status}", retry_after_s=after)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from a Retry-After header, given in seconds or as a date; None without a usable one."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.fromtimestamp(now, UTC)).total_seconds())
