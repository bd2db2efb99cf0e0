"""A key and what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Scope(StrEnum):
    """What a key may be used for."""

    INGEST = "ingest"
    """Post points and contexts, pause and finish runs."""
    READ = "read"
    """Reports, points, findings, targets and deliveries without their secrets."""
    ADMIN = "admin"
    """Everything in the project: targets, silences, acknowledging, deleting."""


class KeyLimits(NamedTuple):
    """What a key may send; None: as much as the service's settings say, and on a day what its project may."""

    requests_per_minute: int | None = None
    points_per_minute: int | None = None
    points_per_day: int | None = None

    @property
    def is_of_a_minute(self) -> bool:
        """Whether it says anything of that."""
        return self.requests_per_minute is not None or self.points_per_minute is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of one project. Times are seconds since 1970."""

    id: str
    project: str
    scopes: frozenset[Scope]
    digest: str
    name: str = ""
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    limits: KeyLimits | None = None
    """Its own; None where it has none."""

    def state(self, now: float) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"

    def allows(self, needed: frozenset[Scope]) -> bool:
        """Whether one of the ``needed`` scopes is among its own; ``admin`` stands for all."""
        return Scope.ADMIN in self.scopes or bool(needed & self.scopes)
