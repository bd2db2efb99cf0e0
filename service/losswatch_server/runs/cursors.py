"""Cursors of the list of runs: opaque to clients, a place in the order to us."""

from __future__ import annotations

import base64
import binascii
import json

from losswatch_server.store.rows import RunRow


def write_cursor(last: RunRow) -> str:
    """The cursor of the page after ``last``."""
    return base64.urlsafe_b64encode(json.dumps([last.created_at, last.uid]).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[float, str]:
    """The place (created_at, uid). Raises ValueError for anything that ``write_cursor`` did not write."""
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise ValueError("not a cursor of this list") from error
    if not (isinstance(place, list) and len(place) == 2 and isinstance(place[0], float) and isinstance(place[1], str)):
        raise ValueError("not a cursor of this list")
    return place[0], place[1]
