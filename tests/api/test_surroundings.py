"""What surrounds the endpoints: problems, probes, metrics, documentation, the catalogue, the host check."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from losswatch_server.api.http.problems import KINDS, problem_of
from losswatch_server.app import create_app
from losswatch_server.keys.quota import DailyQuotas
from losswatch_server.monitor.vocabulary import CauseName, Condition
from losswatch_server.runs import Runs
from losswatch_server.settings import Settings
from losswatch_server.store.errors import DataDirectoryError, SchemaTooNewError, StoreBusyError, StoreError
from losswatch_server.store.sqlite import SqliteStore

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/runs/", 404),
        ("GET", "/v1/runs/none-of-this-name", 404),
        ("GET", "/v1/conditions/boredom", 404),
        ("GET", "/docs/assets/../../secrets", 404),
        ("GET", "/docs/assets/other.js", 404),
        ("DELETE", "/v1/runs", 405),
        ("GET", "/v1/diagnose", 405),
        ("PUT", "/docs", 405),
        ("GET", "/%ED%A0%80/%00", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(api: TestClient, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    assert re.fullmatch(r"/docs/problems#[a-z-]+", problem["type"])


def test_a_method_that_is_not_there_is_answered_with_those_that_are(api: TestClient) -> None:
    assert api.post("/v1/runs/x").headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"


def test_head_is_get_without_a_body(api: TestClient) -> None:
    answer = api.head("/livez")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(api.get("/livez").content))


def test_every_kind_of_problem_is_explained_on_one_page(api: TestClient) -> None:
    page = api.get("/docs/problems").text
    for kind in KINDS:
        assert f'id="{kind.slug}"' in page
        assert kind.retry_after_s is not None or kind.status not in (429, 503)
    assert len({kind.slug for kind in KINDS}) == len(KINDS)


def test_every_error_of_the_store_that_a_request_can_meet_has_its_problem() -> None:
    for error in StoreError.__subclasses__():
        if error not in (DataDirectoryError, SchemaTooNewError):  # those end the start
            kind = problem_of(error.__new__(error)).kind
            assert (kind.status, kind.retry_after_s is None) == (503, False), error


def application(tmp_path: Path, **limits: int) -> tuple[FastAPI, SqliteStore]:
    app = create_app(Settings(data_dir=tmp_path / "unused"))
    store = SqliteStore.open(tmp_path / "data", **limits)
    app.state.runs, app.state.quotas = Runs(store), DailyQuotas(store, None)
    return app, store


def test_a_store_that_is_closing_is_503_with_the_time_to_wait(tmp_path: Path) -> None:
    app, store = application(tmp_path)
    store.close()
    client = TestClient(app, "http://localhost")
    for answer in (
        client.post("/v1/runs/r/points", json={"step": 1}),
        client.get("/v1/runs"),
        client.get("/readyz"),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
        assert int(answer.headers["retry-after"]) == answer.json()["retry_after"] > 0
    assert client.get("/livez").status_code == 200


def test_a_store_that_is_busy_is_503(tmp_path: Path) -> None:
    class Busy(Runs):
        async def record(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            raise StoreBusyError("full")

    app, store = application(tmp_path)
    app.state.runs = Busy(store)
    answer = TestClient(app, "http://localhost").post("/v1/runs/r/points", json={"step": 1})
    store.close()
    assert (answer.status_code, answer.json()["type"]) == (503, "/docs/problems#busy")


def test_before_the_store_is_open_the_service_is_not_ready(tmp_path: Path) -> None:
    client = TestClient(create_app(Settings(data_dir=tmp_path)), "http://localhost")
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200


def test_probes_answer(api: TestClient) -> None:
    assert api.get("/livez").json() == {"status": "ok"}
    assert api.get("/readyz").json() == {"status": "ok", "not_running": []}


def test_metrics_count_requests_by_route_and_points_by_what_became_of_them(api: TestClient, run: str) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", api.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    route = 'losswatch_http_requests_total{method="POST",route="/v1/runs/{run}/points",status="200"}'
    outcomes = ("accepted", "duplicate")
    before = [value(route), *(value(f'losswatch_points_total{{outcome="{name}"}}') for name in outcomes)]
    for _ in range(2):
        api.post(f"/v1/runs/{run}/points", json={"points": [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.9}]})
    after = [value(route), *(value(f'losswatch_points_total{{outcome="{name}"}}') for name in outcomes)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 2, 2]
    assert f'"{run}"' not in api.get("/metrics").text


def test_the_documentation_needs_no_network(api: TestClient) -> None:
    page = api.get("/docs/api")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {"/docs/assets/swagger-ui-bundle.js", "/openapi.json"} <= set(links)
    for link in links:
        assert link.startswith("/")
        assert api.get(link).status_code == 200
    assert b"SwaggerUIBundle" in api.get("/docs/assets/swagger-ui-bundle.js").content


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/api", "/docs/limits", "/docs/problems", "/v1/conditions", "/v1/conditions/diverging"]
)
def test_pages_carry_security_headers(api: TestClient, path: str) -> None:
    headers = api.get(path, headers={"Accept": "text/html"}).headers
    assert headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "'unsafe-inline'" not in headers["content-security-policy"].partition("style-src")[0]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize(
    ("kinds", "kind", "names"), [("conditions", "condition", Condition), ("causes", "cause", CauseName)]
)
def test_every_condition_and_cause_has_its_page_in_three_forms(
    api: TestClient, kinds: str, kind: str, names: type[Condition | CauseName]
) -> None:
    lines = api.get(f"/v1/{kinds}").json()[kinds]
    listed = {form: api.get(f"/v1/{kinds}", headers={"Accept": form}) for form in ("text/markdown", "text/html")}
    for line in lines:
        assert f'<a href="{line["url"]}">' in listed["text/html"].text
        assert f"]({line['url']}) (`{line['name']}`)" in listed["text/markdown"].text
    assert [line["name"] for line in lines] == [str(name) for name in names]
    for line in lines:
        page = api.get(line["url"]).json()
        assert (page["kind"], page["title"]) == (kind, line["title"])
        markdown = api.get(line["url"], headers={"Accept": "text/markdown"})
        assert markdown.text == page["markdown"]
        assert "<p>" in api.get(line["url"], headers={"Accept": "text/html,*/*;q=0.8"}).text
