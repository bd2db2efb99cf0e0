"""Who may call: the names under which the service answers, and pages of other origins, at every endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from losswatch_server.api.http.site import LOOPBACK_NAMES, Site, is_private
from losswatch_server.app import create_app, site
from losswatch_server.settings import Settings

PROBLEM = "application/problem+json"
POINTS = "/v1/runs/{run}/points"

FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Origin": "https://evil.example"},
    "another port of this machine": {"Origin": "http://localhost:8888"},
    "another name of this machine": {"Origin": "http://127.0.0.1"},
    "another scheme": {"Origin": "ftp://localhost"},
    "a sandboxed page": {"Origin": "null"},
    "an extension": {"Origin": "chrome-extension://abcdefgh"},
    "no origin at all": {"Origin": ""},
    "a name that only begins like ours": {"Origin": "http://localhost.evil.example"},
    "our name as a user's name": {"Origin": "http://localhost@evil.example"},
    "what cannot be read": {"Origin": "http://[::1"},
    "by Sec-Fetch-Site": {"Sec-Fetch-Site": "cross-site"},
    "a sibling": {"Sec-Fetch-Site": "same-site"},
    "a picture": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    "a frame": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    "both": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    "a site to come": {"Sec-Fetch-Site": "who-knows"},
}
OWN: dict[str, dict[str, str]] = {
    "no browser": {},
    "a page of ours": {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    "a page of ours, over plain HTTP": {"Origin": "http://localhost"},
    "the default port, written": {"Origin": "http://localhost:80"},
    "somebody types the address": {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
TYPES = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")


def operations() -> Iterator[tuple[str, str]]:
    for path, methods in create_app(Settings()).openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path.replace("{run}", "some-run").replace("{", "").replace("}", "")


def is_refused(answer: Any) -> bool:
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers
    if answer.status_code != 403:
        return False
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["type"] == "/docs/problems#foreign-page"
    return True


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("content_type", TYPES)
def test_a_page_of_another_origin_stores_nothing_whatever_its_content_type(
    api: TestClient, run: str, headers: dict[str, str], content_type: str
) -> None:
    sent = {**headers, "Content-Type": content_type}
    # The second path goes past the fast path: the framework unquotes it.
    for path in (POINTS.format(run=run), POINTS.format(run=run) + "?project=elsewhere", f"/v1/runs/{run}/points/"):
        assert is_refused(api.post(path, content='{"step": 1, "loss": 0.5}', headers=sent))
    assert api.get(f"/v1/runs/{run}").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [*operations(), ("OPTIONS", "/v1/runs"), ("GET", "/"), ("GET", "/docs")])
def test_a_page_of_another_origin_gets_nothing_at_any_endpoint(api: TestClient, method: str, path: str) -> None:
    for headers in FOREIGN.values():
        assert is_refused(api.request(method, path, headers=headers))
    if path.endswith("/events"):
        return  # the answer to a link does not end
    answer = api.request(method, path, headers=LINK, follow_redirects=False)
    assert is_refused(answer) == (method != "GET")


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
def test_pages_of_our_own_and_programs_are_served(api: TestClient, run: str, headers: dict[str, str]) -> None:
    answer = api.post(POINTS.format(run=run), content='{"step": 1, "loss": 0.5}', headers=headers)
    assert answer.json()["accepted"] == 1
    assert api.get(f"/v1/runs/{run}", headers=headers).status_code == 200
    assert api.post("/v1/diagnose", content='{"step": 1, "loss": 0.5}', headers=headers).status_code == 200


def test_a_path_prefix_of_a_proxy_takes_the_frameworks_way_with_the_same_answers(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    with TestClient(app, "http://localhost", root_path="/losswatch") as client:
        path = "/losswatch/v1/runs/prefixed/points"
        assert is_refused(client.post(path, content='{"step": 1}', headers=FOREIGN["another site"]))
        assert client.post(path, content="{", headers={}).json()["instance"] == path
        assert client.post(path, content='{"step": 1, "loss": 0.5}').json()["accepted"] == 1
        assert client.post(path, content='{"step": 1}', headers={"Host": "evil.example"}).status_code == 421


PUBLIC = Site(LOOPBACK_NAMES, base_url="https://Losswatch.example.org/")


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("losswatch.example.org", "https://losswatch.example.org", True),
        ("losswatch.example.org:443", "https://losswatch.example.org", True),
        ("127.0.0.1:8000", "https://losswatch.example.org", True),  # a proxy that puts its own Host in
        ("127.0.0.1:8000", "http://losswatch.example.org", False),  # whoever sits on the wire
        ("127.0.0.1:8000", "https://losswatch.example.org:8443", False),
        ("127.0.0.1:8000", "https://example.org", False),
    ],
)
def test_behind_a_proxy_the_public_address_is_the_services_own(host: str, origin: str, own: bool) -> None:
    scope = {"method": "POST", "headers": [(b"host", host.encode()), (b"origin", origin.encode())]}
    assert (PUBLIC.refusal(scope) is None) == own


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost.", "[::2]", "testserver"]
)
def test_a_rebound_name_is_refused_on_loopback(api: TestClient, host: str) -> None:
    for answer in (
        api.get("/v1/runs", headers={"Host": host}),
        api.post("/v1/runs/rebound/points", content='{"step": 1}', headers={"Host": host}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (421, PROBLEM)
    assert api.get("/v1/runs/rebound").status_code == 404


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_loopback_names_are_taken(api: TestClient, host: str) -> None:
    assert api.get("/v1/runs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("10.1.2.3:8000", True),
        ("203.0.113.9", True),
        ("[2001:db8::1]:8000", True),
        ("gpu-box", True),
        ("gpu-box.local:8000", True),
        ("losswatch.ml.svc.cluster.local", True),
        ("gpu.internal", True),
        ("", True),  # a health check without Host; a browser always sends one
        ("watch.corp.example.com", True),
        ("a.b.team.example.com", True),
        ("loss.example.org", True),
        ("corp.example.com", False),
        ("evil.example", False),
        ("evil-local", True),
        ("evil.xlocal", False),
        ("10.1.2.3.evil.example", False),
        ("1.2.3.4.5", False),
    ],
)
def test_on_a_network_any_name_is_taken_that_no_stranger_can_own(host: str, allowed: bool) -> None:
    settings = Settings(
        host="0.0.0.0",
        base_url="https://loss.example.org",
        allowed_hosts="Watch.corp.example.com, *.team.example.com",
    )
    assert site(settings).answers_as(host.encode()) == allowed


def test_the_operator_can_take_any_name() -> None:
    assert site(Settings(host="0.0.0.0", allowed_hosts="*")).answers_as(b"anything.example")


def test_a_service_on_another_loopback_address_answers_as_that_address() -> None:
    for host, name in (("127.0.0.2", b"127.0.0.2:8000"), ("::1", b"[::1]:8000")):
        assert site(Settings(host=host)).answers_as(name)
    assert not site(Settings(host="127.0.0.2")).answers_as(b"gpu-box")


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.lists(LABEL, min_size=1, max_size=3), st.sampled_from(["example", "com", "org", "dev"]))
def test_no_name_that_can_be_bought_is_private(labels: list[str], top: str) -> None:
    assert not is_private(".".join([*labels, top]))
