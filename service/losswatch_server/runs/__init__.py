"""The use cases of runs: record, report, resume, finish. The only place where the monitor meets the store.

Loaded when they are asked for: `offline` needs no store, and the command line that uses it shall answer at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losswatch_server.runs.answers import (
        FindingNotFoundError,
        Recorded,
        Report,
        RunGoneError,
        RunNotFoundError,
        StoredPoint,
    )
    from losswatch_server.runs.liveness.rhythm import Rhythm
    from losswatch_server.runs.points.accept import PointProblem, PointsRefusedError
    from losswatch_server.runs.service import Runs
    from losswatch_server.store import (
        RunRow,
        StoreBusyError,
        StoreClosedError,
        StoredEvent,
        StoredFinding,
        StoreError,
        StoreFailedError,
    )

__all__ = [
    "FindingNotFoundError",
    "PointProblem",
    "PointsRefusedError",
    "Recorded",
    "Report",
    "Rhythm",
    "RunGoneError",
    "RunNotFoundError",
    "RunRow",
    "Runs",
    "StoreBusyError",
    "StoreClosedError",
    "StoreError",
    "StoreFailedError",
    "StoredEvent",
    "StoredFinding",
    "StoredPoint",
]
_WHERE = {
    **dict.fromkeys(
        ("FindingNotFoundError", "Recorded", "Report", "RunGoneError", "RunNotFoundError", "StoredPoint"),
        "losswatch_server.runs.answers",
    ),
    "Rhythm": "losswatch_server.runs.liveness.rhythm",
    **dict.fromkeys(("PointProblem", "PointsRefusedError"), "losswatch_server.runs.points.accept"),
    "Runs": "losswatch_server.runs.service",
}


def __getattr__(name: str) -> Any:
    """A name of ``__all__``, from where it is defined; what is not listed above is the store's."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE.get(name, "losswatch_server.store")), name)
    globals()[name] = value
    return value
