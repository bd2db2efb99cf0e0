"""The process around the service: its socket, its signals, its one line of greeting, its last words."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

from losswatch_server.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class CannotServeError(Exception):
    """The service cannot start, or cannot go on; the message says why and what to change."""


class Ending:
    """How the application ends the service by itself."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.stop: Callable[[], None] = lambda: None

    def because(self, why: str) -> None:
        """Stop serving, as on SIGTERM, and end with ``why``."""
        self.why = why
        self.stop()


def serve(app: App, settings: Settings, announce: Callable[[str], None], ending: Ending | None = None) -> None:
    """Runs ``app`` until SIGINT or SIGTERM; calls ``announce`` with the address once it answers.

    Raises CannotServeError when the address cannot be had, the application does not start, or ``ending`` says why it
    cannot go on.
    """
    ending = ending or Ending()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    if settings.log_level != "debug":
        for chatty in ("uvicorn", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(lambda record: "startup failed" not in record.getMessage())
    listening = bind(settings.host, settings.port)
    remembered = _RememberFailure(app)
    config = uvicorn.Config(
        remembered,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.graceful_timeout_s)),
    )
    server = _Server(config, lambda: announce(address(listening)))
    ending.stop = lambda: setattr(server, "should_exit", True)
    try:
        with contextlib.closing(listening), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listening]))
    except SystemExit:  # so uvicorn ends when the application does not start
        if remembered.failure is None:
            raise
    if remembered.failure is not None:
        raise CannotServeError(f"{settings.data_dir}: {remembered.failure}") from remembered.failure
    if ending.why is not None:
        raise CannotServeError(ending.why)


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
    """The warning of a service that listens on more than loopback."""
    return (
        f"warning: it listens on {host} and asks nobody for a key: whoever can reach this address can read and change "
        "everything. Put it behind a proxy that authenticates, or start it with --host 127.0.0.1."
    )


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port, or --port 0 for a free one"
    if error.errno == errno.EACCES:
        return f"port {port} is not for this user; choose one from 1024 on"
    return f"cannot listen on {host} port {port}: {error.strerror}"


class _RememberFailure:
    """Passes everything on to the application, and keeps what its startup failed with for the last words."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.failure: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def without_traceback(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {"type": message["type"], "message": ""}
            await send(message)

        try:
            await self._app(scope, receive, without_traceback)
        except Exception as failure:  # noqa: BLE001 - reported by serve, in one sentence
            self.failure = failure


class _Server(uvicorn.Server):
    """Uvicorn, with a call once it answers, and a quiet end on SIGINT and SIGTERM: stopping is no error."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
