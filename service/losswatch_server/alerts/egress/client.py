"""The one HTTP client with which the service calls other hosts on somebody's behalf.

Every address a name resolves to is checked and the connection goes to a checked address, so that a name that changes
its mind between check and use gains nothing. TLS and the Host header still carry the name. No redirects, no proxy
environment, no cookies, no connection reuse; one time limit over everything, and the answer is read up to 64 kB.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpcore

from losswatch_server.alerts.egress.addresses import TargetRefusedError, check_host, is_allowed, read_url, refusal

MAX_ANSWER_BYTES = 65_536
Resolver = Callable[[str, int], Awaitable[list[str]]]


class UnreachableError(Exception):
    """No answer came: no such host, no connection, no valid TLS, or not within the time limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``headers`` have lower-case names; ``body`` is empty for a success and at most 64 kB."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class EgressClient:
    """Posts to checked addresses. Give ``resolve`` to look names up elsewhere than in the system's resolver."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout_s: float = 15.0,
        resolve: Resolver | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        # Look-ups block a thread each; their own small pool keeps a dead name server from the rest of the process.
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve") if resolve is None else None
        self._resolve = resolve or self._resolve_in_thread
        self._trust = trust or ssl.create_default_context()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one POST.

        Raises
        ------
        TargetRefusedError
            The URL or one of its addresses is not allowed.
        UnreachableError
            No answer within the time limit.
        """
        parts = read_url(url, allow_private=self._allow_private, allow_http=True)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(url, body, headers)
        except TimeoutError:
            raise UnreachableError(f"{parts.hostname} did not answer within {self._timeout_s:g} s") from None
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise UnreachableError(f"{parts.hostname}: {_reason(error)}") from None
        except httpcore.ProtocolError:
            raise UnreachableError(f"{parts.hostname} does not speak HTTP") from None

    async def check(self, url: str, *, allow_http: bool = False) -> None:
        """Refuse a URL whose name resolves to a forbidden address now; a name that does not resolve passes."""
        parts = read_url(url, allow_private=self._allow_private, allow_http=allow_http)
        host = parts.hostname or ""
        try:
            async with asyncio.timeout(5):
                addresses = await self._resolve(host, parts.port or 443)
        except (OSError, TimeoutError):
            return
        _check_all(host, addresses, self._allow_private)

    async def close(self) -> None:
        """Let the look-up threads go."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._trust,
            network_backend=_CheckedBackend(self._resolve, self._allow_private),
            max_keepalive_connections=0,
        ) as pool:
            sent = {"host": _authority(url), "content-length": str(len(body)), **headers}
            timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
            async with pool.stream(
                "POST", url, headers=list(sent.items()), content=body, extensions={"timeout": timeout}
            ) as response:
                received = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
                text = b"" if 200 <= response.status < 300 else await _read_some(response.aiter_stream())
                return Answer(response.status, received, text)

    async def _resolve_in_thread(self, host: str, port: int) -> list[str]:
        def look_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            return list(dict.fromkeys(str(entry[4][0]) for entry in found))

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to an address that was checked, whatever the name resolves to a moment later."""

    def __init__(self, resolve: Resolver, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        check_host(host, allow_private=self._allow_private)
        try:
            addresses = await self._resolve(host, port)
        except OSError:
            raise httpcore.ConnectError("the name cannot be resolved") from None
        _check_all(host, addresses, self._allow_private)
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses[:4]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure


def _check_all(host: str, addresses: Iterable[str], allow_private: bool) -> None:
    if not all(is_allowed(address, allow_private=allow_private) for address in addresses):
        raise TargetRefusedError(refusal(host))


async def _read_some(stream: Any) -> bytes:
    """At most 64 kB, and no more than 2 s of patience: the status is known, the words are only for the log."""
    received = bytearray()
    until = time.monotonic() + 2
    try:
        async with asyncio.timeout(2):
            async for chunk in stream:
                received += chunk
                if len(received) >= MAX_ANSWER_BYTES or time.monotonic() > until:
                    break
    except TimeoutError:
        pass
    return bytes(received[:MAX_ANSWER_BYTES])


def _authority(url: str) -> str:
    return url.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]


def _reason(error: Exception) -> str:
    match error:
        case httpcore.ConnectError():
            return "no connection" if not str(error) else f"no connection ({str(error)[:120]})"
        case httpcore.TimeoutException():
            return "no answer in time"
    return "the connection broke"
