"""The process around the service: its socket, its signals, its one line of greeting, its last words."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import shlex
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from losswatch_server.api.http.proxy_users import PEER
from losswatch_server.cli.connections import Connection, Limits
from losswatch_server.cli.listening import Listener
from losswatch_server.cli.logs import set_up_logs
from losswatch_server.settings import Settings
from losswatch_server.store import places
from losswatch_server.store.errors import StoreError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


OTHER_DESCRIPTORS = 64
"""For the database, the event loop, and connections to notification targets."""
CHECK_S = 1.0
"""Seconds between two looks at every connection."""


class CannotServeError(Exception):
    """The service cannot start, or cannot go on; the message says why and what to change."""


class Ending:
    """How the application ends the service by itself."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.stop: Callable[[], None] = lambda: None
        self.drain: Callable[[], None] = lambda: None
        """Called when it is known that the service will stop, while it still answers."""
        self.before: Callable[[], None] = lambda: None
        """Called when the service begins to stop: ends answers that would go on for ever."""

    def because(self, why: str) -> None:
        """Stop serving, as on SIGTERM, and end with ``why``."""
        self.why = why
        self.stop()


SWITCH_S = 0.0005
"""How long a thread keeps the interpreter while others wait for it; a commit takes it several times. Whoever posted a
point while 100,000 of another run were judged, on two cores with a dozen other processes, waited 46 ms (median) and at
most 558 ms at Python's 5 ms, 31 ms and at most 229 ms at this (13 ms and 124 ms with nothing else asked)."""


YOUNG_OBJECTS = 20_000
"""So many new containers bring the garbage collector, instead of Python's 700: fewer than the requests in progress hold
at a time, so it looked through what was about to go away, and now and then through every run in memory. Single posts of
64 connections cost a fifth less processor time with this (25 % more of them a second of it, in turns), as with no
collector at all; p99 fell by a third."""


def serve(app: App, settings: Settings, announce: Callable[[str], None], ending: Ending | None = None) -> None:
    """Runs ``app`` until SIGINT or SIGTERM; calls ``announce`` with the address once it answers.

    Raises CannotServeError when the address cannot be had, the application does not start, or ``ending`` says why it
    cannot go on.
    """
    ending = ending or Ending()
    set_up_logs(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_S)
    logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)
    listening = bind(settings.host, settings.port)
    remembered = _RememberFailure(app)
    limits = Limits(
        head_s=settings.head_timeout_s, progress_s=settings.progress_timeout_s, idle_s=settings.idle_timeout_s
    )
    config = uvicorn.Config(
        cast("Any", _Peer(remembered, settings.trusted_proxies)),
        interface="asgi3",
        ws="none",
        proxy_headers=False,
        http=cast("type[asyncio.Protocol]", partial(Connection, limits=limits)),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.graceful_timeout_s)),
    )
    most = min(settings.max_connections, allow_descriptors(settings.max_connections + OTHER_DESCRIPTORS))

    def ready() -> None:
        collect_seldom()
        announce(address(listening))

    server = _Server(config, ready, most, settings.drain_s)
    server.on_drain = ending.drain
    ending.stop = lambda: setattr(server, "should_exit", True)
    server.on_stop = ending.before
    try:
        with contextlib.closing(listening), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listening]))
    except SystemExit:  # so uvicorn ends when the application does not start
        if remembered.failure is None:
            raise
    if remembered.failure is not None:
        where = f"{places.shown(settings.place)}: " if isinstance(remembered.failure, (StoreError, OSError)) else ""
        raise CannotServeError(f"{where}{remembered.failure}") from remembered.failure
    if ending.why is not None:
        raise CannotServeError(ending.why)


def collect_seldom() -> None:
    """What was made until now stays for good: the garbage collector looks at what came later, and less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def allow_descriptors(wanted: int) -> int:
    """Let the process have up to ``wanted`` file descriptors where the hard limit allows it.

    How many connections there can be then, ``OTHER_DESCRIPTORS`` left aside, and at least one.
    """
    if sys.platform == "win32":
        return wanted - OTHER_DESCRIPTORS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, (wanted if soft == resource.RLIM_INFINITY else soft) - OTHER_DESCRIPTORS)


def bind(host: str, port: int) -> socket.socket:
    """A socket on ``host`` and ``port``, not yet listening. Raises CannotServeError when it cannot be had."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise CannotServeError(f"--host {host}: {error.strerror}") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(place)
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise CannotServeError(_why_not(error, host, port)) from error
    bound.setblocking(False)
    return bound


def address(bound: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_to_all(host: str) -> str:
    """The warning of a service without keys that listens on more than loopback."""
    return (
        f"warning: it listens on {host} and asks nobody for a key: whoever can reach this address can read and change "
        "everything. Make a key (losswatch-server keys create), or put it behind a proxy that authenticates."
    )


def needs_a_key(host: str, place: Path | str) -> str:
    """Why a service without keys does not start there."""
    which = f"--data {shlex.quote(str(place))}" if isinstance(place, Path) else "--database postgresql://…"
    return (
        f"--host {host} can be reached from other machines, and there is no API key. Make one first:\n\n"
        f"    losswatch-server keys create {which} --scope ingest --scope read\n\n"
        "Or listen on this machine alone (--host 127.0.0.1), or say --insecure where something else authenticates."
    )


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port, or --port 0 for a free one"
    if error.errno == errno.EACCES:
        return f"port {port} is not for this user; choose one from 1024 on"
    return f"cannot listen on {host} port {port}: {error.strerror}"


class _Peer:
    """Notes the address that a connection comes from, before a proxy's word for it is taken."""

    def __init__(self, app: App, trusted_proxies: str) -> None:
        self._app = app
        self._behind_proxy: Any = ProxyHeadersMiddleware(cast("Any", app), trusted_proxies)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        client = scope.get("client")
        if client is not None:
            scope[PEER] = client[0]
        for name, _ in scope.get("headers", ()):
            if name in _FORWARDED:
                forwarded: Awaitable[None] = self._behind_proxy(scope, receive, send)
                return forwarded
        return self._app(scope, receive, send)


_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto")


class _RememberFailure:
    """Passes everything on to the application, and keeps what its startup failed with for the last words."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.failure: BaseException | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (self._live if scope["type"] == "lifespan" else self._app)(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def without_traceback(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {"type": message["type"], "message": ""}
            await send(message)

        try:
            await self._app(scope, receive, without_traceback)
        except Exception as failure:  # noqa: BLE001 - reported by serve, in one sentence
            self.failure = failure


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Not what is told by other means, and not what any scanner of the network can have written into the log."""
    return not record.getMessage().startswith(("Application startup failed", "Invalid HTTP request"))


class _Server(uvicorn.Server):
    """Uvicorn, with limits on connections, a call once it answers, and a quiet end on SIGINT and SIGTERM."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], max_connections: int, drain_s: float = 0.0
    ) -> None:
        super().__init__(config)
        self._drain_s = drain_s
        self._drained_at: float | None = None
        self.on_drain: Callable[[], None] = lambda: None
        self._on_ready = on_ready
        self._max_connections = max_connections
        self._listeners: list[Listener] = []
        self._checked_at = 0.0
        self.on_stop: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if sys.platform == "win32":  # its event loop cannot wait for a socket: no limit on connections there
            await super().startup(sockets=sockets)
        else:
            await super().startup(sockets=[])
            self._listeners = [self._listener(one) for one in sockets or ()]
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        if self._drained_at is not None and now >= self._drained_at:
            self.should_exit = True
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            self._check(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self._listeners:
            listener.close()
        self.on_stop()
        await super().shutdown(sockets=sockets)

    def _listener(self, listening: socket.socket) -> Listener:
        make = partial(
            cast("Any", self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return Listener(listening, make, cast("set[Connection]", self.server_state.connections), self._max_connections)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins to drain, where that takes time; the next one stops."""
        if self._drain_s > 0 and self._drained_at is None and not self.should_exit:
            self._drained_at = time.monotonic() + self._drain_s
            self.on_drain()
            return
        super().handle_exit(sig, frame)

    def _check(self, now: float) -> None:
        for connection in tuple(self.server_state.connections):
            cast("Connection", connection).check(now)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
