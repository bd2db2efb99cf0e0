"""The raw body of a request: capped, gunzipped under a cap, and told apart from what is not JSON."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from losswatch_server.api.problems import (
    MALFORMED_BODY,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from losswatch_server.wire import NotJsonError

MIB = 1 << 20
POINTS_LIMIT = 16 * MIB
DIAGNOSE_LIMIT = 64 * MIB
SMALL_LIMIT = 1 * MIB

OFF_LOOP = 64 << 10
"""Bodies from this size on are decoded in a thread: about 2 ms of work on one core at 64 KiB."""

DRAIN_LIMIT = 64 * MIB
"""So much of a refused body is still read, because many clients only read the answer after they have sent it all."""

MAX_GZIP_MEMBERS = 16
"""Every further member costs a copy of the rest, so thousands of empty ones would be cheap to send and dear to read."""

_JSON_LIKE = ("application/x-www-form-urlencoded", "application/octet-stream", "text/plain")

T = TypeVar("T")


async def read_raw(request: Request, limit: int) -> bytes:
    """The body as it was sent, ungzipped, at most ``limit`` bytes. Raises ProblemError 400, 413 or 415."""
    encoding, declared = _about_body(request)
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        await _drain(request, DRAIN_LIMIT)
        raise too_large(limit)
    raw = await _receive(request, limit)
    if encoding is None or encoding.strip().lower() in ("", "identity"):
        return raw
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding must be gzip, or be left out.",
            headers={"Accept-Encoding": "gzip"},
        )
    if len(raw) < 1024:
        return gunzip(raw, limit)
    return await asyncio.to_thread(gunzip, raw, limit)


async def read_as(request: Request, limit: int, reader: Callable[[bytes], T]) -> T:
    """What ``reader`` makes of the body; large ones in a thread. Not JSON is 400, or 415 where the type says so."""
    raw = await read_raw(request, limit)
    try:
        return reader(raw) if len(raw) < OFF_LOOP else await asyncio.to_thread(reader, raw)
    except NotJsonError as error:
        content_type = media_type(request)
        if content_type and not content_type.endswith("json") and content_type not in _JSON_LIKE:
            raise ProblemError(
                UNSUPPORTED_MEDIA_TYPE,
                f"This endpoint takes JSON, but the body is not JSON and its Content-Type says {content_type[:80]}. "
                "Send JSON with Content-Type: application/json.",
                headers={"Accept": "application/json"},
            ) from error
        raise


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty when there is none."""
    text = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return text if text.isprintable() else ""


def gunzip(raw: bytes, limit: int) -> bytes:
    """All members of gzip data, at most ``limit`` bytes. Raises ProblemError 400 or 413."""
    parts: list[bytes] = []
    size = 0
    rest = raw
    members = 0
    try:
        while rest:
            members += 1
            if members > MAX_GZIP_MEMBERS:
                raise ProblemError(MALFORMED_BODY, f"The gzip data has more than {MAX_GZIP_MEMBERS} members. Send one.")
            member = zlib.decompressobj(wbits=31)
            part = member.decompress(rest, limit - size + 1)
            size += len(part)
            if size > limit:
                raise too_large(limit)
            parts.append(part)
            if not member.eof:
                raise ProblemError(MALFORMED_BODY, "The gzip data ends too early. Send the whole of it.")
            rest = member.unused_data
    except zlib.error as error:
        raise ProblemError(
            MALFORMED_BODY,
            "The body is not gzip data, though Content-Encoding says so. Compress it, or drop the header.",
        ) from error
    return b"".join(parts)


def too_large(limit: int) -> ProblemError:
    """The body is larger than ``limit`` bytes."""
    return ProblemError(
        TOO_LARGE, f"The body is larger than {limit // MIB} MiB (after unpacking). Send it in several requests."
    )


def _about_body(request: Request) -> tuple[str | None, str]:
    """Content-Encoding and Content-Length, in one pass over the headers: this is on the hot path."""
    encoding, length = None, ""
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            length = value.decode("latin-1")
        elif name == b"content-encoding":
            encoding = value.decode("latin-1")
    return encoding, length


async def _receive(request: Request, limit: int) -> bytes:
    receive = request.receive
    message = await receive()
    first: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(first) <= limit:
        return first
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            if message.get("more_body"):
                await _drain(request, DRAIN_LIMIT)
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


async def _drain(request: Request, most: int) -> None:
    size = 0
    try:
        async with asyncio.timeout(10):
            while size <= most:
                message = await request.receive()
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
