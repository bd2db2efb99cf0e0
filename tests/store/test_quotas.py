"""What a project and a key may send on a day is counted over all services of one database."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from losswatch_server.app import create_app
from losswatch_server.keys import KeyLimits, Scope, quota, table
from losswatch_server.keys.quota import DailyQuotas, QuotaSpentError
from losswatch_server.settings import Settings
from losswatch_server.store import StoreFailedError, places
from losswatch_server.store.sql_store import SqlStore
from losswatch_server.store.transactions import Transactions

if TYPE_CHECKING:
    from postgres import PostgresServer

NOON = 20_000 * 86400 + 43_200.0


class Clock:
    """Stands still."""

    now = NOON


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def stores(place: Path | str) -> Iterator[list[SqlStore]]:
    """Two, where two can be opened: a data folder belongs to one service."""
    opened = [places.open_store(place) for _ in range(1 if isinstance(place, Path) else 2)]
    yield [opened[0], opened[-1]]
    for store in opened:
        store.close()


def service(store: Transactions, runner: asyncio.Runner, per_project: int | None = 1000) -> DailyQuotas:
    quotas = DailyQuotas(store, per_project, lambda: Clock.now)
    runner.run(quotas.pass_on())
    return quotas


def test_what_two_services_take_counts_together_also_after_a_restart_until_midnight(
    stores: list[SqlStore], runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (service(store, runner) for store in stores)
    one.take("p", 600)
    other.take("p", 399)
    for quotas in (one, other, one):
        runner.run(quotas.pass_on())
    assert one.sent(("p", "")) == other.sent(("p", "")) == 999
    one.take("p", 300)  # a batch is taken whole while anything is left
    runner.run(one.pass_on())
    runner.run(other.pass_on())
    for quotas in (one, other, service(stores[0], runner)):
        with pytest.raises(QuotaSpentError, match="project p has sent 1000") as refused:
            quotas.take("p", 1)
        assert refused.value.wait_s == 43_200
        quotas.take("another", 1)
    monkeypatch.setattr(Clock, "now", NOON + 43_200)
    for quotas in (one, other):
        quotas.take("p", 7)
        runner.run(quotas.pass_on())
    assert service(stores[1], runner).sent(("p", "")) == 14
    monkeypatch.setattr(Clock, "now", NOON + 30 * 86400)
    service(stores[0], runner)
    left = runner.run(stores[0].read(lambda one: one.execute("SELECT count(*) FROM points_of_day").fetchone()))
    assert tuple(left) == (0,), "days long past are forgotten"


def test_a_key_has_a_quota_of_its_own_and_shares_that_of_its_project(
    stores: list[SqlStore], runner: asyncio.Runner
) -> None:
    quotas = service(stores[0], runner, per_project=100)
    quotas.take("p", 30, "key", 30)
    with pytest.raises(QuotaSpentError, match="key key"):
        quotas.take("p", 1, "key", 30)
    quotas.take("p", 70, "other")
    with pytest.raises(QuotaSpentError, match="project p"):
        quotas.take("p", 1, "third", 500)
    free = service(stores[0], runner, per_project=None)
    free.take("p", 10**9)
    assert free.sent(("p", "")) == 0, "what nobody limits is not counted"


def test_what_could_not_be_added_is_not_forgotten(stores: list[SqlStore], runner: asyncio.Runner) -> None:
    class Failing:
        def __init__(self) -> None:
            self.is_failing = False

        def read(self, work: Any) -> Coroutine[Any, Any, Any]:
            return stores[0].read(work)

        async def write(self, work: Any) -> Any:
            if self.is_failing:
                raise StoreFailedError("The disk is full.")
            return await stores[0].write(work)

        async def leads(self, work: str, seconds: float) -> bool:
            return True

    store = Failing()
    quotas = service(store, runner)
    quotas.take("p", 5)
    store.is_failing = True
    for _ in range(2):
        with pytest.raises(StoreFailedError):
            runner.run(quotas.pass_on())
        assert quotas.sent(("p", "")) == 5
    store.is_failing = False
    quotas.take("p", 1)
    runner.run(quotas.close())
    assert service(stores[1], runner).sent(("p", "")) == 6


@pytest.mark.slow
def test_two_services_on_one_database_hold_a_key_to_its_quota_of_a_day(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "PASS_S", 0.01)
    url = postgres.url()

    def make(connection: Any) -> list[Any]:
        scopes = [Scope.INGEST, Scope.READ]
        return [
            table.create(connection, "p", scopes, now=1.0, limits=limits)
            for limits in (KeyLimits(points_per_day=20), None)
        ]

    limited, free = places.change(url, table.KEYS_SINCE, make)
    settings = Settings(database=url)
    apps = [create_app(settings), create_app(settings)]
    with TestClient(apps[0], "http://localhost") as one, TestClient(apps[1], "http://localhost") as other:
        steps = itertools.count()

        def post(client: TestClient, key: Any, count: int = 1) -> Any:
            points = [{"step": next(steps), "loss": 1.0} for _ in range(count)]
            return client.post(
                "/v1/runs/r/points", json={"points": points}, headers={"Authorization": f"Bearer {key.text}"}
            )

        assert [post(client, limited, 10).status_code for client in (one, other)] == [200, 200]
        for client in (one, other):
            while (answer := post(client, limited)).status_code == 200:
                pass
            assert answer.status_code == 429
            assert "This key may send 20 points a day" in answer.json()["detail"]
            assert 0 < int(answer.headers["Retry-After"]) <= 86400
            assert post(client, free).status_code == 200
            got = client.get("/v1/runs/r/report", headers={"Authorization": f"Bearer {limited.text}"})
            assert (got.status_code, "RateLimit" in got.headers) == (200, False)


def test_what_other_tools_send_counts_too_and_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", points_per_day=3)
    with TestClient(create_app(settings), "http://localhost") as client:
        assert client.post("/v1/runs/r/points", json={"step": 0, "loss": 1.0}).status_code == 200
        for epoch, status in enumerate((200, 200, 429)):
            answer = client.post("/v1/compat/keras/k", json={"epoch": epoch, "loss": 1.0})
            assert answer.status_code == status
        assert 0 < int(answer.headers["Retry-After"]) <= 86400
        refused = client.post("/v1/runs/r/points", json={"step": 1, "loss": 1.0})
        assert "The project default may send 3 points a day" in refused.json()["detail"]
        assert client.post("/v1/runs/r/points?project=other", json={"step": 1, "loss": 1.0}).status_code == 200
        stored = {run: client.get(f"/v1/runs/{run}").json()["points"] for run in ("r", "k")}
        assert stored == {"r": 1, "k": 2}
