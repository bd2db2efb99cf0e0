"""One connection: uvicorn's protocol for HTTP/1.1, within limits of size and of time.

A head (request line and headers) is limited in bytes, in headers and in time; a body that stops coming, an answer that
nobody reads and a connection that nobody uses end. What a connection holds at most before a request is handed on is
``HEAD_LIMIT`` and one read of the event loop (256 KiB); what the bodies of all requests hold is bounded in
``losswatch_server.api.http.load``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from losswatch_server.api.http.problems import (
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    TOO_SLOW,
    URL_TOO_LONG,
    ProblemError,
    problem_response,
)
from losswatch_server.cli.cycle import Cycle

HEAD_LIMIT = 64 << 10
"""Bytes of request line and headers together."""
HEADERS_LIMIT = 256
"""Headers of one request: each costs 150 bytes of memory, however short it is."""
URL_LIMIT = 16 << 10
UNREAD_LIMIT = 64 << 20
"""So much of a body is still taken and thrown away after its request was refused: many clients read the answer only
after they have sent everything."""
PROGRESS = 4096
"""Bytes that a body must bring within the time allowed, so that one byte now and then is not enough."""

_MOMENTS = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a connection is waited for, in seconds.

    ``head_s``: until the head of a request is complete, from its first byte on (the first one: from the connection's
    beginning on). ``progress_s``: for more of a body, or for an answer to be read on. ``idle_s``: for the next request.
    """

    head_s: float = 10.0
    progress_s: float = 30.0
    idle_s: float = 75.0


class _RefusedError(Exception):
    """Stops the parser; the connection says why."""


class Connection(HttpToolsProtocol):
    """``check`` has to be called about once a second."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = limits.idle_s  # type: ignore[assignment]  # call_later takes fractions too
        self._limits = limits
        self._refusal: ProblemError | None = None
        self._events = 0
        self._undelivered = 0
        self._head_since: float | None = None
        self._in_body = False
        self._window = (0.0, 0)
        self._received = 0
        self._unsent = (0, 0.0)
        self._unread = 0
        self.idle_from: int | None = None
        """A number that grows with time, from the moment on since which the connection waits for a request; None while
        it serves one. No time of day: the loop's clock counts whole milliseconds, and several fall into one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = self.loop.time()
        self.idle_from = next(_MOMENTS)

    def data_received(self, data: bytes) -> None:
        events = self._events
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._events != events:
            self._undelivered = 0
            return
        # Nothing came of it yet: the parser keeps a head, a trailer or a chunk's length that goes on and on.
        self._undelivered += len(data)
        if self._undelivered > HEAD_LIMIT or (self.headers is not None and len(self.headers) > HEADERS_LIMIT):
            self._refuse(_url_too_long() if self.headers == [] else _head_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.idle_from = None
        self._head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._events += 1
        self._refusal = self._refusal_of_head()
        if self._refusal is not None:
            raise _RefusedError
        self._head_since = None
        self._in_body = True
        self._window = (self.loop.time(), self._received)
        self._unread = 0
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        url = httptools.parse_url(self.url)
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(url.path.decode("ascii"))
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # the client did not wait for the answer before
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _refusal_of_head(self) -> ProblemError | None:
        if len(self.url) > URL_LIMIT:
            return _url_too_long()
        size = len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])
        return _head_too_large() if size > HEAD_LIMIT or len(self.headers) > HEADERS_LIMIT else None

    def on_body(self, body: bytes) -> None:
        self._events += 1
        if self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > UNREAD_LIMIT:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._events += 1
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline:
            self.idle_from = next(_MOMENTS)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser stops."""
        self._refuse(self._refusal or ProblemError(MALFORMED_REQUEST, "This is not a request of HTTP/1.1."))

    def check(self, now: float) -> None:
        """End the connection if it has been waited for too long. ``now`` is the event loop's time in seconds."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent[0]:
            self._unsent = (unsent, now)
        elif now - self._unsent[1] > self._limits.progress_s:
            self.transport.abort()  # nobody reads the answer
            return
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if self._in_body:
            self._check_body(now)
        elif answering:
            if self._head_since is not None:
                self._head_since = now  # the next head waits for this answer
        elif self._head_since is not None:
            if now - self._head_since > self._limits.head_s:
                self._end_waiting()
        elif self.timeout_keep_alive_task is None:
            self._head_since = now  # something came that begins no request

    def _check_body(self, now: float) -> None:
        since, received = self._window
        if self.flow.read_paused:  # it is we who do not read
            self._window = (now, self._received)
        elif now - since > self._limits.progress_s:
            if self._received - received < PROGRESS:
                self._refuse(ProblemError(TOO_SLOW, "The body stopped coming. Send it again, in smaller pieces."))
            self._window = (now, self._received)

    def _end_waiting(self) -> None:
        if self.idle_from is not None:  # not one byte came
            self.transport.close()
        else:
            self._refuse(ProblemError(TOO_SLOW, "The head of the request did not come to its end in time."))

    def _refuse(self, problem: ProblemError) -> None:
        """Answer, unless an answer is under way, and close. Nothing further is read."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
            return
        self.transport.write(answer_bytes(problem, self.server_state.default_headers))
        self.transport.close()


def answer_bytes(problem: ProblemError, headers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The whole answer, for a connection that ends with it."""
    response = problem_response(problem)
    lines = [*headers, *response.raw_headers, (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % line for line in lines)
    return b"%s%s\r\n%s" % (STATUS_LINE[response.status_code], head, bytes(response.body))


def _head_too_large() -> ProblemError:
    return ProblemError(
        HEAD_TOO_LARGE,
        f"The headers have more than {HEAD_LIMIT >> 10} KiB, or there are more than {HEADERS_LIMIT}. Drop some; "
        "cookies of other services on this host are often the reason.",
    )


def _url_too_long() -> ProblemError:
    return ProblemError(URL_TOO_LONG, f"The address has more than {URL_LIMIT >> 10} KiB. Put the rest into the body.")
