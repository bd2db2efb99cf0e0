"""Requests and answers about silences, with an example."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from losswatch_server.api.description.alert_schemas import Text, Time
from losswatch_server.api.description.types import Answer


class Matcher(BaseModel):
    """One comparison. Patterns are not supported."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    field: Annotated[str, StringConstraints(pattern=r"^(run|group|condition|severity|tag:.{1,256})$")]
    """`run`, `group`, `condition`, `severity`, or `tag:` and a tag's name."""
    operator: Literal["is", "is_not", "starts_with", "contains"] = "is"
    """How to compare."""
    value: Text
    """What to compare with."""


class NewSilence(BaseModel):
    """A new silence: give its end or its duration."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    matchers: Annotated[list[Matcher], Field(min_length=1, max_length=16)]
    """All must match."""
    starts_at: Time | None = None
    """Now, if left out."""
    ends_at: Time | None = None
    """Its end, a time with its offset."""
    duration_s: Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)] | None = None
    """Or how many seconds it lasts."""
    comment: Text = ""
    """Why, for people."""


class Silence(Answer):
    """Suppresses matching notifications. Findings that are still open when it ends are reported then."""

    id: str
    """The silence's id."""
    project: str
    """The project that it holds for."""
    matchers: list[Matcher]
    """All must match."""
    starts_at: datetime
    """When it begins."""
    ends_at: datetime
    """When it ends."""
    active: bool
    """Whether it holds now."""
    comment: str
    """Why, for people."""
    created_at: datetime
    """When it was made."""


class Silences(Answer):
    """The silences of a project, newest first."""

    silences: list[Silence]
    """Newest first."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


SILENCES: tuple[type[BaseModel], ...] = (Silence, Silences, NewSilence)

SILENCE: dict[str, Any] = {
    "id": "sil_9a8b7c6d5e4f3021",
    "project": "default",
    "matchers": [{"field": "group", "operator": "is", "value": "lr-scan"}],
    "starts_at": "2026-11-21T12:00:00.000Z",
    "ends_at": "2026-11-21T13:00:00.000Z",
    "active": True,
    "comment": "the cluster is being moved",
    "created_at": "2026-11-21T12:00:00.000Z",
}
