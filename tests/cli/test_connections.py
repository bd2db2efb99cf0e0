"""Connections that bring too much, too slowly or nothing, against the service as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from losswatch_server.cli.connections import HEAD_LIMIT, URL_LIMIT
from losswatch_server.cli.listening import Listener

MIB = 1 << 20
Address = tuple[str, int]
POST = b"POST /v1/runs/%s/points HTTP/1.1\r\nHost: localhost\r\n"


class Service:
    """A service in a process of its own, with short patience."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-m", "losswatch_server", "serve", "--port", "0", "--data", str(data), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://([0-9.]+):([0-9]+)", self.process.stdout.readline())
        assert found
        self.address: Address = (found[1], int(found[2]))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=60)

    def ask(self, text: bytes) -> bytes:
        """All that comes until the service ends the connection."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(text)
            return everything(connection)

    def memory(self, what: str = "VmHWM") -> int:
        """Bytes: ``VmHWM`` the peak, ``VmRSS`` now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) << 10

    def end(self) -> str:
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


@contextlib.contextmanager
def running(data: Path, *options: str) -> Iterator[Service]:
    one = Service(data, *options)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.end()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    patience = ("--head-timeout", "1", "--progress-timeout", "1", "--idle-timeout", "1")
    with running(tmp_path_factory.mktemp("data"), *patience) as one:
        yield one


def everything(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def alive(connection: socket.socket) -> None:
    """One request is answered, and the connection is kept."""
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b'{"status":"ok"}'):
        part = connection.recv(65536)
        assert part, answer
        answer += part


def problem(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    told: dict[str, Any] = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % told["status"])
    return told


GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET + b"x: " + b"y" * 60_000 + b"\r\n\r\n", 200),
        (GET + b"x: " + b"y" * HEAD_LIMIT + b"\r\n\r\n", 431),
        (GET + b"x: y\r\n" * 250 + b"\r\n", 200),
        (GET + b"x: y\r\n" * 300 + b"\r\n", 431),
        (b"GET /livez?" + b"x" * 15_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        (b"GET /livez?" + b"x" * URL_LIMIT + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"x" * HEAD_LIMIT, 414),
        (b"\x16\x03\x01 this is TLS\r\n\r\n", 400),
    ],
)
def test_a_head_that_is_too_large_is_refused_by_its_own_status(service: Service, request_: bytes, status: int) -> None:
    answer = service.ask(request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status != 200:
        assert problem(answer)["status"] == status


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(GET + b"a: b\r\n" * (10 * MIB // 6), id="many headers"),
        pytest.param(GET + b"a: " + b"b" * 10 * MIB, id="one header's value"),
        pytest.param(GET + b"a" * 10 * MIB, id="one header's name"),
        pytest.param(b"GET /" + b"b" * 10 * MIB, id="the address"),
        pytest.param(
            POST % b"x" + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (10 * MIB // 6), id="trailers"
        ),
    ],
)
def test_a_head_that_never_ends_costs_no_memory(service: Service, endless: bytes) -> None:
    service.ask(GET + b"\r\n")
    before = service.memory()
    for _ in range(3):
        service.ask(endless)
    assert service.memory() - before < 8 * MIB
    assert service.ask(GET + b"\r\n").endswith(b'{"status":"ok"}')


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.slow
def test_many_large_diagnoses_at_once_are_answered_or_turned_away_within_the_budget(tmp_path: Path) -> None:
    plain = b'{"points":[{"step":1,"loss":1}' + b" " * 5_000_000 + b"]}"
    packed = gzip.compress(plain)
    with running(tmp_path, "--request-memory-mib", "64") as one, httpx.Client(trust_env=False, timeout=120) as client:
        url = f"http://{one.address[0]}:{one.address[1]}/v1/diagnose"
        client.post(url, content=b"step 1 loss 0.5")
        before = one.memory()
        with ThreadPoolExecutor(12) as pool:
            jobs = [
                pool.submit(client.post, url, content=body, headers=headers)
                for body, headers in ((packed, {"Content-Encoding": "gzip"}), (plain, {})) * 12
            ]
            answers = [job.result() for job in jobs]
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert any(answer.status_code == 200 for answer in answers)
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
        assert one.memory() - before < (64 + 48) * MIB  # beside the budget: buffers of sockets and of the allocator
        assert client.post(url, content=b"step 1 loss 0.5").status_code == 200


@pytest.mark.slow
def test_a_connection_that_sends_nothing_ends(service: Service) -> None:
    with service.connect() as connection:
        assert everything(connection) == b""


@pytest.mark.slow
@pytest.mark.parametrize("half", [b"G", GET, b"GET / HTTP/1.1\r\nHost: loc"])
def test_a_head_that_stops_coming_is_408(service: Service, half: bytes) -> None:
    assert problem(service.ask(half))["type"] == "/docs/problems#too-slow"


@pytest.mark.slow
@pytest.mark.parametrize("length", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_stops_coming_is_408_and_stores_nothing(service: Service, length: bytes) -> None:
    body = b'{"step": 1, "loss": 0.5}' if length.startswith(b"Content") else b'18\r\n{"step": 1, "loss": 0.5}\r\n'
    assert problem(service.ask(POST % b"half" + length + b"\r\n\r\n" + body))["status"] == 408
    assert b" 404 " in service.ask(b"GET /v1/runs/half HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


@pytest.mark.slow
def test_one_byte_now_and_then_is_not_enough(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(POST % b"drop" + b"Content-Length: 1000000\r\n\r\n")
        connection.settimeout(0.1)
        deadline = time.monotonic() + 30
        answer = b""
        while not answer:
            assert time.monotonic() < deadline
            try:
                connection.sendall(b" ")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert answer == b"" or b" 408 " in answer


@pytest.mark.slow
def test_a_connection_is_kept_for_the_next_request_and_ends_when_none_comes(service: Service) -> None:
    with service.connect() as connection:
        alive(connection)
        alive(connection)
        assert everything(connection) == b""


@pytest.mark.slow
def test_line_breaks_between_requests_do_not_keep_a_connection(service: Service) -> None:
    with service.connect() as connection:
        alive(connection)
        connection.sendall(b"\r\n\r\n")
        assert everything(connection) == b""


@pytest.mark.slow
def test_an_answer_that_nobody_reads_is_given_up(service: Service) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(service.address)
        asked = 40
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * asked)
        deadline = time.monotonic() + 30
        while service_connections(service):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert everything(connection).count(b"HTTP/1.1 200") < asked


def service_connections(service: Service) -> int:
    """Connections that are established on the service's side, this function's own not among them."""
    table = Path(f"/proc/{service.process.pid}/net/tcp").read_text().splitlines()[1:]
    port = f":{service.address[1]:04X}"
    return sum(row.split()[1].endswith(port) and row.split()[3] == "01" for row in table)


@pytest.mark.slow
def test_the_one_that_has_been_idle_for_longest_makes_room_though_all_came_within_a_millisecond(tmp_path: Path) -> None:
    with running(tmp_path, "--max-connections", "4") as one, contextlib.ExitStack() as opened:
        idle: list[socket.socket] = []
        for _ in range(100):
            idle.append(opened.enter_context(one.connect()))
            alive(idle[-1])
            if len(idle) > 4:
                assert everything(idle.pop(0)) == b""
        for connection in idle:
            alive(connection)


@pytest.mark.slow
def test_where_there_are_too_many_the_idle_make_room_and_the_rest_gets_503(tmp_path: Path) -> None:
    with running(tmp_path, "--max-connections", "4") as one, contextlib.ExitStack() as opened:
        idle = [opened.enter_context(one.connect()) for _ in range(4)]
        for connection in idle:
            alive(connection)
        assert b" 200 " in one.ask(GET + b"\r\n")
        assert everything(idle[0]) == b""
        busy = [opened.enter_context(one.connect()) for _ in range(4)]
        for connection in busy:
            connection.sendall(POST % b"busy" + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n")
            assert b" 100 " in connection.recv(65536)
        refused = one.ask(GET + b"\r\n")
        assert problem(refused)["status"] == 503
        assert b"retry-after: 1" in refused
        for connection in busy:
            connection.close()
        deadline = time.monotonic() + 30
        while b" 200 " not in one.ask(GET + b"\r\n"):
            assert time.monotonic() < deadline
        assert one.end().count("4 connections are busy") == 1


def test_without_file_descriptors_it_says_so_once_turns_away_and_heals(caplog: pytest.LogCaptureFixture) -> None:
    served: list[asyncio.BaseTransport] = []

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            served.append(transport)
            transport.write(b"hello")  # type: ignore[attr-defined]
            transport.close()

    async def go() -> tuple[list[bytes], bytes]:
        loop = asyncio.get_running_loop()
        clients = [socket.socket() for _ in range(6)]
        for client in clients:
            client.setblocking(False)
        with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as held:
            listening.setblocking(False)
            listener = Listener(listening, Greeting, (), 100)
            with without_descriptors():
                for client in clients[:5]:
                    await loop.sock_connect(client, listening.getsockname())
                turned_away = [await loop.sock_recv(client, 100) for client in clients[:5]]
            await loop.sock_connect(clients[5], listening.getsockname())
            greeted = await loop.sock_recv(clients[5], 100)
            listener.close()
            for client in clients:
                held.enter_context(client)
            return turned_away, greeted

    with caplog.at_level(logging.WARNING, "losswatch.connections"):
        turned_away, greeted = asyncio.run(go())
    assert turned_away == [b""] * 5
    assert greeted == b"hello"
    assert len(served) == 1
    assert [record.message.partition(":")[0] for record in caplog.records] == ["no connection can be taken"]


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    """No further descriptor can be had."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 8, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in taken:
            os.close(descriptor)
