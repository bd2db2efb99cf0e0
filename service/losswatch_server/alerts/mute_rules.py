"""Mute rules (``/v1/silences``): for a while, say nothing about what matches. Detection goes on meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from losswatch_server.alerts.incidents import Incident

Operator = Literal["is", "is_not", "starts_with", "contains"]
FIELDS = ("run", "group", "condition", "severity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Compares one name of an incident: ``run``, ``group``, ``condition``, ``severity`` or ``tag:<name>``.

    Plain comparisons and no regular expressions: a pattern that somebody else wrote can keep a worker busy for years.
    """

    field: str
    operator: Operator = "is"
    value: str = ""

    def matches(self, incident: Incident) -> bool:
        """Whether the incident has the name; one that lacks it matches only ``is_not``."""
        actual = self._actual(incident)
        match self.operator:
            case "is":
                return actual == self.value
            case "is_not":
                return actual != self.value
            case "starts_with":
                return actual is not None and actual.startswith(self.value)
            case "contains":
                return actual is not None and self.value in actual

    def _actual(self, incident: Incident) -> str | None:
        match self.field:
            case "run":
                return incident.run
            case "group":
                return incident.sweep
            case "condition":
                return incident.condition
            case "severity":
                return incident.severity.value
        return incident.tags.get(self.field.removeprefix("tag:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteRule:
    """All matchers must match, from ``starts_at`` to before ``ends_at`` (unix seconds)."""

    id: str
    project: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    comment: str = ""
    created_at: float = 0.0

    def covers(self, incident: Incident, now: float) -> bool:
        """Whether the incident is muted by it now."""
        return self.starts_at <= now < self.ends_at and all(m.matches(incident) for m in self.matchers)


def muted_by_rule_until(incident: Incident, mute_rules: Iterable[MuteRule], now: float) -> float | None:
    """When the last mute rule over this incident ends; None if none covers it."""
    return max((s.ends_at for s in mute_rules if s.covers(incident, now)), default=None)
