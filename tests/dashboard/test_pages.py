"""The pages without a browser: their headers, their files, and that nothing is inline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dashboard.conftest import Api
from losswatch_server.dashboard import pages
from losswatch_server.dashboard.assets import STATIC, address, assets, version
from losswatch_server.monitor.advice.actions import ACTIONS
from losswatch_server.runs import RunNotFoundError
from losswatch_server.store.errors import StoreUnreadableError

PAGES = [
    "/", "/runs/diverging", "/compare", "/findings", "/paste", "/catalogue", "/catalogue/conditions/diverging",
    "/catalogue/causes/learning_rate_too_high", "/notifications",
]  # fmt: skip
MOST_BYTES = 150_000
"""Of a page with everything that it loads, before it is compressed."""
LONGEST = 400
NO_CODE = {"increase_capacity", "check_output", "check_labels", "none"}
"""Actions that no line of code does."""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_allows_nothing_inline_and_nothing_from_elsewhere(api: Api, path: str) -> None:
    answer = httpx.get(api.base + path, trust_env=False, timeout=30)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", answer.text) == []
    loaded = re.findall(r'\ssrc="([^"]+)"|<link[^>]+href="([^"]+)"', answer.text)
    assert loaded
    assert [found for pair in loaded for found in pair if found and not found.startswith("/")] == []


def test_a_file_is_kept_for_ever_under_its_address_and_checked_under_any_other(api: Api) -> None:
    with httpx.Client(base_url=api.base, trust_env=False, timeout=30) as client:
        kept = client.get(address("style.css"))
        assert "immutable" in kept.headers["cache-control"]
        old = client.get("/assets/0123456789ab/style.css")
        assert (old.content, old.headers["cache-control"]) == (kept.content, "no-cache")
        again = client.get("/assets/0123456789ab/style.css", headers={"If-None-Match": old.headers["etag"]})
        assert again.status_code == 304
        plain = client.get(address("style.css"), headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == kept.content
        for wrong in ("nothing.js", "../pages.py", "%2e%2e/pages.py", "", "style.css/"):
            assert client.get(f"/assets/{version()}/{wrong}").status_code == 404


def loaded(script: str, seen: set[str]) -> set[str]:
    """The script with all that it imports."""
    if script not in seen:
        seen.add(script)
        for found in re.findall(r'(?:from |import |import\()"(\.[^"]+)"', (STATIC / script).read_text()):
            loaded((STATIC / script).parent.joinpath(found).resolve().relative_to(STATIC.resolve()).as_posix(), seen)
    return seen


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_all_that_it_loads_weighs_little(api: Api, path: str) -> None:
    text = httpx.get(api.base + path, trust_env=False, timeout=30).text
    names = set(re.findall(rf"/assets/{version()}/([^\"]+)\"", text))
    scripts = {name for name in names if name.endswith(".js")}
    assert scripts
    for script in scripts:
        names |= loaded(script, set())
    names.add("code-changes.json")
    assert len(text) + sum(len(assets()[name].content) for name in names) < MOST_BYTES


def test_a_name_that_is_none_gets_no_page(api: Api) -> None:
    for path in ("/runs/%3Cscript%3E", "/?project=%22%3E%3Cb%3E"):
        answer = httpx.get(api.base + path, trust_env=False, timeout=30)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{api.base}/catalogue/causes/nothing", trust_env=False, timeout=30).status_code == 404


def test_no_script_is_longer_than_a_person_reads_at_once() -> None:
    lengths = {path.name: path.read_text().count("\n") for path in STATIC.rglob("*.js")}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_text_reaches_a_page_as_text_alone() -> None:
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser")
    assert {path.name: found for path in STATIC.rglob("*.js") if (found := ways.findall(path.read_text()))} == {}
    templates = (Path(STATIC).parent / "templates").glob("*.html")
    safe = {path.name for path in templates if "|safe" in path.read_text()}
    assert safe == {"entry.html"}  # the catalogue's own page


def test_every_action_has_its_line_of_code() -> None:
    ways = json.loads((STATIC / "code-changes.json").read_text())
    assert set(ways) == set(ACTIONS) - NO_CODE
    for action, by_framework in ways.items():
        lines = [
            line
            for pattern in by_framework.values()
            for line in (pattern.values() if isinstance(pattern, dict) else [pattern])
        ]
        assert lines, action
        for line in lines:
            assert "\n" not in line
            assert set(re.findall(r"\{(\w*)\}", line)) <= {"value", "optimizer"}, line
            python = line.replace("{value}", "value").replace("{optimizer}", "adam")
            if python.endswith("continue"):
                python = f"for _ in ():\n {python}"
            compile(python, action, "exec")


@pytest.mark.parametrize(("raised", "status"), [(RunNotFoundError("x"), 404), (StoreUnreadableError("x"), 200)])
def test_a_page_comes_whatever_becomes_of_its_run(raised: Exception, status: int) -> None:
    class Runs:
        async def get(self, project: str, name: str) -> None:
            raise raised

    app = FastAPI()
    app.include_router(pages.router)
    app.state.runs = Runs()
    answer = TestClient(app).get("/runs/gone")
    assert answer.status_code == status
    assert 'data-run="gone"' in answer.text
