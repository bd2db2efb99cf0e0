"""What one key may send in a minute; what is turned away while too much comes; and users whom a proxy names."""

from __future__ import annotations

import heapq
import ipaddress
import logging
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.test_keys import Locked
from losswatch_server.api.http.proxy_users import PEER, ProxyUsers, networks
from losswatch_server.api.http.rate_limits import CALLERS, RateLimits
from losswatch_server.api.http.shedding import LEAST, Shedding
from losswatch_server.app import create_app, proxy_users
from losswatch_server.keys import KeyLimits, Scope
from losswatch_server.settings import Settings, SettingsError


def batch(low: int, count: int) -> dict[str, object]:
    return {"points": [{"step": n, "loss": 1.0} for n in range(low, low + count)]}


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path / "data", requests_per_minute=5, points_per_minute=100)
    with TestClient(create_app(settings), "http://localhost") as client:
        client.now = 0.0
        client.app.limits._clock = lambda: client.now
        yield client


def left(answer: object) -> dict[str, tuple[int, int]]:
    found = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    return {name: (int(rest), int(wait)) for name, rest, wait in found}


def test_each_answer_says_what_is_left_and_the_first_too_many_when_to_come_back(limited: TestClient) -> None:
    answer = limited.post("/v1/runs/r/points", json=batch(0, 10))
    assert answer.headers["RateLimit-Policy"] == '"requests";q=5;w=60, "points";q=100;w=60'
    assert left(answer) == {"requests": (4, 12), "points": (90, 6)}
    for n in range(4):
        assert limited.get("/v1/runs").status_code == 200, n
    refused = limited.get("/v1/runs")
    assert (refused.status_code, refused.json()["type"]) == (429, "/docs/problems#too-many-requests")
    assert refused.headers["Retry-After"] == "12"
    assert refused.json()["retry_after"] == 12
    assert left(refused)["requests"] == (0, 60)
    for open_to_all in ("/livez", "/metrics", "/docs"):
        answer = limited.get(open_to_all)
        assert (answer.status_code, "RateLimit" in answer.headers) == (200, False)
    limited.now += 11.9
    assert limited.get("/v1/runs").status_code == 429
    limited.now += 0.2
    assert limited.get("/v1/runs").status_code == 200
    limited.now += 3600
    assert left(limited.get("/v1/runs"))["requests"] == (4, 12)


def test_a_batch_is_taken_whole_and_what_it_took_too_much_is_waited_for(limited: TestClient) -> None:
    assert limited.post("/v1/runs/r/points", json=batch(0, 350)).status_code == 200
    refused = limited.post("/v1/runs/r/points", json=batch(350, 1))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(math.ceil(2.51 * 60)))
    assert "points a minute" in refused.json()["detail"]
    limited.now += float(refused.headers["Retry-After"])
    assert limited.post("/v1/runs/r/points", json=batch(350, 1)).status_code == 200
    assert limited.get("/v1/runs/r").json()["points"] == 351


def test_one_key_does_not_take_from_another(tmp_path: Path) -> None:
    locked = Locked(tmp_path)
    locked.app.limits._limits = KeyLimits(requests_per_minute=3)
    locked.app.limits._clock = lambda: 0.0
    with locked.client:
        codes = [locked("read", "GET", "/v1/runs").status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        assert locked("ingest", "POST", "/v1/runs/r/points", json=batch(0, 1)).status_code == 200
        assert locked(None, "GET", "/v1/runs").status_code == 401, "who has no key is not told of limits"


def test_a_key_has_limits_of_its_own(tmp_path: Path) -> None:
    locked = Locked(tmp_path)
    locked.app.limits._clock = lambda: 0.0
    with locked.client:
        assert "RateLimit" not in locked("read", "GET", "/v1/runs").headers
        locked.limit("read", KeyLimits(requests_per_minute=2))
        locked.limit("ingest", KeyLimits(points_per_minute=10))
        answers = [locked("read", "GET", "/v1/runs") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"requests";q=2;w=60'
        assert locked("ingest", "POST", "/v1/runs/r/points", json=batch(0, 11)).status_code == 200
        refused = locked("ingest", "POST", "/v1/runs/r/points", json=batch(11, 1))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "12")
        assert locked("admin", "GET", "/v1/runs").status_code == 200
        locked.limit("read", KeyLimits(requests_per_minute=100))
        assert left(locked("read", "GET", "/v1/runs"))["requests"] == (99, 1), "what is changed counts at once"
        locked.limit("read", KeyLimits())
        assert "RateLimit" not in locked("read", "GET", "/v1/runs").headers


def test_what_a_key_has_no_limit_for_is_the_services(tmp_path: Path) -> None:
    limits = RateLimits(requests_per_minute=10, points_per_minute=100)
    own = limits.of("key", KeyLimits(requests_per_minute=1000))
    assert own.headers()[0][1] == b'"requests";q=1000;w=60, "points";q=100;w=60'
    assert limits.of("key", KeyLimits(requests_per_minute=1000)) is own
    assert limits.of("other").headers()[0][1] == b'"requests";q=10;w=60, "points";q=100;w=60'


def test_however_many_callers_there_are_few_are_remembered() -> None:
    limits = RateLimits(10, clock=lambda: 0.0)
    for n in range(CALLERS + 500):
        assert limits.of(str(n)).refusal() is None
    assert len(limits._callers) == CALLERS


class Queue:
    """A server that answers one after another, ``seconds`` each, behind the gate; requests come at random."""

    def __init__(
        self,
        gate_on: bool,
        seconds: float = 0.001,
        seed: int = 1,
        stands_still_s: float = 0.0,
        starved_s: float = 0.0,
    ) -> None:
        """It stands still for so long in every five seconds, and is slow for so long in every second, as where other
        work has its cores."""
        self.stands_still_s = stands_still_s
        self.starved_s = starved_s
        self.now = 0.0
        self.gate = Shedding(lambda: self.now)
        self.gate_on = gate_on
        self.seconds = seconds
        self.rng = random.Random(seed)
        self.free_at = 0.0
        self.came = 0.0
        self.ends: list[tuple[float, float]] = []
        self.most = 0

    def seen(self, at: float) -> float:
        """When what comes or ends then is seen."""
        since = at % 5.0
        return at + max(0.0, self.stands_still_s - since) if at > 5.0 else at

    def run(self, rate: float, until: float) -> tuple[list[float], int]:
        """The times that those took that were taken, and how many were not."""
        took, shed = [], 0
        while self.now < until:
            self.came += self.rng.expovariate(rate)
            coming = self.seen(self.came)
            while self.ends and self.ends[0][0] <= coming:
                self.now, came = heapq.heappop(self.ends)
                took.append(self.now - came)
                self.gate.end(self.now - came)
            self.now = coming
            if self.gate.refusal() is None or not self.gate_on:
                starts = max(self.free_at, coming)
                slower = 20.0 if starts % 1.0 < self.starved_s else 1.0
                self.free_at = self.seen(starts + slower * self.seconds * self.rng.uniform(0.5, 1.5))
                heapq.heappush(self.ends, (self.free_at, coming))
                self.most = max(self.most, len(self.ends))
            else:
                shed += 1
                self.free_at = max(self.free_at, coming) + 0.1 * self.seconds
        return took, shed


def p99(took: list[float]) -> float:
    return sorted(took)[int(0.99 * len(took))]


def test_at_four_times_what_it_can_do_those_that_are_taken_are_answered_soon() -> None:
    queue = Queue(gate_on=True)
    normal, shed = queue.run(rate=600, until=20)
    assert shed == 0
    busy, shed = queue.run(rate=4000, until=80)
    late = busy[len(busy) // 10 :]
    assert shed > 1000
    assert p99(late) < 10 * p99(normal)
    assert len(late) > 0.3 * 60_000, "it works on"
    assert queue.most < 1000, "until it is noticed; real ones are at most as many as connections"
    queue.run(rate=600, until=85)
    after, shed = queue.run(rate=600, until=100)
    assert shed == 0
    assert p99(after) < 3 * p99(normal)


@pytest.mark.parametrize("stands_still_s", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("seconds", [0.001, 0.006])
def test_a_service_that_other_work_stops_now_and_then_turns_nobody_away_before_and_after_an_overload(
    seconds: float, stands_still_s: float
) -> None:
    queue = Queue(gate_on=True, seconds=seconds, stands_still_s=stands_still_s)
    half = 0.5 / seconds
    assert queue.run(rate=half, until=30)[1] == 0
    assert queue.run(rate=8 * half, until=60)[1] > 1000
    queue.run(rate=half, until=62)
    assert queue.run(rate=half, until=120)[1] == 0


@pytest.mark.parametrize(("seconds", "starved_s"), [(0.001, 0.15), (0.0025, 0.15), (0.0025, 0.3)])
def test_two_seconds_after_an_overload_nobody_is_turned_away_though_other_work_takes_the_cores_again_and_again(
    seconds: float, starved_s: float
) -> None:
    queue = Queue(gate_on=True, seconds=seconds, starved_s=starved_s)
    half = 0.5 / seconds
    queue.run(rate=half, until=20)
    assert queue.run(rate=8 * half, until=50)[1] > 10_000
    queue.run(rate=half, until=52)
    took, shed = queue.run(rate=half, until=80)
    assert shed == 0
    assert max(took) < 2 * starved_s, "what came meanwhile is made up for"


def test_what_is_just_too_much_is_turned_away_and_the_others_wait_no_longer_than_a_moment() -> None:
    queue = Queue(gate_on=True)
    queue.run(rate=500, until=10)
    took, shed = queue.run(rate=1040, until=60)
    assert 0 < shed < 0.1 * len(took)
    assert p99(took) < 1.0


def test_it_goes_on_turning_away_while_those_that_are_taken_are_answered_quickly() -> None:
    queue = Queue(gate_on=True)
    queue.run(rate=4000, until=5)
    queue.most = 0
    queue.run(rate=4000, until=30)
    assert queue.most < 100, "a gate that opens because all is well lets in everything that waits before it"


def test_what_is_slow_by_nature_is_no_overload() -> None:
    """A disk that takes a second for each commit, and 200 clients that wait for it."""
    now = 0.0
    gate = Shedding(lambda: now)
    for _ in range(60):
        assert [gate.refusal() for _ in range(200)] == [None] * 200
        now += 1.0
        for _ in range(200):
            gate.end(1.0)


def test_many_who_begin_together_are_all_taken() -> None:
    gate = Shedding(lambda: 0.0)
    assert [gate.refusal() for _ in range(500)] == [None] * 500
    assert LEAST < 500


def test_what_is_in_progress_and_what_was_shed_is_measured(limited: TestClient) -> None:
    text = limited.get("/metrics").text
    assert 'losswatch_requests_shed_total{kind="post"} 0.0' in text
    assert 'losswatch_requests_in_progress{kind="other"}' in text


def request(peer: str, *users: bytes) -> dict[str, object]:
    return {PEER: peer, "headers": [(b"x-user", user) for user in users]}


def test_a_user_is_believed_of_a_trusted_proxy_alone() -> None:
    users = ProxyUsers("X-User", networks("127.0.0.1, 10.1.0.0/16,::1"), frozenset({Scope.READ}))
    for peer in ("127.0.0.1", "10.1.2.3", "::1", "::ffff:10.1.9.9"):
        assert users.user_of(request(peer, b"ada@example.org")) == "ada@example.org"
    for peer in ("10.2.0.1", "192.168.0.1", "::2", "", "unix"):
        assert users.user_of(request(peer, b"ada")) is None
    assert users.user_of({"headers": [(b"x-user", b"ada")]}) is None
    for named in ([], [b"ada", b"bob"], [b""], [b"x" * 300]):
        assert users.user_of(request("::1", *named)) is None
    assert users.user_of(request("::1", b"a\nb \xff")) == "a%0Ab%20%FF"
    with pytest.raises(ValueError):
        networks("10.0.0.0/99")
    assert ipaddress.ip_network("10.0.0.0/8") in networks("10.0.0.0/8")


def test_a_user_of_the_proxy_may_what_the_operator_says_in_every_project(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path / "data", user_header="X-User", user_scopes="read, ingest")
    app = create_app(settings)
    with TestClient(peered(app), "http://localhost") as client, caplog.at_level(logging.INFO, "losswatch.audit"):
        assert client.get("/v1/runs").status_code == 401
        ada = {"X-User": "ada"}
        for project in ("a", "b"):
            assert client.post(f"/v1/runs/r/points?project={project}", json=batch(0, 1), headers=ada).status_code == 200
        assert [one["project"] for one in client.get("/v1/projects", headers=ada).json()["projects"]] == ["a", "b"]
        assert client.delete("/v1/runs/r?project=a", headers=ada).status_code == 403
    assert caplog.messages == ["key user:ada: DELETE /v1/runs/r: 403"]


def peered(app: object) -> object:
    async def from_the_proxy(scope, receive, send):
        await app({**scope, PEER: "127.0.0.1"}, receive, send)

    return from_the_proxy


@pytest.mark.parametrize(
    ("given", "said"), [({"user_scopes": "all"}, "user_scopes"), ({"trusted_proxies": "proxy"}, "trusted_proxies")]
)
def test_a_proxy_that_cannot_be_meant_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        proxy_users(Settings(user_header="X-User", **given))
