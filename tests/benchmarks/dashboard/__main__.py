"""``make bench-dashboard``: how long people wait for the dashboard, in a real browser, and what listeners cost.

A service of its own gets a run of a million points and a list of many runs. Printed are the median of five: opening the
run, zooming into it, opening the list, the first page of the list from the service alone; and the share of a core that
a hundred open pages cost while nothing happens.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from cli.test_connections import Service, running

TIMES = 5
AT_ONCE = 50_000
LISTENERS, LISTENED_S = 100, 15
WAITS = (("open the long run", 1000), ("zoom into it", 200), ("the first 100 runs of the list", 300))


def fill(client: httpx.Client, points: int, runs: int) -> None:
    """A long noisy run, and many short ones."""
    noise = random.Random(1)
    for start in range(0, points, AT_ONCE):
        losses = (
            {"step": n, "loss": (0.5 + 8 * math.exp(-n / 2e5)) * math.exp(noise.gauss(0, 0.08)), "grad_norm": 1.0}
            for n in range(start, min(points, start + AT_ONCE))
        )
        body = {"points": list(losses), "writer": "long"}
        client.post("/v1/runs/long/points?report=false", json=body).raise_for_status()
    for n in range(runs):
        short = [{"step": step, "loss": 1 / (step + 1)} for step in range(20)]
        client.post(f"/v1/runs/run-{n}/points?project=many&report=false", json={"points": short}).raise_for_status()


def median_ms(work: Callable[[], Any]) -> float:
    """Of ``TIMES`` times, in milliseconds."""
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found)


def shown(page: Page, address: str) -> None:
    """Open a page, until its script has shown what there is."""
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]", state="attached")


def zoomed(page: Page) -> None:
    """Drag over the middle of the loss, until the finer points are there."""
    page.keyboard.press("Escape")
    box = page.locator(".plot").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=2)
    with page.expect_response(lambda answer: "from=" in answer.url) as answered:
        page.mouse.up()
    answered.value.finished()


async def listen(base: str) -> None:
    """As many listeners as open pages, for a while."""

    async def one(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", f"{base}/v1/events", timeout=None) as stream:
            async for _ in stream.aiter_bytes():
                pass

    limits = httpx.Limits(max_connections=LISTENERS)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
        tasks = [asyncio.create_task(one(client)) for _ in range(LISTENERS)]
        await asyncio.sleep(LISTENED_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def processor_s(service: Service) -> float:
    """Seconds of processor time that the service has used."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=10_000)
    given = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data") as service:
        base = f"http://{service.address[0]}:{service.address[1]}"
        with httpx.Client(base_url=base, timeout=120, trust_env=False) as client:
            fill(client, given.points, given.runs)
            first_page = median_ms(lambda: client.get("/v1/runs?project=many&limit=100").raise_for_status())
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            opened = median_ms(lambda: shown(page, f"{base}/runs/long"))
            shown(page, f"{base}/runs/long")
            zoom = median_ms(lambda: zoomed(page))
            browser.close()
        print(f"{given.points:,} points in the long run, {given.runs:,} runs in the list; medians of {TIMES}")
        for (what, aim), took in zip(WAITS, (opened, zoom, first_page), strict=True):
            print(f"{what:<40}{took:8.0f} ms   (aim: {aim} ms)")
        before = processor_s(service)
        asyncio.run(listen(base))
        share = (processor_s(service) - before) / LISTENED_S
        print(f"{f'{LISTENERS} open pages, nothing happens':<40}{100 * share:8.1f} %    of a core (aim: 5 %)")


if __name__ == "__main__":
    main()
