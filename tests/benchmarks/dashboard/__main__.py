"""``make bench-dashboard``: how long people wait for the dashboard, in a real browser, and what listeners cost.

A service of its own gets a run of a million points and a list of many runs. Printed are medians: opening the run with
an empty cache and again, zooming into it, the list, the first page of the list from the service alone; the weight of a
page; and the share of a core that a hundred listeners, which is what an open page is to the service, cost while nothing
happens and beside twenty runs that report once a second, without what those runs cost themselves.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from cli.test_connections import Service, running
from losswatch_server.dashboard.assets import assets, imported

TIMES = 7
AT_ONCE, TOGETHER = 50_000, 8
LISTENERS, LISTENED_S, LIVE_RUNS = 100, 10, 20
SETTLED_S, TURNS = 2, 3
PATIENCE_MS = 120_000
DRAWN = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
"""Resolves when what the page has drawn can be seen."""


def fill(base: str, points: int, runs: int) -> None:
    """A long noisy run, and many short ones."""
    noise = random.Random(1)
    with httpx.Client(base_url=base, timeout=300, trust_env=False) as client:
        for start in range(0, points, AT_ONCE):
            losses = (
                {"step": n, "loss": (0.5 + 8 * math.exp(-n / 2e5)) * math.exp(noise.gauss(0, 0.08)), "grad_norm": 1.0}
                for n in range(start, min(points, start + AT_ONCE))
            )
            body = {"points": list(losses), "writer": "long"}
            client.post("/v1/runs/long/points?report=false", json=body).raise_for_status()

        def short(n: int) -> None:
            body = {"points": [{"step": step, "loss": 1 / (step + 1)} for step in range(6)]}
            client.post(f"/v1/runs/run-{n}/points?project=many&report=false", json=body).raise_for_status()

        with ThreadPoolExecutor(TOGETHER) as pool:
            for _ in pool.map(short, range(runs)):
                pass


def median_ms(work: Callable[[], Any], times: int = TIMES) -> float:
    """Of so many times, in milliseconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found)


def shown(page: Page, address: str) -> None:
    """Open a page, until what there is can be seen."""
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]", state="attached")
    page.evaluate(DRAWN)


def shown_first(browser: Browser, address: str) -> float:
    """The same in a browser that has nothing in its cache; in milliseconds, without the browser's own start."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        began = time.perf_counter()
        shown(page, address)
        return 1000 * (time.perf_counter() - began)


def zooms(page: Page) -> Iterator[float]:
    """Drag over the middle of the loss: from the hand's leaving until the finer points are seen, in milliseconds."""
    for _ in range(TIMES):
        page.keyboard.press("Escape")
        box = page.locator(".plot").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=2)
        with page.expect_response(lambda answer: "from=" in answer.url) as answered:
            began = time.perf_counter()
            page.mouse.up()
        answered.value.finished()
        page.evaluate(DRAWN)
        yield 1000 * (time.perf_counter() - began)
        page.locator("#reset").click()
        page.wait_for_timeout(300)


async def listen(service: Service, base: str, listeners: int, live: int) -> float:
    """What listeners cost that are there already, beside runs that report once a second each, as a percentage of a
    core."""

    async def one(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", f"{base}/v1/events?project=heard", timeout=None) as stream:
            async for _ in stream.aiter_bytes():
                pass

    async def report(client: httpx.AsyncClient, run: int) -> None:
        await asyncio.sleep(run / live)
        for step in range(int(time.time()), 1 << 62):
            body = {"step": step, "loss": 1 / step}
            await client.post(f"{base}/v1/runs/live-{run}/points?project=heard&report=false", json=body)
            await asyncio.sleep(1)

    limits = httpx.Limits(max_connections=LISTENERS + LIVE_RUNS)
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:
        tasks = [asyncio.create_task(one(client)) for _ in range(listeners)]
        tasks += [asyncio.create_task(report(client, run)) for run in range(live)]
        await asyncio.sleep(SETTLED_S)
        before, began = processor_s(service), time.perf_counter()
        await asyncio.sleep(LISTENED_S)
        found = 100 * (processor_s(service) - before) / (time.perf_counter() - began)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


def processor_s(service: Service) -> float:
    """Seconds of processor time that the service has used."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def shares_of_core(service: Service, base: str) -> Iterator[tuple[float, float, float]]:
    """Of idle listeners, of runs that report, and of both, in turns."""
    for _ in range(TURNS):
        yield (
            asyncio.run(listen(service, base, LISTENERS, 0)),
            asyncio.run(listen(service, base, 0, LIVE_RUNS)),
            asyncio.run(listen(service, base, LISTENERS, LIVE_RUNS)),
        )


def weight(page: str) -> tuple[float, float]:
    """Kilobytes that a page loads without its charts, and those of the charts, uncompressed."""
    names = {page, "style.css", "theme.js", "icon.svg", "code-changes.json", *imported(page)}
    sizes = {name: len(assets()[name].content) / 1000 for name in names}
    charts = sum(size for name, size in sizes.items() if name.startswith("chart/"))
    return sum(sizes.values()) - charts, charts


def say(what: str, value: float, unit: str, aim: str = "") -> None:
    print(f"{what:<52}{value:9.1f} {unit:<12}{f'(aim: {aim})' if aim else ''}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=10_000)
    given = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data") as service:
        base = f"http://{service.address[0]}:{service.address[1]}"
        began = time.perf_counter()
        fill(base, given.points, given.runs)
        print(f"{given.points:,} points in the long run, {given.runs:,} runs in the list: {_since(began)} to fill")
        print(f"medians of {TIMES}; a core is one of the processor's")
        with httpx.Client(base_url=base, timeout=120, trust_env=False) as client:
            for order in ("created", "status", "seen"):
                path = f"/v1/runs?project=many&limit=100&order={order}"
                took = median_ms(lambda path=path: client.get(path).raise_for_status())  # type: ignore[misc]
                say(f"service: the first 100 runs of the list, by {order}", took, "ms", "300 ms")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            first = statistics.median(shown_first(browser, f"{base}/runs/long") for _ in range(TIMES))
            say("browser: open the long run, nothing in the cache", first, "ms", "1000 ms")
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(PATIENCE_MS)
            shown(page, f"{base}/runs/long")
            say("browser: open it again", median_ms(lambda: shown(page, f"{base}/runs/long")), "ms", "1000 ms")
            say("browser: zoom into it", statistics.median(zooms(page)), "ms", "200 ms")
            say("browser: open the list", median_ms(lambda: shown(page, f"{base}/?project=many")), "ms", "")
            browser.close()
        own, charts = weight("run.js")
        say("weight of a run's page without its charts", own, "kB", "150 kB")
        say("the charts", charts, "kB")
        idle, alone, both = map(statistics.median, zip(*shares_of_core(service, base), strict=True))
        say(f"{LISTENERS} open pages, nothing happens", idle, "% of a core", "5 %")
        say(f"{LIVE_RUNS} runs report, nobody looks", alone, "% of a core")
        say(f"{LISTENERS} open pages beside them, on top of that", both - alone, "% of a core", "5 %")
        print(f"{_since(began)} in all")


def _since(began: float) -> str:
    return f"{time.perf_counter() - began:.0f} s"


if __name__ == "__main__":
    main()
