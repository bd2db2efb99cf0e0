"""With API keys on: every operation below /v1 wants one, of the right scope, and sees its own project alone."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from alerts.messages import OPENED
from issued_keys import issue
from losswatch_server.alerts.channels.channel import Links
from losswatch_server.app import create_app
from losswatch_server.keys import KeyLimits, table
from losswatch_server.keys.picture import picture_token
from losswatch_server.settings import Settings

POINT = {"points": [{"step": 0, "loss": 1.0}]}
OPEN = ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/login")


class Locked:
    """A service with keys: of project a one for each scope, of project b one for everything."""

    def __init__(self, data: Path) -> None:
        self.keys = issue(data)
        self.app = create_app(Settings(data_dir=data))
        self.client = TestClient(self.app, "http://localhost", follow_redirects=False)

    def limit(self, who: str, limits: KeyLimits) -> None:
        """Change what a key may send, as the command does, and read the keys anew at once."""
        id_ = self.keys[who].split("_")[1]
        self.client.portal.call(self.app.state.transactions.write, lambda one: table.limit(one, id_, limits))
        self.client.portal.call(self.app.state.keys.reload)

    def __call__(self, who: str | None, method: str, path: str, **more: object) -> object:
        headers = {} if who is None else {"Authorization": f"Bearer {self.keys.get(who, who)}"}
        return self.client.request(method, path, headers=headers | dict(more.pop("headers", {})), **more)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    service = Locked(tmp_path_factory.mktemp("locked"))
    with service.client:
        yield service


def operations(locked: Locked) -> list[tuple[str, str]]:
    paths = locked.app.openapi()["paths"]
    found = [(method.upper(), path) for path, item in paths.items() for method in item if method != "parameters"]
    assert len(found) > 30
    return [(method, re.sub(r"\{[a-z]+\}", "x1", path)) for method, path in found]


def test_no_operation_is_forgotten(locked: Locked) -> None:
    below = [(method, path) for method, path in operations(locked) if path.startswith("/v1")]
    for method, path in [*below, ("HEAD", "/v1/runs"), ("GET", "/v1/nothing"), ("GET", "/v1"), ("OPTIONS", "/v1/runs")]:
        answer = locked(None, method, path)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert locked("lw_nonsense", method, path).status_code == 401


def compat_operations(locked: Locked) -> list[tuple[str, str]]:
    """What the clients of other tools call, which the description does not have."""
    found = [
        (method, re.sub(r"\{\w+\}", "x1", route.path))
        for route in locked.app.state.routes
        for method in sorted(route.methods or ())
        if route.path.startswith(("/api/", "/v1/metrics", "/v1/compat"))
    ]
    assert len(found) > 25
    return found


def test_no_route_of_another_tool_is_forgotten(locked: Locked) -> None:
    for method, path in [
        *compat_operations(locked),
        ("GET", "/api/x"),
        ("POST", "/mlflow/a/api/2.0/mlflow/runs/create"),
    ]:
        for who in (None, "lw_nonsense"):
            answer = locked(who, method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_that_may_log_can_do_what_a_training_does_with_mlflow_and_reads_no_numbers(locked: Locked) -> None:
    reading = ("/search", "/metrics/", "/artifacts/")
    for method, path in compat_operations(locked):
        allowed = {who for who in ("ingest", "read", "admin") if locked(who, method, path).status_code != 403}
        reads = path.startswith("/api/") and any(part in path for part in reading)
        if method in ("POST", "PATCH") and not reads:
            assert allowed == {"ingest", "admin"}, (method, path)
        elif reads:
            assert allowed == {"read", "admin"}, (method, path)
        else:
            assert allowed == {"ingest", "read", "admin"}, (method, path)
    api = "/api/2.0/mlflow/runs"
    run = locked("ingest", "POST", f"{api}/create", json={"run_name": "logged"}).json()["run"]["info"]["run_id"]
    metric = {"run_id": run, "key": "loss", "value": 1.5, "step": 3}
    assert locked("ingest", "POST", f"{api}/log-metric", json=metric).status_code == 200
    seen = {
        who: locked(who, "GET", f"{api}/get?run_id={run}").json()["run"]["data"]["metrics"]
        for who in ("ingest", "read")
    }
    assert (seen["ingest"], [one["value"] for one in seen["read"]]) == ([], [1.5])


def test_other_tools_see_the_project_of_their_key_alone(locked: Locked) -> None:
    run = locked("other", "POST", "/api/2.0/mlflow/runs/create", json={"run_name": "hidden"}).json()["run"]["info"]
    for path in (f"/api/2.0/mlflow/runs/get?run_id={run['run_id']}", "/mlflow/b/api/2.0/mlflow/runs/get?run_id=hidden"):
        answer = locked("admin", "GET", path)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert locked("other", "GET", f"/mlflow/b/api/2.0/mlflow/runs/get?run_id={run['run_id']}").status_code == 200
    attributes = [
        {"key": name, "value": {"stringValue": value}}
        for name, value in (("losswatch.run", "r"), ("losswatch.project", "b"))
    ]
    metric = {"name": "loss", "gauge": {"dataPoints": [{"asDouble": 1.0}]}}
    body = {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]}]}
    assert locked("ingest", "POST", "/v1/metrics", json=body).json()["partialSuccess"]["rejectedDataPoints"] == "1"
    assert locked("other", "GET", "/v1/runs/r").status_code == 404
    assert locked("other", "POST", "/v1/metrics", json=body).json() == {}
    assert locked("other", "GET", "/v1/runs/r").status_code == 200


def test_a_key_can_be_the_password_of_basic_authentication(locked: Locked) -> None:
    def with_basic(text: str) -> int:
        coded = base64.b64encode(text.encode()).decode()
        return locked.client.get("/v1/runs", headers={"Authorization": f"Basic {coded}"}).status_code

    assert with_basic(f"anybody:{locked.keys['read']}") == 200
    assert [with_basic(text) for text in ("anybody:", locked.keys["read"], f"{locked.keys['read']}:", "a:lw_no")] == [
        401
    ] * 4
    for header in ("Basic", "Basic %%%", "Basic =", f"Digest {locked.keys['read']}"):
        assert locked.client.get("/v1/runs", headers={"Authorization": header}).status_code == 401


def test_probes_and_documentation_are_open(locked: Locked) -> None:
    for path in OPEN:
        assert locked(None, "GET", path).status_code < 400, path


def test_each_scope_allows_what_it_is_for_and_nothing_else(locked: Locked) -> None:
    for method, path in operations(locked):
        if not path.startswith("/v1"):
            continue
        if path.endswith("/events"):  # an answer without an end
            assert locked("ingest", method, path).status_code == 403
            continue
        allowed = {who for who in ("ingest", "read", "admin") if locked(who, method, path).status_code != 403}
        assert "admin" in allowed
        if path.startswith(("/v1/conditions", "/v1/causes", "/v1/diagnose")):
            assert allowed == {"ingest", "read", "admin"}, (method, path)
        elif method == "GET":
            assert allowed == {"read", "admin"}, (method, path)
        elif path.endswith(("/points", "/finish", "/pause", "/keras/x1")) or (
            path == "/v1/runs/x1" and method != "DELETE"
        ):
            assert allowed == {"ingest", "admin"}, (method, path)
        else:
            assert allowed == {"admin"}, (method, path)


def test_a_key_without_a_project_in_the_request_is_about_its_own(locked: Locked) -> None:
    posted = locked("ingest", "POST", "/v1/runs/mine/points", json=POINT)
    assert posted.status_code in (200, 202)
    listed = locked("read", "GET", "/v1/runs?limit=5").json()["runs"]
    assert {(run["run"], run["project"]) for run in listed} >= {("mine", "a")}
    assert {run["project"] for run in listed} == {"a"}


def test_other_projects_are_not_even_listed(locked: Locked) -> None:
    for who in ("ingest", "other"):
        assert locked(who, "POST", "/v1/runs/one/points", json=POINT).status_code in (200, 202)
    assert [one["project"] for one in locked("read", "GET", "/v1/projects").json()["projects"]] == ["a"]


@pytest.mark.parametrize("query", ["project=b", "project=a&project=b", "%70roject=b", "project=", "x=%20&project=b"])
def test_another_project_is_not_there(locked: Locked, query: str) -> None:
    assert locked("other", "POST", "/v1/runs/theirs/points", json=POINT).status_code in (200, 202)
    for method, path in (("GET", "/v1/runs/theirs"), ("GET", "/v1/runs"), ("DELETE", "/v1/runs/theirs")):
        answer = locked("admin", method, f"{path}?{query}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/docs/problems#project-not-found")
    assert locked("admin", "GET", "/v1/runs/theirs").status_code == 404
    assert locked("admin", "GET", "/v1/runs/theirs?project=a&x=%20").status_code == 404
    assert locked("other", "GET", "/v1/runs/theirs").status_code == 200


def test_both_ways_to_the_points_are_locked(locked: Locked) -> None:
    """The fast path takes plain requests, the framework those with a prefix."""
    for client in (locked.client, TestClient(locked.app, "http://localhost", root_path="/prefix")):
        assert client.post("/v1/runs/p/points", json=POINT).status_code == 401
        headers = {"Authorization": f"Bearer {locked.keys['read']}"}
        assert client.post("/v1/runs/p/points", json=POINT, headers=headers).status_code == 403


def test_somebody_who_follows_a_link_logs_in_and_comes_back(locked: Locked) -> None:
    follows = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
    asked = locked(None, "GET", "/v1/runs/mine/report?x=1", headers=follows)
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fv1%2Fruns%2Fmine%2Freport%3Fx%3D1")
    page = locked(None, "GET", asked.headers["location"])
    assert 'value="/v1/runs/mine/report?x=1"' in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    wrong = locked(None, "POST", "/login", data={"key": "lw_no", "next": "/v1/runs"})
    assert (wrong.status_code, "mistyped" in wrong.text, "set-cookie" in wrong.headers) == (401, True, False)
    right = locked(None, "POST", "/login", data={"key": locked.keys["read"], "next": "/v1/runs"})
    assert (right.status_code, right.headers["location"]) == (303, "/v1/runs")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    session = {"Cookie": cookie.split(";")[0]}
    locked.client.cookies.clear()
    assert locked(None, "GET", "/v1/runs", headers=session).status_code == 200
    assert locked(None, "DELETE", "/v1/runs/mine", headers=session).status_code == 403
    assert locked("other", "GET", "/v1/runs/mine", headers=session).status_code == 404  # the key is what counts


@pytest.mark.parametrize(
    "where", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_the_login_leads_nowhere_else(locked: Locked, where: str) -> None:
    answer = locked(None, "POST", "/login", data={"key": locked.keys["read"], "next": where})
    assert answer.headers["location"] == "/"
    locked.client.cookies.clear()


def test_a_page_of_another_site_cannot_use_the_session_of_a_browser(locked: Locked) -> None:
    cookie = locked(None, "POST", "/login", data={"key": locked.keys["admin"]}).headers["set-cookie"].split(";")[0]
    locked.client.cookies.clear()
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    answer = locked(None, "DELETE", "/v1/runs/mine", headers=foreign)
    assert (answer.status_code, answer.json()["type"]) == (403, "/docs/problems#foreign-page")


def test_administration_is_in_the_log_with_the_key_and_without_its_secret(
    locked: Locked, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "losswatch.audit"):
        locked("admin", "DELETE", "/v1/runs/no-such-run")
        locked("read", "DELETE", "/v1/runs/no-such-run")
        locked("read", "GET", "/v1/runs")
    admin, read = (locked.keys[who].split("_")[1] for who in ("admin", "read"))
    assert caplog.messages == [
        f"key {admin}: DELETE /v1/runs/no-such-run: 404",
        f"key {read}: DELETE /v1/runs/no-such-run: 403",
    ]


@pytest.mark.parametrize("kind", ["chart.svg", "chart.png", "badge.svg"])
def test_a_signed_address_opens_one_picture_and_nothing_else(locked: Locked, kind: str) -> None:
    for run in ("drawn", "hidden"):
        assert locked("ingest", "POST", f"/v1/runs/{run}/points", json=POINT).status_code == 200
    assert locked(None, "GET", f"/v1/runs/drawn/{kind}").status_code == 401
    answer = locked("read", "GET", f"/v1/runs/drawn/{kind}")
    address = answer.headers["content-location"]
    opened = locked(None, "GET", address)
    assert (opened.status_code, opened.content) == (200, answer.content)
    assert locked(None, "HEAD", address).status_code == 200
    token = address.partition("token=")[2]
    for other in (f"/v1/runs/hidden/{kind}", "/v1/runs/drawn/report", "/v1/runs", f"/v1/runs/drawn/{kind}/"):
        assert locked(None, "GET", f"{other}?token={token}").status_code == 401, other
    assert locked(None, "DELETE", f"/v1/runs/drawn?token={token}").status_code == 401
    assert locked(None, "GET", f"/v1/runs/drawn/{kind}?project=b&token={token}").status_code == 404
    for forged in (token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), "x.y", "", token.partition(".")[2]):
        assert locked(None, "GET", f"/v1/runs/drawn/{kind}?token={forged}").status_code == 401, forged
    assert locked("ingest", "GET", f"/v1/runs/drawn/{kind}").status_code == 403


def test_messages_name_pictures_by_their_signed_address(locked: Locked) -> None:
    assert locked("ingest", "POST", "/v1/runs/told/points", json=POINT).status_code == 200
    links = Links("https://lw.example", sign=partial(picture_token, locked.app.state.keys))
    address = links.picture(replace(OPENED, project="a", entries=(replace(OPENED.lead, run="told"),)))
    assert address is not None
    assert locked(None, "GET", address.removeprefix("https://lw.example")).status_code == 200
    assert "token" not in str(links.picture(replace(OPENED, project="no-keys-of-its-own")))
