"""Silences: for a while, say nothing about what matches. Detection goes on; only the telling waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from losswatch_server.alerts.incidents import Concern

Operator = Literal["is", "is_not", "starts_with", "contains"]
FIELDS = ("run", "group", "condition", "severity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Compares one name of a concern: ``run``, ``group``, ``condition``, ``severity`` or ``tag:<name>``.

    Plain comparisons and no regular expressions: a pattern that somebody else wrote can keep a worker busy for years.
    """

    field: str
    operator: Operator = "is"
    value: str = ""

    def matches(self, concern: Concern) -> bool:
        """Whether the concern has the name; one that lacks it matches only ``is_not``."""
        actual = self._actual(concern)
        match self.operator:
            case "is":
                return actual == self.value
            case "is_not":
                return actual != self.value
            case "starts_with":
                return actual is not None and actual.startswith(self.value)
            case "contains":
                return actual is not None and self.value in actual

    def _actual(self, concern: Concern) -> str | None:
        match self.field:
            case "run":
                return concern.run
            case "group":
                return concern.sweep
            case "condition":
                return concern.condition
            case "severity":
                return concern.severity.value
        return concern.tags.get(self.field.removeprefix("tag:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """All matchers must match, from ``starts_at`` to before ``ends_at`` (unix seconds)."""

    id: str
    project: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    comment: str = ""
    created_at: float = 0.0

    def covers(self, concern: Concern, now: float) -> bool:
        """Whether the concern is silenced now."""
        return self.starts_at <= now < self.ends_at and all(m.matches(concern) for m in self.matchers)


def silenced_until(concern: Concern, silences: Iterable[Silence], now: float) -> float | None:
    """When the last silence over this concern ends; None if none covers it."""
    return max((s.ends_at for s in silences if s.covers(concern, now)), default=None)
