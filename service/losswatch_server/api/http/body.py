"""The raw body of a request: capped, gunzipped under a cap, within the budget of memory, and told apart from what is
not JSON."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request

from losswatch_server.api.http.load import MIB, Share, cost_of_points
from losswatch_server.api.http.problems import (
    MALFORMED_BODY,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from losswatch_server.codec import NotJsonError
from losswatch_server.workers import Elsewhere

POINTS_LIMIT = 16 * MIB
DIAGNOSE_LIMIT = 64 * MIB
SMALL_LIMIT = 1 * MIB

OFF_LOOP = 64 << 10
"""Bodies from this size on are decoded in a thread: about 2 ms of work on one core at 64 KiB."""

LARGE = 256 << 10
"""Bodies from this size on are decoded in another process, where they can be: about 4 ms during which the interpreter
does nothing else."""

MAX_GZIP_MEMBERS = 16
"""Every further member costs a copy of the rest, so thousands of empty ones would be cheap to send and dear to read."""

_SLICE = 64 << 10
"""Bytes of gzip data that are unpacked at a time: zlib copies the rest at each step."""

_JSON_LIKE = ("application/x-www-form-urlencoded", "application/octet-stream", "text/plain")

T = TypeVar("T")


async def read_raw(request: Request, limit: int) -> bytes:
    """The body, ungzipped, at most ``limit`` bytes. Raises ProblemError 400, 413, 415 or 503."""
    sent = await receive(request, limit)
    if not sent.packed:
        return sent.raw
    if len(sent.raw) < 1024:
        return gunzip(sent.raw, limit, share_of(request))
    return await asyncio.to_thread(gunzip, sent.raw, limit, share_of(request))


def share_of(request: Request) -> Share:
    """What this request holds of the memory for all of them."""
    share: Share = request.scope["losswatch.share"]
    return share


class Sent(NamedTuple):
    """A body as it was sent."""

    raw: bytes
    packed: bool


async def receive(request: Request, limit: int, *, leave: float = 0.0) -> Sent:
    """The body as it was sent, at most ``limit`` bytes, ``leave`` of the memory left to other requests.

    What is not read here is thrown away by the server. Raises ProblemError 413, 415 or 503.
    """
    encoding, declared = _about_body(request)
    packed = encoding is not None and encoding.strip().lower() not in ("", "identity")
    if packed and encoding is not None and encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding must be gzip, or be left out.",
            headers={"Accept-Encoding": "gzip"},
        )
    size = int(declared) if declared.isascii() and declared.isdigit() else 0
    if size > limit:
        raise too_large(limit)
    share = share_of(request)
    share.take(size, leave=leave)
    message = await request.receive()
    first: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(first) <= size:
        return Sent(first, packed)
    whole = io.BytesIO()  # hands its contents over without a copy
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        came = whole.tell() + len(part)
        if came > limit:
            raise too_large(limit)
        if came > size:
            share.take(came - size, leave=leave)
            size = came
        whole.write(part)
        if not message.get("more_body"):
            return Sent(whole.getvalue(), packed)
        message = await request.receive()


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives, for a request whose body was read. It is cancelled where the client goes away.

    Raises ClientDisconnect then.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def read_as(
    request: Request, limit: int, reader: Callable[[bytes], T], *, of_large: Callable[[bytes], T] | None = None
) -> T:
    """What ``reader`` makes of the body; large ones in a thread, or, where there is a reader ``of_large`` ones, in
    another process. Not JSON is 400, or 415 where the type says so."""
    raw = await read_raw(request, limit)
    share_of(request).take(cost_of_points(raw))
    try:
        if len(raw) < OFF_LOOP:
            return reader(raw)
        if of_large is None or len(raw) < LARGE:
            return await asyncio.to_thread(reader, raw)
        elsewhere: Elsewhere = request.app.state.elsewhere
        return await unless_gone(request, elsewhere.run(of_large, raw))
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


def gunzip(raw: bytes, limit: int, share: Share, *, leave: float = 0.0) -> bytes:
    """All members of gzip data, at most ``limit`` bytes. Raises ProblemError 400, 413 or 503."""
    whole = io.BytesIO()
    members = 0
    member = zlib.decompressobj(wbits=31)
    try:
        for start in range(0, len(raw), _SLICE):
            rest = raw[start : start + _SLICE]
            while rest:
                if member.eof:
                    members += 1
                    if members >= MAX_GZIP_MEMBERS:
                        raise ProblemError(
                            MALFORMED_BODY, f"The gzip data has more than {MAX_GZIP_MEMBERS} members. Send one."
                        )
                    member = zlib.decompressobj(wbits=31)
                part = member.decompress(rest, MIB)
                if whole.tell() + len(part) > limit:
                    raise too_large(limit)
                share.take(len(part), leave=leave)
                whole.write(part)
                rest = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise ProblemError(
            MALFORMED_BODY,
            "The body is not gzip data, though Content-Encoding says so. Compress it, or drop the header.",
        ) from error
    if raw and not member.eof:
        raise ProblemError(MALFORMED_BODY, "The gzip data ends too early. Send the whole of it.")
    return whole.getvalue()


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
