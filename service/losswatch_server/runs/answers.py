"""What the use cases answer, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from losswatch_server import codec
from losswatch_server.codec.reports import EncodedParts
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import Assessment

if TYPE_CHECKING:  # `offline` answers without a store
    from losswatch_server.store.rows import RunRow


class Report(NamedTuple):
    """The health of a run. ``stale``: a newer version judged it, and this one does not judge what came since.
    ``encoded``: what answers wrote of the run, for the next one."""

    run: RunRow
    assessment: Assessment
    stale: bool = False
    encoded: EncodedParts | None = None


class Recorded(NamedTuple):
    """What became of a request: each of its points is in exactly one of the four counts."""

    run: RunRow
    attempt: int
    accepted: int
    duplicates: int
    late: int
    conflicts: int
    report: Report | None


class StoredPoint(NamedTuple):
    """A point as a chart draws it: late fields and merges are in it; superseded ones are kept but not judged."""

    point: Point
    attempt: int
    superseded: bool


def stored_point_json(stored: StoredPoint) -> dict[str, Any]:
    """A point with its attempt, as charts read it."""
    return {**codec.point_json(stored.point), "attempt": stored.attempt, "superseded": stored.superseded}


class RunNotFoundError(LookupError):
    """There is no run of this name in this project."""


class RunGoneError(LookupError):
    """The run was deleted, and this writer posted to it: what it still sends must not create a ghost of it."""


class FindingNotFoundError(LookupError):
    """The run has no finding of this id."""
