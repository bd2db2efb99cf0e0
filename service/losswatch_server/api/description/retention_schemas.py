"""Requests and answers about what is kept for how long, with an example."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from losswatch_server.api.description.types import Answer
from losswatch_server.store.retention import THIN_TO_POINTS

Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
Points = Annotated[int, Field(ge=100, le=1_000_000)]
Size = Annotated[float, Field(ge=0, le=1 << 30, allow_inf_nan=False)]


class NewRetention(BaseModel):
    """What a project keeps; what is left out or null has no limit."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    thin_after_days: Days | None = None
    """Runs that ended so long ago keep only their most telling points. Their reports stay as they are."""
    thin_to_points: Points = THIN_TO_POINTS
    """About how many points a thinned run keeps, besides those near its findings."""
    delete_after_days: Days | None = None
    """Runs of which nothing was heard for so long are deleted."""
    max_mib: Size | None = None
    """Where the points of the project take more, ended runs are thinned and then deleted, the oldest first."""


class Retention(Answer):
    """What is kept of the runs of a project."""

    project: str
    """The project."""
    source: Literal["project", "service"]
    """Whose it is: the project's own, or the service's for all projects without one."""
    thin_after_days: float | None
    """Days after their end at which runs are thinned; null: never."""
    thin_to_points: int
    """About how many points a thinned run keeps, besides those near its findings."""
    delete_after_days: float | None
    """Days after which runs of which nothing was heard are deleted; null: never."""
    max_mib: float | None
    """Size of the project's points beyond which its oldest runs are thinned, then deleted; null: no limit."""


RETENTIONS: tuple[type[BaseModel], ...] = (NewRetention, Retention)
RETENTION: dict[str, Any] = {
    "project": "default",
    "source": "project",
    "thin_after_days": 14.0,
    "thin_to_points": 2000,
    "delete_after_days": 365.0,
    "max_mib": None,
}
