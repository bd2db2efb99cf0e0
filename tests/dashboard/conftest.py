"""A real service with runs of every kind, and a real browser that looks at it."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from cli.test_connections import running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]
WAIT_MS = 30_000
ATTACK = """<img src=x onerror="window.attacked=1">"'><script>window.attacked=1</script>"""
"""A text that does something wherever it is taken for markup."""


class Api:
    """The service as a client sees it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._client = httpx.Client(base_url=base, timeout=30, trust_env=False)

    def post(self, path: str, body: Any) -> Any:
        answer = self._client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self._client.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def points(self, run: str, points: list[dict[str, Any]], **context: Any) -> Any:
        body = {"points": points, "writer": run, **({"context": context} if context else {})}
        return self.post(f"/v1/runs/{run}/points", body)

    def close(self) -> None:
        self._client.close()


def diverging(steps: int = 20, start: int = 1) -> list[dict[str, Any]]:
    """The loss of gradient descent at 1.44 times its stable learning rate."""
    return [{"step": n, "loss": 450 * 3.55**n, "grad_norm": 900 * 1.88**n} for n in range(start, start + steps)]


def falling(steps: int = 400, seed: int = 0) -> list[dict[str, Any]]:
    """A healthy training, with noise."""
    noise = random.Random(seed)
    return [
        {
            "step": n,
            "loss": (0.2 + 2 * math.exp(-n / 80)) * math.exp(noise.gauss(0, 0.05)),
            "grad_norm": math.exp(noise.gauss(0, 0.1)),
            "learning_rate": 0.01,
            **({"validation_loss": 0.25 + 2 * math.exp(-n / 80)} if n % 20 == 0 else {}),
        }
        for n in range(1, steps + 1)
    ]


def fill(api: Api) -> None:
    """Runs of every kind, one of which has an attack wherever a client may write."""
    api.points("diverging", diverging(), optimizer="sgd", learning_rate=0.01, framework="pytorch", full_batch=True)
    api.points("healthy", falling(), group="sweep", optimizer="adam", tags={"team": "vision"})
    layers = {f"layer{n}": 10.0**-n for n in range(6)}
    sick = [{**point, "layers": layers, "metrics": {"accuracy": 0.5}} for point in falling(40, seed=1)]
    api.points("not-finite", [*sick, {"step": 41, "loss": "NaN"}, {"step": 42, "loss": "Infinity"}], group="sweep")
    attacked = [{**point, "metrics": {ATTACK: 1.0}, "layers": {ATTACK: 1.0}} for point in diverging(8)]
    api.points(
        "attacked", attacked, group=ATTACK, framework=ATTACK, optimizer=ATTACK, loss_name=ATTACK, own=ATTACK,
        tags={ATTACK: ATTACK},
    )  # fmt: skip
    api.post("/v1/runs/attacked/finish", {"state": "failed", "error": ATTACK})
    api.post("/v1/targets", {"kind": "webhook", "url": "https://example.org/hook", "name": ATTACK})
    api.post("/v1/silences", {"matchers": [{"field": "run", "value": ATTACK}], "duration_s": 3600, "comment": ATTACK})


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service with the runs of ``fill``."""
    with running(tmp_path_factory.mktemp("dashboard")) as service:
        api = Api(f"http://{service.address[0]}:{service.address[1]}")
        fill(api)
        yield api
        api.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module alone: while it is there no other event loop can run in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(WAIT_MS)
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab in which nothing may go wrong: no error of a script, nothing that the policy had to refuse."""
    page = context.new_page()
    trouble = watch(page)
    yield page
    assert trouble == []


def watch(page: Page) -> list[str]:
    """What goes wrong in a tab from now on. A connection that is refused is the tests' own doing."""
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "console",
        lambda message: (
            trouble.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text and "net::" not in message.text
            else None
        ),
    )
    return trouble


@pytest.fixture
def show(api: Api) -> Callable[[Page, str], None]:
    """Opens a page, and returns when its script has shown what there is."""

    def show(page: Page, path: str) -> None:
        page.goto(api.base + path)
        page.wait_for_selector("body[data-ready=yes]", state="attached")

    return show
