"""One request and its answer, between uvicorn's protocol and the application: head and body leave in one write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]

_KNOWN_NAMES = 256
_sound_names: set[bytes] = set()


class Cycle(RequestResponseCycle):
    """Uvicorn writes a head as soon as it has one, and the body after it: two calls of the system for each answer, a
    tenth of what a single post cost. Where the head says how long the body is, it waits for that here.
    """

    _head: bytes | None = None
    """Of an answer that has begun and of which nothing was written yet."""

    async def send(self, message: Any) -> None:
        """See RequestResponseCycle."""
        if self._head is not None:
            await self._send_body(message)
        elif self.response_started or self.disconnected or message["type"] != "http.response.start":
            await super().send(message)
        else:
            headers = [*self.default_headers, *message.get("headers", ())]
            length = _length(headers)
            if length is None or self.scope["method"] == "HEAD":
                await super().send(message)
            else:
                self._head = _head(message["status"], headers, keep_alive=self.keep_alive)
                self.response_started, self.waiting_for_100_continue = True, False
                self.chunked_encoding, self.expected_content_length = False, length

    async def _send_body(self, message: Any) -> None:
        head, self._head = self._head or b"", None
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        body = message.get("body", b"")
        if (
            message["type"] != "http.response.body"
            or message.get("more_body")
            or len(body) != (self.expected_content_length)
        ):
            self.transport.write(head)
            await super().send(message)
            return
        self.transport.write(head + body)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _length(headers: Iterable[Header]) -> int | None:
    """What the headers say of the body's length; None where they do not, or where they ask for what uvicorn does."""
    length = None
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name in (b"connection", b"transfer-encoding"):
            return None
    return length


def _head(status: int, headers: list[Header], *, keep_alive: bool) -> bytes:
    """Raises RuntimeError for a header that could be taken for more than one."""
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        if name not in _sound_names:
            if HEADER_RE.search(name):
                raise RuntimeError("Invalid HTTP header name.")
            if len(_sound_names) < _KNOWN_NAMES:
                _sound_names.add(name)
        parts += (name, b": ", value, b"\r\n")
    if HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
        raise RuntimeError("Invalid HTTP header value.")
    parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(parts)
