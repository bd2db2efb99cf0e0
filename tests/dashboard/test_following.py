"""A page that follows runs draws what the events bring: a hundred open tabs ask the service for next to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboard.conftest import NEEDS_CHROMIUM, WAIT_MS, Api, falling
from losswatch_server.dashboard.assets import address

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=WAIT_MS)
Show = Callable[[Page, str], None]

GROWN = """async ([script, points, most]) => {
  const { grow } = await import(script), line = { x: [], y: [] };
  const took = points.map(point => grow(line, point, most));
  return { x: line.x, y: line.y.map(String), took };
}"""

HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def listeners(api: Api) -> int:
    found = re.search(
        r"^losswatch_listeners (\d+)", httpx.get(f"{api.base}/metrics", trust_env=False).text, re.MULTILINE
    )
    assert found
    return int(found[1])


def asked(page: Page, run: str, what: str) -> list[str]:
    """The calls of this kind from now on."""
    calls: list[str] = []
    page.on("request", lambda call: calls.append(call.url) if f"/v1/runs/{run}{what}" in call.url else None)
    return calls


def grown(page: Page, points: list[dict[str, Any]], most: int) -> Any:
    return page.evaluate(GROWN, [address("curves.js"), points, most])


def test_the_list_follows_a_run_without_reading_it_again(show: Show, page: Page, api: Api) -> None:
    api.points("followed-in-the-list", falling(40))
    show(page, "/?q=followed-in-the-list")
    row = page.locator("tbody tr", has_text="followed-in-the-list")
    expect(row.locator("canvas")).to_have_attribute("aria-label", re.compile("^loss from"))
    calls = asked(page, "followed-in-the-list", "")
    for step in range(41, 44):
        api.points("followed-in-the-list", [{"step": step, "loss": step / 1000}])
        expect(row).to_contain_text(f"0.0{step}")
    api.points("followed-in-the-list", [{"step": 44, "loss": "NaN"}])
    expect(row.locator("canvas")).to_have_attribute("aria-label", re.compile("not finite at times"))
    assert calls == []


def test_the_page_of_a_run_draws_the_points_that_events_bring(show: Show, page: Page, api: Api) -> None:
    api.points("followed", falling(40))
    show(page, "/runs/followed")
    api.points("followed", [{"step": 41, "loss": 0.5, "grad_norm": 1.0}])
    expect(page.locator("#facts")).to_contain_text("step 41")
    page.wait_for_load_state("networkidle")  # after opening, what came since is read once
    calls = asked(page, "followed", "/points")
    plot = page.locator("figure", has_text="Loss").locator(".plot").first
    for step in range(42, 45):
        api.points("followed", [{"step": step, "loss": step * 100.0, "grad_norm": 1.0}])
        expect(plot).to_have_attribute("aria-label", re.compile(f"and {step * 100:,}"))
    assert calls == []


def test_what_came_between_two_events_is_read(show: Show, page: Page, api: Api) -> None:
    api.points("followed-fast", falling(40))
    show(page, "/runs/followed-fast")
    plot = page.locator("figure", has_text="Loss").locator(".plot").first
    api.points("followed-fast", [{"step": 41, "loss": 7777.0}, {"step": 42, "loss": 0.5}])
    expect(plot).to_have_attribute("aria-label", re.compile("and 7,?777"))


def test_runs_that_are_compared_grow_by_events(show: Show, page: Page, api: Api) -> None:
    for run in ("compared-a", "compared-b"):
        api.points(run, falling(40), group="compared")
    show(page, "/compare?group=compared")
    calls = asked(page, "compared-a", "/points")
    api.points("compared-a", [{"step": 41, "loss": 0.0123}])
    expect(page.locator("#legend li", has_text="compared-a")).to_contain_text("0.0123")
    assert calls == []


@pytest.mark.parametrize("place", [10, 401, 998])
def test_a_curve_that_grows_keeps_its_extremes_and_what_is_not_finite(
    show: Show, page: Page, api: Api, place: int
) -> None:
    show(page, "/catalogue")
    points: list[dict[str, Any]] = [{"step": step, "loss": 1.0 + step % 7} for step in range(1000)]
    points[place]["loss"], points[place - 5]["loss"], points[place - 9]["loss"] = 500.0, -3.0, "NaN"
    found = grown(page, points, 64)
    assert all(found["took"])
    assert 25 <= len(found["x"]) <= 65
    assert found["x"] == sorted(found["x"])
    assert found["x"][-1] == 999
    assert {"500", "-3", "NaN"} <= set(found["y"])


def test_a_point_without_a_place_at_the_end_is_refused(show: Show, page: Page, api: Api) -> None:
    show(page, "/catalogue")
    points = [
        {"step": 5, "loss": 2.0},
        {"step": 5, "loss": 1.0},  # the same, said again
        {"step": 6, "grad_norm": 1.0},
        {"step": 4, "loss": 9.0},
        {"step": 7, "loss": None},
    ]
    found = grown(page, points, 64)
    assert found["took"] == [True, True, True, False, False]
    assert (found["x"], found["y"]) == ([5], ["1"])


def test_a_tab_in_the_background_holds_no_connection(show: Show, page: Page, api: Api) -> None:
    """And is up to date as soon as it is looked at."""
    api.points("out-of-sight", falling(40))
    show(page, "/runs/out-of-sight")
    expect(page.locator("#live")).to_have_text("live")
    before = listeners(api)
    page.evaluate(HIDE, True)
    for _ in range(100):
        if listeners(api) < before:
            break
        page.wait_for_timeout(100)
    assert listeners(api) == before - 1
    calls = asked(page, "out-of-sight", "")
    api.points("out-of-sight", [{"step": 41, "loss": 0.5}])
    page.wait_for_timeout(1500)
    assert calls == []
    page.evaluate(HIDE, False)
    expect(page.locator("#facts")).to_contain_text("step 41")
