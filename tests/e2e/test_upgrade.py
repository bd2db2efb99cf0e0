"""The service is upgraded under load, a replica at a time: the program before the newest schema beside this one.

The older program comes from the history of the repository. This one judges by a newer detection version than it has, so
that both what a migration and what new rules do to a replica that still runs is there.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import losswatch
from e2e.test_replicas import PATIENCE_S, TIMES, Balancer, Receiver, Replica, until
from house import House
from losswatch_server.codec import report_json
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, RunState
from losswatch_server.store import places, schema

if TYPE_CHECKING:
    from postgres import PostgresServer

ROOT = Path(__file__).parents[2]
PARTS = ("service", "clients/python/src", "clients/logs/src")
NEWER = (
    "import losswatch_server.monitor.vocabulary as v; v.DETECTION_VERSION += 1; "
    "from losswatch_server.cli import main; main()"
)
"""This program, with rules that count as newer."""
RUNS = 4
POINTS = 240
AT_SIDES = POINTS // 4
"""Points of each run before the first new replica comes, then between one step and the next."""


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the program before the newest migration runs."""
    versions = Path("service/losswatch_server/store/migrations/versions")
    (newest,) = (path.name for path in (ROOT / versions).glob(f"{schema.head()}_*.py"))
    folder = tmp_path_factory.mktemp("older")
    if shutil.which("git") is None:
        pytest.skip("there is no git here, which has the older program")
    try:
        added = _git("log", "--format=%H", "--diff-filter=A", "--", str(versions / newest)).decode().split()
        if not added:
            pytest.skip(f"the history does not have migration {newest} yet")
        (folder / "tar").write_bytes(_git("archive", f"{added[-1]}^", *PARTS))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the history does not reach to before migration {newest}: {error.stderr.decode()[:100]}")
    with tarfile.open(folder / "tar") as archive:
        archive.extractall(folder, filter="data")
    return {"PYTHONPATH": os.pathsep.join(str(folder / part) for part in PARTS)}


class Caller:
    """Posts single points and reads, one after another, and again where an answer is none; keeps what came back."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: Counter[str] = Counter()
        self.unhealed: list[str] = []
        self.stale = 0
        self.posted = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def _go_on(self) -> None:
        while not self._ends.is_set():
            told = self._call("/v1/runs/posted/points", {"step": self.posted, "loss": 1.0 / (1 + self.posted)})
            self.posted += 1
            self.stale += bool(told.get("stale"))
            for path in ("/v1/runs", "/v1/runs/posted/report", "/v1/findings", "/v1/runs/posted/points?limit=5"):
                self._call(path)

    def _call(self, path: str, body: Any = None) -> dict[str, Any]:
        said = ""
        for wait in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                    self.answers["200"] += 1
                    told: dict[str, Any] = json.load(answer)
                    return told
            except urllib.error.HTTPError as error:
                said = f"{error.code} {path} {error.read()[:200]!r}"
                self.answers[str(error.code)] += 1
            except (OSError, ValueError) as error:  # cut off: no answer
                said = f"{type(error).__name__} {path}"
                self.answers["cut off"] += 1
            self._ends.wait(wait)
        self.unhealed.append(said)
        return {}

    def end(self) -> None:
        self._ends.set()
        self._thread.join(PATIENCE_S)


class Rollout:
    """Replicas of two programs, and the way to them."""

    def __init__(self, database: str, folder: Path, older: dict[str, str]) -> None:
        self.database, self.older = database, older
        self.log = folder / "replicas.log"
        self.balancer = Balancer(random.Random(20261128))
        self.receiver = Receiver()
        self.replicas: list[Replica] = []

    def start(self, *, old: bool) -> Replica:
        command = (sys.executable, "-m", "losswatch_server") if old else (sys.executable, "-c", NEWER)
        replica = Replica(self.database, self.log, command, self.older if old else {})
        assert replica.is_up(), self.log.read_text()
        self.replicas.append(replica)
        self.balancer.ports.append(replica.port)
        return replica

    def stop(self, replica: Replica) -> None:
        """As an orchestrator does: no new connections, then SIGTERM."""
        self.balancer.ports.remove(replica.port)
        self.replicas.remove(replica)
        replica.end(signal.SIGTERM)
        assert replica.process.returncode == 0, self.log.read_text()

    def call(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.replicas[-1].port}{path}"
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def schema(self) -> str:
        query = "SELECT version_num FROM alembic_version"
        (found,) = places.look(self.database, "0001", lambda one: one.execute(query).fetchone()) or ("",)
        return str(found)

    def close(self) -> None:
        for replica in self.replicas:
            replica.end(signal.SIGKILL)
        self.balancer.close()
        self.receiver.close()


@pytest.fixture
def rollout(postgres: PostgresServer, tmp_path: Path, older: dict[str, str]) -> Iterator[Rollout]:
    rollout = Rollout(postgres.empty_url(), tmp_path, older)
    yield rollout
    rollout.close()


def loss(run: int, step: int) -> float:
    """Runs 0 and 2 learn; 1 and 3 end with NaN, 3 of them while both programs run."""
    if run % 2 and step >= (POINTS - 4 if run == 1 else POINTS - POINTS // 4 - 20):
        return math.nan
    return 2.0 * math.exp(-step / 80) + 0.01 * math.sin(run + step * 1.7) + 0.1


@pytest.mark.slow
def test_an_upgrade_of_one_replica_after_another_costs_nobody_anything(rollout: Rollout, tmp_path: Path) -> None:
    first, second = rollout.start(old=True), rollout.start(old=True)
    assert rollout.schema() < schema.head(), "the older program made the database"
    rollout.call("/v1/targets", {"kind": "webhook", "url": rollout.receiver.address})
    names = [f"run-{number}" for number in range(RUNS)]
    runs = [
        losswatch.Run(name, url=rollout.balancer.address, quiet=True, flush_interval=0.02, spool_dir=tmp_path / name)
        for name in names
    ]
    caller = Caller(rollout.balancer.address)
    for step in range(POINTS):
        for number, run in enumerate(runs):
            run.log(step, loss=loss(number, step), grad_norm=1.0 + 0.1 * math.cos(step))
        if step == AT_SIDES:
            rollout.start(old=False)
            assert rollout.schema() == schema.head()
            rollout.stop(first)
        if step == 2 * AT_SIDES:  # an old one ends and comes back, on the new schema
            rollout.stop(second)
            second = rollout.start(old=True)
        if step == 3 * AT_SIDES:
            until(lambda: caller.stale > 0, "no report was ever stale")
            rollout.start(old=False)
            rollout.stop(second)
        time.sleep(0.005)  # a training step
    for run in runs:
        assert run.flush(PATIENCE_S), rollout.log.read_text()
        assert run.dropped == 0
        run.finish(timeout=PATIENCE_S)
    caller.end()

    assert caller.unhealed == []
    assert set(caller.answers) <= {"200", "503", "cut off"}, caller.answers
    told = rollout.call("/v1/runs/posted/report")
    assert (told["points"], told["stale"], told["detection_version"]) == (caller.posted, False, DETECTION_VERSION + 1)
    for number, name in enumerate(names):
        _is_right(rollout, number, name, tmp_path / f"alone-{name}")
    for name in names[1::2]:
        until(lambda name=name: len(rollout.receiver.about(name)) > 0, f"no notification of {name}")  # type: ignore[misc]
    assert not rollout.receiver.about("run-0"), "of a run that learns"
    assert "Traceback" not in rollout.log.read_text(), rollout.log.read_text()


def _is_right(rollout: Rollout, number: int, name: str, folder: Path) -> None:
    """Every point is there once, and the report is that of one service that got them all."""
    report = rollout.call(f"/v1/runs/{name}/report")
    stored = rollout.call(f"/v1/runs/{name}/points?limit={2 * POINTS}")["points"]
    assert [point["step"] for point in stored] == list(range(POINTS))
    assert [repr(float(point["loss"])) for point in stored] == [repr(loss(number, step)) for step in range(POINTS)]
    alone, there = House(folder), House(rollout.database)
    try:
        row = there.do(there.runs.get("default", name))
        points = [one.point for one in there.stored(name)]
        alone.runs._recorder._new_uid = lambda: row.uid
        alone.do(alone.runs.upsert("default", name, row.context))
        alone.record(points, name=name)
        alone.do(alone.runs.finish("default", name, RunState.FINISHED))
        expected = json.loads(json.dumps(report_json(alone.report(name))))
        assert _timeless(report) == _timeless(expected)
    finally:
        alone.close()
        there.close()


def _timeless(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what a clock says, and without the number of the rules, which are the same."""
    return {key: value for key, value in report.items() if key not in (*TIMES, "detection_version")}
