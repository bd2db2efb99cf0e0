"""Every text that somebody else may write, on every page that shows it: it stays a text, and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote, urlencode

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboard.conftest import ATTACK, NEEDS_CHROMIUM, WAIT_MS, Api, diverging, falling

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=WAIT_MS)
Show = Callable[[Page, str], None]

SHORT = """<img src=x onerror="window.attacked=1">"""
"""Within the 64 characters of a writer's name."""
LINES = [ATTACK, *(f"epoch {n} loss: {2 / n:.4f} <b onclick=x>: 0.5 {SHORT}" for n in range(1, 40))]
TABLE = [
    f'step,loss,"{SHORT.replace(chr(34), chr(34) * 2)}",<script>attacked()</script>',
    *(f"{n},{2 / n},{n},{n}" for n in range(1, 40)),
]
JSON_LINES = [f'{{"step": {n}, "loss": {2 / n}, "<svg onload=window.attacked=1>": 1}}' for n in range(1, 40)]


def nothing_ran(page: Page) -> None:
    assert page.evaluate("window.attacked") is None
    assert page.locator("main img, main script, main b[onclick]").count() == 0


@pytest.fixture(scope="module")
def attacked(api: Api) -> Iterator[str]:
    """A run of two attempts and two writers, whose every name is an attack, beside another of its group."""
    run = "attacked-all-over"
    point = {"layers": {SHORT: 1.0, ATTACK: 2.0}, "metrics": {SHORT: 1.0, f"val_{SHORT}": 0.5}}
    context = {
        "group": ATTACK, "framework": ATTACK, "optimizer": ATTACK, "loss_name": ATTACK, "precision": ATTACK,
        "own": ATTACK, "tags": {SHORT: ATTACK}, "layer_order": [SHORT, ATTACK],
        "facts": {"hidden_activations": [SHORT], "output_activation": SHORT, "normalization": [ATTACK]},
    }  # fmt: skip
    for writer, start in ((SHORT, 1), (SHORT[:-1] + " >", 5)):
        points = [{**one, **point} for one in diverging(20, start)]
        api.post(f"/v1/runs/{run}/points", {"points": points, "writer": writer, "context": context})
    api.points(f"{run}-2", falling(30), group=ATTACK)
    api.post(f"/v1/runs/{run}/finish", {"state": "failed", "error": ATTACK})
    yield run
    for name in (run, f"{run}-2"):  # other tests count what failed
        httpx.delete(f"{api.base}/v1/runs/{name}", timeout=30, trust_env=False).raise_for_status()


def test_a_run_whose_every_name_is_an_attack_is_shown(show: Show, page: Page, attacked: str) -> None:
    show(page, f"/runs/{attacked}")
    expect(page.locator("#verdict")).to_contain_text(f"The run failed of {ATTACK}")
    expect(page.locator("figure", has_text=SHORT).first).to_be_visible()
    page.get_by_role("button", name="Explain").first.click()
    expect(page.locator("figure.explains")).to_be_visible()
    heat = page.locator("figure", has_text="Gradient norm by layer").locator(".plot")
    heat.scroll_into_view_if_needed()
    heat.hover(position={"x": 200, "y": 20})
    nothing_ran(page)
    page.get_by_role("link", name="compare the runs of").click()
    expect(page.locator("#legend")).to_contain_text(attacked)
    expect(page.locator("#what")).to_contain_text(ATTACK)
    nothing_ran(page)


@pytest.mark.parametrize(
    "path",
    [
        "/?" + urlencode({"group": ATTACK, "q": ATTACK, "tag": f"{SHORT}={ATTACK}"}),
        "/?" + urlencode({"group": ATTACK}),
        "/compare?" + urlencode({"runs": ATTACK}),
        "/compare?" + urlencode({"group": SHORT, "run": ATTACK, "scale": ATTACK, "by": ATTACK}),
        "/findings?" + urlencode({"condition": ATTACK, "severity": SHORT}),
        "/runs/attacked-all-over#finding-" + quote(SHORT),
        "/runs/attacked-all-over?" + urlencode({"from": SHORT, "to": ATTACK, "smooth": ATTACK}),
        "/catalogue?" + urlencode({"q": ATTACK}),
        "/login?" + urlencode({"next": f'"><script>window.attacked=1</script>{SHORT}'}),
        "/no/" + quote(SHORT),
        "/catalogue/conditions/" + quote(SHORT),
        "/v1/runs/attacked-all-over/chart.svg",
        "/v1/runs/attacked-all-over/badge.svg",
    ],
)
def test_an_address_runs_nothing(page: Page, api: Api, attacked: str, path: str) -> None:
    page.goto(api.base + path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.attacked") is None
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("log", [LINES, TABLE, JSON_LINES], ids=["console", "table", "JSON lines"])
def test_a_log_whose_lines_and_columns_are_attacks_is_read_and_kept(
    show: Show, page: Page, api: Api, log: list[str]
) -> None:
    show(page, "/paste")
    page.get_by_label("The log", exact=True).fill("\n".join([*log, ATTACK, SHORT]))
    page.get_by_role("button", name="Diagnose").click()
    expect(page.locator("#reading")).to_contain_text("points from")
    for fold in page.locator("#reading summary").all():
        fold.click()
    nothing_ran(page)
    page.get_by_label("Name of the run").fill(f"kept-attack-{len(log[1])}")
    page.get_by_role("button", name="Keep as a run").click()
    page.get_by_role("link", name="Kept as").click()
    page.wait_for_selector("body[data-ready=yes]", state="attached")
    nothing_ran(page)


def test_targets_and_silences_are_shown_as_they_were_named(show: Show, page: Page, api: Api) -> None:
    target = {"kind": "webhook", "url": "https://example.invalid/hook", "name": SHORT, "tags": {SHORT: ATTACK}}
    made = api.post("/v1/targets", target)
    silence = {"matchers": [{"field": "group", "value": ATTACK}], "duration_s": 60, "comment": SHORT}
    api.post("/v1/silences", silence)
    show(page, "/notifications")
    box = page.locator("article", has_text=f"tag {SHORT}")
    expect(box).to_contain_text(SHORT)
    box.get_by_role("button", name="Send a test").click()
    expect(box.locator(".error")).to_contain_text("It did not arrive")
    expect(page.locator("#silences")).to_contain_text(ATTACK)
    nothing_ran(page)
    page.once("dialog", lambda dialog: dialog.accept())
    box.get_by_role("button", name="Remove").click()
    expect(box).to_have_count(0)
    assert made["id"] not in str(api.get("/v1/targets"))
