"""The use cases of runs: record, report, resume, finish. The only place where the monitor meets the store."""

from losswatch_server.runs.answers import Recorded, Report, StoredPoint
from losswatch_server.runs.errors import FindingNotFoundError, RunGoneError, RunNotFoundError
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
