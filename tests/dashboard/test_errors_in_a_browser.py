"""What goes wrong, in a real browser: what is missing, what is refused, a service that is away, a session that ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect
from typer.testing import CliRunner

from cli.test_connections import Service, running
from dashboard.conftest import NEEDS_CHROMIUM, WAIT_MS, Api, diverging, falling, watch
from losswatch_server.cli.keys import keys

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=WAIT_MS)
Show = Callable[[Page, str], None]

ERRORS = [
    (403, "This is not allowed"),
    (413, "That is too large"),
    (429, "Too many requests"),
    (500, "An error of the service"),
    (503, "The service is busy"),
]


def test_a_run_that_does_not_exist_has_a_page_that_becomes_its_own(show: Show, page: Page, api: Api) -> None:
    answer = page.goto(f"{api.base}/runs/to-come")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1")).to_have_text("There is no run called to-come")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#away")).to_be_hidden()
    api.points("to-come", diverging())
    expect(page.locator("#verdict .headline")).to_contain_text("diverging")


def test_an_address_without_a_page_says_so_in_a_browser_alone(page: Page, api: Api) -> None:
    for path, status in (("/nothing", 404), ("/runs/%3Cscript%3E", 422), ("/catalogue/causes/nothing", 404)):
        answer = page.goto(api.base + path)
        assert answer is not None
        assert answer.status == status
        expect(page.get_by_role("link", name="All runs")).to_be_visible()
    assert httpx.get(f"{api.base}/nothing", trust_env=False).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("status", "title"), ERRORS)
def test_each_error_says_what_it_is(show: Show, page: Page, status: int, title: str) -> None:
    def refuse(route: Route) -> None:
        headers = {"Retry-After": "7"} if status in (429, 503) else {}
        route.fulfill(status=status, headers=headers, json={"detail": "It said why."})

    page.route("**/v1/diagnose*", refuse)
    show(page, "/paste")
    page.get_by_role("button", name="Try an example").click()
    said = page.locator("#result .error")
    expect(said).to_contain_text(title)
    expect(said).to_contain_text("It said why.")
    if status in (429, 503):
        expect(said).to_contain_text("7 s")


def test_a_list_that_was_refused_comes_when_the_service_can(show: Show, page: Page) -> None:
    refused = {"detail": "Too much at once."}
    page.route("**/v1/runs?*", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json=refused))
    show(page, "/")
    expect(page.locator("#more")).to_contain_text("The service is busy")
    page.unroute("**/v1/runs?*")
    expect(page.locator("tr", has_text="healthy").first).to_be_visible()


class Guarded:
    """A service that wants a key, and can be stopped and started again at the same address."""

    def __init__(self, data: Path) -> None:
        self.data = data
        given = ["--data", str(data), "--project", "vision", "--scope", "admin", "--scope", "ingest", "--scope", "read"]
        made = CliRunner().invoke(keys, ["create", *given])
        found = re.search(r"\blw_\w+", made.output)
        assert found, made.output
        self.key, self.base = found[0], ""

    def points(self, run: str, points: list[dict[str, float]]) -> None:
        sent = httpx.post(
            f"{self.base}/v1/runs/{run}/points",
            json={"points": points, "writer": "one"},
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=30,
            trust_env=False,
        )
        assert sent.status_code == 200, sent.text

    def log_in(self, page: Page, path: str) -> None:
        page.goto(self.base + path)
        page.wait_for_url("**/login?next=*")
        page.get_by_label("API key").fill(self.key)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**{path}")


def based(service: Service) -> str:
    return f"http://{service.address[0]}:{service.address[1]}"


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path / "data")


def test_a_session_begins_at_the_login_outlives_a_restart_and_ends_when_logged_out(
    guarded: Guarded, context: BrowserContext
) -> None:
    page = context.new_page()
    trouble = watch(page)
    with running(guarded.data) as service:
        guarded.base = based(service)
        guarded.points("secret", diverging(20))
        guarded.log_in(page, "/runs/secret")
        expect(page.locator("#verdict .headline")).to_contain_text("diverging")
        expect(page.locator("#live")).to_have_text("live")
        page.goto(f"{guarded.base}/")
        expect(page.locator("#runs tbody tr")).to_contain_text("secret")
        expect(page.locator(".count").first).to_contain_text("1")
        page.get_by_role("link", name="secret").click()
        page.wait_for_url("**/runs/secret?project=vision")
        expect(page.locator("#facts")).to_contain_text("step 20")
        expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#away")).to_contain_text("The service does not answer")
    with running(guarded.data, "--port", guarded.base.rpartition(":")[2]):
        guarded.points("secret", falling(50)[20:])
        expect(page.locator("#facts")).to_contain_text("step 50")
        expect(page.locator("#away")).to_be_hidden()
        guarded.points("secret", falling(60)[50:])
        expect(page.locator("#facts")).to_contain_text("step 60")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        for control in (page.get_by_label("API key"), page.get_by_role("button", name="Log in")):
            box = control.bounding_box()
            assert box is not None
            assert box["height"] >= 44
        page.goto(f"{guarded.base}/runs/secret")
        page.wait_for_url("**/login?next=*")
    assert trouble == []
    page.close()
