"""Pages of a list: the parameters, the cursor that leads on, and the Link header (RFC 8288)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query

from losswatch_server.api.http.problems import INVALID_REQUEST, ProblemError
from losswatch_server.codec import Problem

MOST = 500
"""Items on a page, at most. Lists that once came whole still do up to here."""

Cursor = Annotated[
    str | None, Query(description="`next_cursor` of the page before; left out: the first page.", max_length=512)
]
Limit = Annotated[int, Query(description="How many on a page.", ge=1, le=MOST)]
LINK: Mapping[str, Any] = {
    "Link": {"description": 'The next page, as rel="next" (RFC 8288).', "schema": {"type": "string"}}
}

T = TypeVar("T")


def link(path: str, following: str | None, limit: int, **query: Any) -> dict[str, str]:
    """The header that leads to the next page, or none; what is None in ``query``, and the default project, is left
    out."""
    if following is None:
        return {}
    kept = {name: str(value) for name, value in query.items() if value is not None}
    if kept.get("project") == "default":
        del kept["project"]
    return {"Link": f'<{path}?{urlencode({**kept, "limit": limit, "cursor": following})}>; rel="next"'}


def bad_cursor() -> ProblemError:
    """A cursor that the endpoint did not give."""
    detail = "cursor is not one that this service gave here; leave it out to begin with the first page"
    return ProblemError(
        INVALID_REQUEST, "The cursor is not one that this service gave.", errors=[Problem("cursor", detail)]
    )


def page_of(
    items: Sequence[T], place: Callable[[T], tuple[Any, ...]], cursor: str | None, limit: int
) -> tuple[Sequence[T], str | None]:
    """The items after the place that ``cursor`` stands for, and the cursor of those after them.

    ``place`` orders the items as they are listed; an item that has gone meanwhile moves no other. Raises ProblemError.
    """
    if cursor is not None:
        after = _read(cursor)
        if items and list(map(type, after)) != list(map(type, place(items[0]))):
            raise bad_cursor()
        items = [item for item in items if place(item) > after]
    if len(items) <= limit:
        return items, None
    return items[:limit], _write(place(items[limit - 1]))


def _write(place: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[Any, ...]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise bad_cursor() from None
    if not isinstance(place, list):
        raise bad_cursor()
    return tuple(place)
