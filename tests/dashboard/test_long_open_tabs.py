"""A tab that stays open for a day: clock and events are the test's own, and what the tab keeps is counted."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import CDPSession, Page, expect

from dashboard.conftest import NEEDS_CHROMIUM, WAIT_MS, Api, falling

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=WAIT_MS)
Show = Callable[[Page, str], None]

HEARD = """window.sources = [];
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  constructor() { super(); this.readyState = 1; sources.push(this); setTimeout(() => this.tell("hello", {}), 0); }
  tell(kind, data) { this.dispatchEvent(Object.assign(new Event(kind), { data: JSON.stringify(data) })); }
  close() { this.readyState = 2; }
};"""
"""A stream of events that says what the test has it say."""
HOURS = 24
TELL = """async ([kind, data]) => sources.filter(one => one.readyState === 1).forEach(one => one.tell(kind, data))"""


def kept(session: CDPSession) -> dict[str, float]:
    """What the tab holds after what can be given back was."""
    session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in ("Nodes", "JSEventListeners", "Documents")}


def hours(page: Page, run: dict[str, object], count: int) -> None:
    """So many times: points came, a finding opened, the stream broke and came back; and two seconds pass."""
    for _ in range(count):
        page.evaluate(TELL, ["report", run])
        page.evaluate(TELL, ["finding.opened", {"kind": "finding.opened", "run": run}])
        page.evaluate(TELL, ["hello", {}])
        page.clock.run_for(4000)
        page.wait_for_load_state("networkidle")


def stays(show: Show, page: Page, api: Api, path: str, run: str) -> None:
    page.add_init_script(HEARD)
    page.clock.install()
    show(page, path)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    known = {**api.get(f"/v1/runs/{run}"), "context": None}
    hours(page, known, 5)
    early = kept(session)
    hours(page, known, HOURS)
    # What one event leaves behind would be there HOURS times. The browser collects when it likes: it is asked again.
    for _ in range(100):
        more = {name: count - early[name] for name, count in kept(session).items() if count >= early[name] + HOURS}
        if not more:
            break
        page.wait_for_timeout(100)
    assert more == {}


def test_the_page_of_a_run_keeps_no_more_after_many_events(show: Show, page: Page, api: Api) -> None:
    api.points("long-open", [{**point, "loss": 3.0**step} for step, point in enumerate(falling(40))])
    stays(show, page, api, "/runs/long-open", "long-open")


def test_the_list_keeps_no_more_after_many_events(show: Show, page: Page, api: Api) -> None:
    api.points("long-listed", falling(40))
    stays(show, page, api, "/?order=seen&q=long", "long-listed")
