"""A name for each request: the caller's, or one of our own; it is in the answer, in the log, and in traces."""

from __future__ import annotations

import itertools
import re
import secrets
from contextvars import ContextVar

from starlette.types import Scope

HEADER = b"x-request-id"
_FITS = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch

request_id: ContextVar[str | None] = ContextVar("losswatch_request_id", default=None)
"""Of the request that is being answered."""

_prefix = secrets.token_hex(6)
_numbers = itertools.count(1)


def name_request(scope: Scope) -> bytes:
    """The name of this request, which the log has from now on."""
    for name, value in scope["headers"]:
        if name == HEADER and _FITS(value):
            request_id.set(value.decode())
            return bytes(value)
    named = f"{_prefix}-{next(_numbers)}"
    request_id.set(named)
    return named.encode()
