"""The first screen of a run says what matters most, first: somebody who has never seen it finds it within seconds."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dashboard.conftest import NEEDS_CHROMIUM, WAIT_MS, Api, falling
from losswatch_server.dashboard.assets import address

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=WAIT_MS)
Show = Callable[[Page, str], None]


def seen_at_once(page: Page, *words: str) -> None:
    """Above the fold, each of them."""
    for said in words:
        box = page.locator("#verdict").get_by_text(said).first.bounding_box()
        assert box is not None, said
        assert box["y"] + box["height"] < 600, said


def test_a_jump_that_stays_says_that_it_stays_and_is_not_smoothed_into_a_climb(
    show: Show, page: Page, api: Api
) -> None:
    high = [{"step": n, "loss": 9.0 + n % 3 / 10} for n in range(301, 312)]
    api.points("jumped", [*falling(300, seed=3), *high], optimizer="sgd", learning_rate=0.1, framework="keras")
    show(page, "/runs/jumped")
    expect(page.locator("#verdict .headline")).to_contain_text("jumped at step 301")
    seen_at_once(page, "It has not come back: 10 steps so far.", "Look at the batch of step 301")
    expect(page.locator("output[for=smooth]")).to_have_text("0")
    expect(page.locator(".card.of-warning")).to_contain_text("still so at step 311")


def test_of_chance_level_it_is_said_what_that_means(show: Show, page: Page, api: Api) -> None:
    noise = random.Random(3)
    points = [{"step": n, "loss": 2.3026 + noise.gauss(0, 0.01), "grad_norm": 0.5} for n in range(1, 600)]
    api.points("by-chance", points, loss_name="cross_entropy", num_classes=10, framework="pytorch")
    show(page, "/runs/by-chance")
    expect(page.locator("#verdict .headline")).to_contain_text("chance level")
    seen_at_once(page, "Answers by chance give this loss", "Change this", "Most likely")


def test_a_run_that_failed_says_that_before_how_its_curve_was(show: Show, page: Page, api: Api) -> None:
    api.points("out-of-memory", falling(60))
    api.post("/v1/runs/out-of-memory/finish", {"state": "failed", "error": "CUDA out of memory"})
    show(page, "/runs/out-of-memory")
    expect(page.locator("#verdict .headline")).to_have_text("The run failed of CUDA out of memory.")
    expect(page.locator("#verdict")).to_contain_text("Healthy: the loss went from")
    expect(page.locator("#verdict")).not_to_have_class(re.compile("of-healthy"))
    api.post("/v1/runs/out-of-memory/finish", {"state": "cancelled"})  # other tests count what failed


def test_a_comparison_names_what_sets_the_runs_apart(show: Show, page: Page, api: Api) -> None:
    for rate in (0.1, 0.01):
        api.points(f"rate-{rate}", falling(30), group="rates", learning_rate=rate, batch_size=32)
    show(page, "/compare?group=rates")
    expect(page.locator("#legend li", has_text="rate-0.01")).to_contain_text("learning rate 0.01")
    expect(page.locator("#legend")).not_to_contain_text("batch size")


def test_the_list_of_findings_says_which_number_to_change(show: Show, page: Page) -> None:
    show(page, "/findings?condition=diverging")
    row = page.locator("tbody tr", has=page.get_by_role("link", name="diverging", exact=True))
    expect(row).to_contain_text("Lower the learning rate from 0.01 to about 0.00347")


@pytest.mark.parametrize(
    ("names", "short"),
    [
        ([f"blocks.{n}.mlp.weight" for n in range(3)], ["0", "1", "2"]),
        (["encoder.a.weight", "encoder.a.bias"], ["weight", "bias"]),
        (["fc", "fc.weight"], ["fc", "fc.weight"]),
        (["conv1/kernel", "conv2/kernel"], ["conv1", "conv2"]),
        (["alone.weight"], ["alone.weight"]),
        (["a", "b.c"], ["a", "b.c"]),
    ],
)
def test_layers_are_named_by_what_tells_them_apart(show: Show, page: Page, names: list[str], short: list[str]) -> None:
    show(page, "/catalogue")
    told: Any = page.evaluate(
        "async ([script, names]) => (await import(script)).toldApart(names)", [address("chart/heatmap.js"), names]
    )
    assert told == short


@pytest.mark.parametrize(
    ("value", "told"), [(3250.9, "3,251"), (999.4, "999.4"), (-1234.4, "−1,234"), (0.00347, "0.00347")]
)
def test_numbers_are_grouped_as_the_report_groups_them(show: Show, page: Page, value: float, told: str) -> None:
    show(page, "/catalogue")
    script = "async ([script, value]) => (await import(script)).number(value)"
    assert page.evaluate(script, [address("format.js"), value]) == told
