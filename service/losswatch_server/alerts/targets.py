"""Target: where a project's notifications go, with its rules, its secrets and its health. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from losswatch_server.alerts.egress.redaction import shown
from losswatch_server.alerts.egress.signing import Secret
from losswatch_server.alerts.policy import Rules


class TargetState(StrEnum):
    """``failing``: the last tries failed; ``disabled``: switched off, by a person or after days of failure."""

    ACTIVE = "active"
    FAILING = "failing"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One receiver of one project.

    ``url``, ``secrets`` and ``routing_key`` are secrets: they are never part of an answer, a log line or an error.
    ``failing_since`` is when the present series of failures began; ``source`` is ``api`` or ``file``.
    """

    id: str
    project: str
    kind: str
    url: str = field(repr=False)
    name: str = ""
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    routing_key: str | None = field(default=None, repr=False)
    rules: Rules = field(default_factory=Rules)
    state: TargetState = TargetState.ACTIVE
    failing_since: float | None = None
    disabled_reason: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    source: str = "api"

    @property
    def address(self) -> str:
        """The URL as people may see it."""
        return shown(self.url)

    @property
    def label(self) -> str:
        """The name, or kind and address."""
        return self.name or f"{self.kind} {self.address}"
