"""A real service whose PostgreSQL server has no room, or goes away and comes back."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.test_faults import Service, is_ready, is_refusal

if TYPE_CHECKING:
    from postgres import PostgresServer

pytestmark = pytest.mark.slow
WAL_SEGMENT = 16 << 20
"""Bytes of a file of the log, written as a whole: it must still fit where a table cannot grow."""

PER_REQUEST = 50
"""Points whose row PostgreSQL keeps in the table itself: larger ones lie beside it."""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url()


@pytest.fixture
def service(url: str, tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "data", "--database", url)
    yield service
    service.process.kill()
    service.process.communicate()


def steps_of(service: Service) -> list[int]:
    return [point["step"] for point in service.call("/v1/runs/a/points")[2]["points"]]


@contextmanager
def no_file_grows_past(size: int, postgres: PostgresServer, url: str) -> Iterator[None]:
    """The operating system refuses it as it does where a disk is full; the log, whose files have all one size, goes
    on."""
    import psycopg

    with psycopg.connect(url) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        processes = [postgres.pid, *(pid for (pid,) in connection.execute(query))]
    postgres.limit_files(processes, str(size))
    try:
        yield
    finally:
        postgres.limit_files(processes, "unlimited")


def grown(url: str, size: int) -> int:
    """Bytes of the table of the record, once it is larger than ``size`` by what belongs to no run."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO record (project, uid, seq, n, kind, attempt, writer, received_ms, first_step, last_step, body)"
            " SELECT 'p', 'u', g, 1, 1, 1, NULL, 0, g, g, convert_to(repeat('x', 1500), 'UTF8')"
            " FROM generate_series(1, $1) g".replace("$1", str(size // 1500 + 1000))
        )
        ((found,),) = connection.execute("SELECT pg_relation_size('record')").fetchall()
        return int(found)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_database_without_room_is_503_until_there_is_some_and_what_was_acknowledged_is_there(
    service: Service, postgres: PostgresServer, url: str
) -> None:
    assert service.post(0) == 200
    size = grown(url, WAL_SEGMENT)
    assert size > WAL_SEGMENT
    kept = 1
    body = {"points": [], "writer": "one"}
    with no_file_grows_past(size, postgres, url):
        while True:
            points = [{"step": step, "loss": 1.0 / step, "grad_norm": 1.0} for step in range(kept, kept + PER_REQUEST)]
            answer = service.call("/v1/runs/a/points?report=false", body | {"points": points})
            if answer[0] != 200:
                break
            kept += PER_REQUEST
            assert kept < 20_000, "the table goes on growing"
        assert is_refusal(answer, "store-failed")
        for _ in range(2):
            assert is_refusal(service.call("/readyz"), "store-failed"), "though a row of another table can be changed"
        assert service.call("/v1/runs/a/report")[2]["points"] == kept, "what can be read is read"
        assert service.call("/livez")[0] == 200
    answer = service.call("/v1/runs/a/points", body | {"points": points})
    assert (answer[0], answer[2]["accepted"], answer[2]["duplicates"]) == (200, PER_REQUEST, 0)
    service.until(lambda: is_ready(service))
    assert steps_of(service) == list(range(kept + PER_REQUEST))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_a_database_that_goes_away_is_503_until_it_is_back_and_what_was_acknowledged_is_there(
    service: Service, postgres: PostgresServer, how: signal.Signals
) -> None:
    assert [service.post(step) for step in range(5)] == [200] * 5
    postgres.stop(how)
    try:
        assert is_refusal(service.call("/v1/runs/a/points", {"step": 5, "loss": 1.0}), "store-failed")
        assert is_refusal(service.call("/v1/runs/a/points"), "store-unreadable")
        assert is_refusal(service.call("/readyz"), "store-failed")
        assert service.call("/livez")[0] == 200
    finally:
        postgres.start()
    service.until(lambda: service.post(5) == 200)
    service.until(lambda: is_ready(service))
    assert steps_of(service) == list(range(6))
    assert service.call("/v1/runs/a/report")[2]["attempt"] == 1
    service.process.send_signal(signal.SIGTERM)
    assert service.ends()[0] == 0
