"""Three services on one PostgreSQL, clients that report through whichever is there, and services killed with -9.

No acknowledged point is lost or doubled, no notification is lost, and the reports are those of a single service that
got the same points.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import losswatch
from house import House
from losswatch_server.codec import dumps, report_json
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.store import places

if TYPE_CHECKING:
    from postgres import PostgresServer

KILLS = 2
REPLICAS = 3
POINTS_BETWEEN = 100
"""Points of each run between two kills."""
PATIENCE_S = 180.0
TIMES = ("created_at", "last_seen_at", "finished_at")


class Replica:
    """``losswatch-server serve --database`` in a process of its own."""

    def __init__(
        self,
        database: str,
        log: Path,
        program: Sequence[str] = (sys.executable, "-m", "losswatch_server"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [*program, "serve", "--database", database, "--port", "0", "--allow-private-targets"],
            stdout=subprocess.PIPE, stderr=self._log, text=True, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self.port = 0

    def is_up(self) -> bool:
        """Waits until it answers."""
        assert self.process.stdout is not None
        found = re.search(r":(\d+)\s*$", self.process.stdout.readline())
        self.port = int(found.group(1)) if found else 0
        return bool(found)

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


class Balancer:
    """Gives each connection to the next service that takes it, and cuts each after a moment: requests go everywhere."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.ports: list[int] = []
        self._turn = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            there = self._connect()
            if there is None:
                here.close()
                continue
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()
            threading.Timer(self._draw.uniform(0.2, 1.0), self._cut, (here, there)).start()

    def _connect(self) -> socket.socket | None:
        ports = list(self.ports)
        for _ in ports:
            self._turn += 1
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", ports[self._turn % len(ports)]), timeout=10)
        return None

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        Balancer._cut(one, other)

    @staticmethod
    def _cut(*ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listening.close()


class Receiver:
    """Takes notifications: what each message said, by its id."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                messages[self.headers["webhook-id"]] = body
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def about(self, run: str) -> list[str]:
        """The messages that name a run."""
        return [body for body in list(self.messages.values()) if f'"{run}"' in body]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Fleet:
    """The services, the way to them, and their database."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.database = server.url()
        self._log = folder / "replicas.log"
        self.balancer = Balancer(random.Random(20261128))
        self.receiver = Receiver()
        self._replicas = [Replica(self.database, self._log) for _ in range(REPLICAS)]
        assert all(replica.is_up() for replica in self._replicas), self._log.read_text()
        self.balancer.ports = [replica.port for replica in self._replicas]

    def kill(self, index: int) -> None:
        """Kill one of them in the middle of what it does, and start another in its place."""
        self._replicas[index].end(signal.SIGKILL)
        new = Replica(self.database, self._log)
        assert new.is_up(), self._log.read_text()
        self._replicas[index] = new
        self.balancer.ports = [replica.port for replica in self._replicas]

    def call(self, path: str, body: Any = None, replica: int = 0) -> Any:
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self._replicas[replica].port}{path}"
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def errors(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        for replica in self._replicas:
            replica.process.terminate()
        for replica in self._replicas:
            replica.end(signal.SIGTERM)
        self.balancer.close()
        self.receiver.close()


@pytest.fixture
def fleet(postgres: PostgresServer, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(postgres, tmp_path)
    yield fleet
    fleet.close()


def loss(run: int, step: int, points: int) -> float:
    """Runs 0 and 2 learn; 1 and 3 end with NaN."""
    if run % 2 and step == points - 1:
        return math.nan
    return 2.0 * math.exp(-step / 80) + 0.01 * math.sin(run + step * 1.7) + 0.1


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.slow
def test_services_that_are_killed_lose_no_point_and_no_notification(
    fleet: Fleet, postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The database crashes once, too."""
    kills = int(request.config.getoption("--kill-rounds", default=KILLS) or KILLS)
    count = POINTS_BETWEEN * (kills + 1)
    fleet.call("/v1/targets", {"kind": "webhook", "url": fleet.receiver.address})
    names = [f"run-{number}" for number in range(4)]
    runs = [
        losswatch.Run(name, url=fleet.balancer.address, quiet=True, flush_interval=0.02, spool_dir=tmp_path / name)
        for name in names
    ]
    draw = random.Random(7)
    for step in range(count):
        for number, run in enumerate(runs):
            run.log(step, loss=loss(number, step, count), grad_norm=1.0 + 0.1 * math.cos(step))
        if step and step % POINTS_BETWEEN == 0:
            fleet.kill(draw.randrange(REPLICAS))
        if step == POINTS_BETWEEN // 2:
            postgres.stop(signal.SIGQUIT)
            postgres.start()
        time.sleep(0.002)  # a training step
    for run in runs:
        assert run.flush(PATIENCE_S)
        assert run.dropped == 0
        run.finish(timeout=PATIENCE_S)

    for number, name in enumerate(names):
        told = [fleet.call(f"/v1/runs/{name}/report", replica=replica) for replica in range(REPLICAS)]
        assert told[0] == told[1] == told[2]
        assert told[0]["state"] == "finished", fleet.errors()
        _is_whole(fleet, number, name, count, tmp_path / f"alone-{name}")

    for name in names[1::2]:
        _let_claims_lapse(fleet)  # a service that was killed while it sent keeps its claim for two minutes
        until(lambda name=name: len(fleet.receiver.about(name)) > 0, f"no notification of {name}")  # type: ignore[misc]
    assert not fleet.receiver.about("run-0"), "of a run that learns"
    for name in names[1::2]:
        assert _reasons(fleet, name).count("first") == 1, "one message for one finding, whoever sent it"


def _is_whole(fleet: Fleet, number: int, name: str, count: int, folder: Path) -> None:
    """What is stored of a run is what was logged, each point once; its report is that of a single service."""
    stored = House(fleet.database)
    alone = House(folder)
    try:
        points = [one.point for one in stored.stored(name)]
        assert [point.step for point in points] == list(range(count))
        for step, point in enumerate(points):
            assert repr(point.loss) == repr(loss(number, step, count))
        row = stored.do(stored.runs.get("default", name))
        alone.runs._recorder._new_uid = lambda: row.uid
        alone.do(alone.runs.upsert("default", name, row.context))
        alone.record(points, name=name)
        alone.do(alone.runs.finish("default", name, RunState.FINISHED))
        assert _timeless(alone.report(name)) == _timeless(stored.report(name))
    finally:
        stored.close()
        alone.close()


def _timeless(report: Any) -> bytes:
    """The report without what a clock says."""
    told = report_json(report)
    return dumps({key: value for key, value in told.items() if key not in TIMES})


def _reasons(fleet: Fleet, name: str) -> list[str]:
    """Why there are messages about a run, of each one."""
    query = "SELECT reason FROM delivery WHERE body LIKE ?"
    found = places.look(fleet.database, "0009", lambda one: one.execute(query, (f'%"{name}"%',)).fetchall())
    return [reason for (reason,) in found or ()]


def _let_claims_lapse(fleet: Fleet) -> None:
    places.change(
        fleet.database,
        "0009",
        lambda connection: connection.execute("UPDATE delivery SET claimed_until = 0 WHERE state = 'sending'"),
    )
