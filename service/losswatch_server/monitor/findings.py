"""Finding: one condition seen in one attempt of one run, with its evidence, causes and advice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity

Evidence = Mapping[str, Any]
"""Named numbers (floats, ints, None, pairs of numbers) or plain strings. Rounded only where it leaves the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a condition may be there, how probable that is, what speaks for and against it, and the separating check."""

    cause: CauseName
    probability: float
    because: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    check: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do: a machine-readable action, with a value where one can be computed, and a sentence."""

    action: str
    summary: str
    value: float | str | None = None
    current: float | str | None = None
    cause: CauseName | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition in one attempt. Steps are the client's; ``resolved_step`` None means that it is open."""

    id: str
    condition: Condition
    series: str
    attempt: int
    episode: int
    severity: Severity
    confidence: float
    onset_step: int
    opened_step: int
    last_step: int
    resolved_step: int | None = None
    closed_by: ClosedBy | None = None
    summary: str = ""
    evidence: Evidence = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    advice: tuple[Advice, ...] = ()

    @property
    def is_open(self) -> bool:
        """Neither resolved, nor superseded, nor closed by a changed rule."""
        return self.closed_by is None


def finding_id(uid: str, attempt: int, condition: str, series: str, episode: int) -> str:
    """A stable id: a rebuilt run has the same ids. 20 hex digits of SHA-256 (80 bits)."""
    text = f"{uid}/{attempt}/{condition}/{series}/{episode}"
    return "f_" + hashlib.sha256(text.encode()).hexdigest()[:20]
