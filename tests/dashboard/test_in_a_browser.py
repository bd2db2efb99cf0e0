"""The pages in a real browser: what is shown, that it follows, and that a text of a client stays a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dashboard.conftest import ATTACK, NEEDS_CHROMIUM, WAIT_MS, Api, diverging, falling

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=WAIT_MS)
Show = Callable[[Page, str], None]

PAGES = ["/", "/runs/diverging", "/runs/not-finite", "/runs/attacked", "/compare?group=sweep", "/findings", "/paste",
         "/catalogue", "/catalogue/conditions/diverging", "/notifications", "/?project=empty",
         "/runs/nothing"]  # fmt: skip
TOO_SMALL = """[...document.querySelectorAll("button, select, input, textarea, summary, a.button, nav a")]
  .map(node => [node.closest("label") ?? node, node.getBoundingClientRect()])
  .filter(([node, box]) => box.width && node.checkVisibility() && !node.closest(".hidden, dialog, noscript"))
  .map(([node]) => [node.outerHTML.slice(0, 120), node.getBoundingClientRect()])
  .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
  .map(([html, box]) => `${html} ${box.width} x ${box.height}`)"""
"""What a finger would miss: controls of less than 44 pixels."""
LIVE_WORDS = re.compile("^live$")


def test_a_diverging_run_says_what_is_wrong_and_which_number_to_change(show: Show, page: Page) -> None:
    show(page, "/runs/diverging")
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("critical")
    expect(verdict.locator(".headline")).to_contain_text("diverging")
    expect(verdict.locator("code")).to_have_text('for group in optimizer.param_groups: group["lr"] = 0.00347')
    assert page.title().startswith("✕ diverging")
    card = page.locator(".card.of-critical")
    expect(card.locator(".cause .top").first).to_contain_text("Learning rate too high")
    expect(card).to_contain_text("found at step 5")
    loss = page.locator("figure", has_text="Loss").locator(".plot")
    expect(loss).to_have_attribute("aria-label", re.compile("Loss; between .* diverging from step"))


def test_what_is_not_finite_is_marked_and_layers_and_metrics_are_drawn(show: Show, page: Page) -> None:
    show(page, "/runs/not-finite")
    expect(page.locator(".plot").first).to_have_attribute(
        "aria-label", re.compile("2 values are not finite, the first at step 41")
    )
    expect(page.locator("figure", has_text="Gradient norm by layer")).to_be_visible()
    expect(page.locator("figure", has_text="accuracy")).to_be_visible()


def test_explain_draws_the_statistic_under_the_curve(show: Show, page: Page) -> None:
    show(page, "/runs/diverging")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("figure.explains canvas")).to_be_visible()
    expect(page.locator("#charts")).to_contain_text("It alarms when all of these hold")
    page.get_by_role("button", name="Hide the statistic").click()
    expect(page.locator("figure.explains")).to_have_count(0)


def test_a_stretch_that_is_dragged_over_is_seen_finer_and_the_address_keeps_it(show: Show, page: Page) -> None:
    show(page, "/runs/healthy")
    plot = page.locator(".plot").first
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 90, steps=4)
    with page.expect_response(lambda answer: "/points?" in answer.url and "from=" in answer.url):
        page.mouse.up()
    expect(page.locator("#range")).to_have_text(re.compile(r"steps 1\d\d to 2\d\d"))
    assert "from=" in page.url
    page.locator("#log").check()
    page.reload()
    page.wait_for_selector("body[data-ready=yes]", state="attached")
    expect(page.locator("#range")).to_have_text(re.compile(r"steps 1\d\d to 2\d\d"))
    expect(page.locator("#log")).to_be_checked()
    page.locator("#reset").click()
    expect(page.locator("#range")).to_contain_text("drag")
    assert "from=" not in page.url


def test_a_finding_is_acknowledged_and_muted(show: Show, page: Page, api: Api) -> None:
    api.points("noisy", diverging(6))
    show(page, "/runs/noisy")
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.locator(".card .badge", has_text="acknowledged")).to_be_visible()
    page.get_by_label("Mute for").select_option("an hour")
    expect(page.locator(".card .badge", has_text="muted")).to_be_visible()
    (finding,) = api.get("/v1/runs/noisy/findings")["findings"]
    assert finding["acknowledged_at"]
    assert finding["muted_until"]


def test_runs_appear_and_change_while_they_are_looked_at(show: Show, page: Page, api: Api) -> None:
    show(page, "/?q=arriving")
    expect(page.locator("#more")).to_contain_text("No run fits")
    expect(page.locator("#live")).to_have_text(LIVE_WORDS)
    api.points("arriving", falling(20))
    row = page.locator("tr", has_text="arriving")
    expect(row).to_contain_text("healthy")
    api.points("arriving", [{"step": 21, "loss": "NaN"}, {"step": 22, "loss": "NaN"}])
    expect(row).to_contain_text("critical")
    show(page, "/runs/arriving")
    expect(page.locator("#facts")).to_contain_text("step 22")
    expect(page.locator("#live")).to_have_text(LIVE_WORDS)
    api.points("arriving", falling(40)[22:])
    expect(page.locator("#facts")).to_contain_text("step 40")


def test_filters_are_in_the_address_and_the_keyboard_walks_the_list(show: Show, page: Page) -> None:
    show(page, "/")
    page.keyboard.press("/")
    page.keyboard.type("healthy")
    expect(page.locator("#runs tbody tr")).to_have_count(1)
    assert page.url.endswith("?q=healthy")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_contain_text("healthy")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/healthy")
    show(page, "/?status=critical")
    expect(page.locator("#runs tbody tr").filter(has_not_text="critical")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/findings")


def test_a_log_is_diagnosed_its_columns_chosen_and_kept(show: Show, page: Page, api: Api) -> None:
    show(page, "/paste")
    lines = [f"{n},{450 * 3.55**n},{1 / n},{ATTACK}" for n in range(1, 15)]
    page.get_by_label("The log").fill("\n".join(["step,loss,other,note", *lines]))
    before = len(api.get("/v1/runs")["runs"])
    page.get_by_role("button", name="Diagnose").click()
    expect(page.locator("#result .headline")).to_contain_text("diverging")
    expect(page.locator("#result figure").first).to_be_visible()
    assert len(api.get("/v1/runs")["runs"]) == before
    page.locator("#reading summary").click()
    for name, role in (("step", "step"), ("loss", "loss"), ("other", "")):
        expect(page.get_by_label(f"{name} is")).to_have_value(role)
    page.get_by_label("other is").select_option("loss")
    expect(page.locator("#reading")).to_contain_text("'other' as loss")
    expect(page.locator("#result .headline")).not_to_contain_text("diverging")
    expect(page.get_by_label("other is")).to_be_focused()
    page.get_by_label("loss is", exact=True).select_option("gradient_norm")
    expect(page.locator("#reading")).to_contain_text("'loss' as gradient norm")
    page.get_by_role("button", name="Read it as at first").click()
    expect(page.locator("#reading")).to_contain_text("'loss' as loss")
    page.get_by_label("Name of the run").fill("kept-log")
    page.get_by_role("button", name="Keep as a run").click()
    page.get_by_role("link", name="Kept as kept-log").click()
    page.wait_for_selector("body[data-ready=yes]", state="attached")
    expect(page.locator("#verdict .headline")).to_contain_text("diverging")
    assert api.get("/v1/runs/kept-log")["points"] == 14
    assert page.evaluate("window.attacked") is None


def test_a_target_is_added_tested_and_removed(show: Show, page: Page) -> None:
    show(page, "/notifications")
    page.get_by_label("Kind").select_option("webhook")
    page.get_by_label("Address").fill("https://losswatch.invalid/hook")
    page.get_by_label("Name").fill("nobody")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#add")).to_contain_text("whsec_")
    target = page.locator("article", has_text="nobody")
    target.get_by_role("button", name="Send a test").click()
    expect(target).to_contain_text("It did not arrive")
    target.get_by_role("button", name="Deliveries").click()
    expect(target.locator("table")).to_contain_text("failed")
    page.on("dialog", lambda dialog: dialog.accept())
    target.get_by_role("button", name="Remove").click()
    expect(target).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/runs/attacked", "/compare?group=sweep", "/findings", "/notifications"])
def test_a_text_of_a_client_stays_a_text(show: Show, page: Page, path: str) -> None:
    show(page, path)
    assert page.evaluate("window.attacked") is None
    assert page.locator("img").count() == 0
    if path in ("/runs/attacked", "/notifications"):
        expect(page.locator("main")).to_contain_text(ATTACK)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (320, "dark")])
def test_every_page_fits_and_can_be_used_by_everybody(browser: Browser, api: Api, width: int, scheme: str) -> None:
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        for path in PAGES:
            page.goto(api.base + path)
            page.wait_for_selector("body[data-ready=yes]", state="attached")
            if width < 700:
                assert page.evaluate(TOO_SMALL) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
            serious = [
                (one["id"], node["html"][:200], node.get("failureSummary", "")[:200])
                for one in found
                if one["impact"] in ("serious", "critical")
                for node in one["nodes"][:3]
            ]
            assert serious == [], path


def test_dark_and_light_are_chosen_and_kept(show: Show, page: Page) -> None:
    show(page, "/")
    first = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    chosen = page.evaluate("document.documentElement.dataset.theme")
    assert {first, chosen} == {"light", "dark"}
    show(page, "/findings")
    assert page.evaluate("document.documentElement.dataset.theme") == chosen


def test_the_runs_of_a_group_are_compared(show: Show, page: Page) -> None:
    show(page, "/?group=sweep")
    page.locator("#compare").click()
    page.wait_for_selector("body[data-ready=yes]", state="attached")
    expect(page.locator("#legend li").first).to_contain_text("not-finite")
    expect(page.locator("#legend li")).to_have_count(2)
    page.get_by_label("Aligned by").select_option("share")
    assert "by=share" in page.url


def test_a_group_without_runs_says_so_in_place_of_an_empty_chart(show: Show, page: Page, api: Api) -> None:
    show(page, "/compare?group=nobody")
    expect(page.locator("#left-out")).to_contain_text("No run of this project is in the group nobody")
    expect(page.locator("#chart")).to_be_hidden()
    api.points("somebody", falling(40), group="nobody")
    expect(page.locator("#chart")).to_be_visible()
    show(page, "/compare")
    expect(page.locator("#left-out")).to_contain_text("Which runs?")


@pytest.mark.parametrize("before", ["", "/mlflow/default/"])
def test_the_link_that_an_mlflow_client_prints_leads_to_the_run(page: Page, api: Api, before: str) -> None:
    page.goto(f"{api.base}{before or '/'}#/experiments/0/runs/diverging")
    page.wait_for_url(re.compile("/runs/diverging"))
    expect(page.locator("#verdict")).to_contain_text("critical")


def test_on_a_phone_the_worst_run_comes_first_and_little_stands_before_it(browser: Browser, api: Api) -> None:
    phone = {"width": 320, "height": 640}
    with browser.new_context(viewport=phone, has_touch=True, is_mobile=True) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.goto(f"{api.base}/")
        page.wait_for_selector("body[data-ready=yes]", state="attached")
        first = page.locator("#runs tbody tr").first
        expect(first).to_contain_text("critical")
        box = first.bounding_box()
        assert box is not None
        assert box["y"] < 200
        expect(page.get_by_label("State")).to_be_hidden()
        page.get_by_role("button", name="Filters").tap()
        page.get_by_label("State").select_option("failed")
        expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()
        expect(page.locator("#runs tbody tr")).to_have_count(1)
        expect(page.get_by_role("link", name="Catalogue")).to_be_hidden()
        page.get_by_role("button", name="Menu").tap()
        expect(page.get_by_role("link", name="Catalogue")).to_be_visible()
        page.goto(f"{api.base}/runs/healthy")
        page.wait_for_selector("body[data-ready=yes]", state="attached")
        page.locator(".plot").first.tap()
        expect(page.locator(".tip").first).to_contain_text("step ")
        expect(page.locator(".tip").first).to_contain_text("loss")


def test_a_heading_orders_the_list_and_the_address_keeps_it(show: Show, page: Page) -> None:
    show(page, "/")
    page.get_by_role("button", name="Status", exact=True).click()
    expect(page.locator("#runs tbody tr").first).to_contain_text("critical")
    expect(page.get_by_role("columnheader", name="Status")).to_have_attribute("aria-sort", "descending")
    assert "order=status" in page.url


def a_floor(causes: tuple[float, float]) -> dict[str, Any]:
    """A report on a loss that has levelled off, whose two causes have these probabilities."""
    named = zip(("insufficient_capacity", "missing_nonlinearity"), causes, strict=True)
    return {
        "condition": "plateau", "severity": "warning", "evidence": {"level": 0.00568, "chance_level": None},
        "summary": "The loss stopped falling.", "onset_step": 300, "opened_step": 400, "resolved_step": None,
        "causes": [
            {"cause": name, "probability": share, "because": [], "against": [], "check": "Double the width."}
            for name, share in named
        ],
        "advice": [{"action": "increase_capacity", "value": 4, "summary": "Widen it.", "reference": None}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("causes", "said"), [((0.4, 0.3), "the curve cannot tell these two apart"), ((0.6, 0.3), "Most likely")]
)
def test_a_floor_asks_whether_it_is_good_enough_and_a_tie_is_no_order(
    show: Show, page: Page, api: Api, causes: tuple[float, float], said: str
) -> None:
    real = api.get("/v1/runs/diverging/report")
    finding = {**real["findings"][0], **a_floor(causes)}
    report = {**real, "status": "warning", "action": "look", "headline": finding["summary"], "findings": [finding]}
    page.route("**/v1/runs/diverging/report", lambda route: route.fulfill(json=report))
    show(page, "/runs/diverging")
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("If 0.00568 is good enough")
    expect(verdict).to_contain_text("It has converged, and the run is done.")
    expect(verdict).to_contain_text(said)
    expect(verdict).to_contain_text("Double the width.")
