"""Delivery over real sockets: crashes, several workers, evil receivers beside good ones."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from alerts.egress.test_client import a_byte_a_moment, never_answers, receiver, redirects_inside, ten_gigabytes
from benchmarks.notifications import crash
from losswatch_server.alerts.egress.redaction import scrub, shown
from losswatch_server.alerts.service import Alerts, AlertSettings
from losswatch_server.runs import Runs
from losswatch_server.store.changes import add_event
from losswatch_server.store.rows import NewEvent
from losswatch_server.store.sqlite import SqliteStore


@pytest.fixture
def folder() -> Iterator[Path]:
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as path:
        yield Path(path)


@pytest.mark.slow
def test_kill_9_loses_nothing_and_copies_only_what_was_sent() -> None:
    """`make bench-notifications` plays 200 rounds."""
    result = crash.measure(rounds=7, seed=3)
    assert set(result.crashes) == set(crash.PLACES)
    assert (result.lost, result.unexplained) == (0, 0)


@asynccontextmanager
async def counting() -> AsyncIterator[tuple[int, list[tuple[float, dict[str, Any], str]]]]:
    got: list[tuple[float, dict[str, Any], str]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        got.append((time.monotonic(), body, headers.get("webhook-id", "")))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with receiver(take) as port:
        yield port, got


async def put(store: SqliteStore, runs: list[str]) -> None:
    def insert(connection: Any) -> None:
        for run in runs:
            finding = {"id": f"f_{run}", "condition": "diverging", "severity": "critical", "summary": "Diverging."}
            body = json.dumps({"run": {"context": {"group": run}}, "finding": finding}).encode()
            event = NewEvent("finding.opened", time.time(), finding["id"], body)
            add_event(connection, "default", f"u-{run}", run, event)

    await store.write(insert)


async def until(condition: Any, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never came so far"
        await asyncio.sleep(0.01)


async def always_429(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 429 Slow Down\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.slow
def test_evil_receivers_delay_nobody_else_and_cost_no_memory(folder: Path) -> None:
    async def go() -> None:
        store = SqliteStore.open(folder)
        settings = AlertSettings(allow_private_targets=True, send_timeout_s=300.0)
        alerts = Alerts(store, Runs(store), settings)
        evil = [never_answers, a_byte_a_moment, ten_gigabytes, redirects_inside, always_429]
        async with AsyncExitStack() as stack, counting() as (port, got):
            for answer in evil:
                bad = await stack.enter_async_context(receiver(answer))
                await alerts.registry.create("default", "webhook", f"http://127.0.0.1:{bad}/x", {})
            await alerts.registry.create("default", "webhook", f"http://127.0.0.1:{port}/good", {})
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await alerts.start()
            await put(store, [f"run-{number}" for number in range(20)])
            alerts.wake()
            await until(lambda: len(got) == 20)  # long before the time limit of those that never answer
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # kB
            await stack.aclose()
            await alerts.stop()
        store.close()

    asyncio.run(go())


@pytest.mark.slow
def test_two_workers_over_one_store_send_each_message_once(folder: Path) -> None:
    async def go() -> None:
        store = SqliteStore.open(folder)
        settings = AlertSettings(allow_private_targets=True, alone=False)
        workers = [Alerts(store, Runs(store), settings) for _ in range(3)]
        async with counting() as (port, got):
            for number in range(4):
                await workers[0].registry.create("default", "webhook", f"http://127.0.0.1:{port}/{number}", {})
            for worker in workers:
                await worker.start()
            for batch in range(10):
                await put(store, [f"run-{batch}-{number}" for number in range(3)])
                for worker in workers:
                    worker.wake()
            await until(lambda: len(got) >= 120)
            for worker in workers:
                await worker.stop()
        copies = Counter(name for _, _, name in got)
        assert set(copies.values()) == {1}
        assert len(copies) == 120
        store.close()

    asyncio.run(go())


def test_no_log_line_and_no_error_shows_the_secret_part_of_a_url(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "T0SECRETPATH/B0/XyZzYwVu"

    async def go() -> list[str]:
        store = SqliteStore.open(folder)
        alerts = Alerts(store, Runs(store), AlertSettings(allow_private_targets=True, send_timeout_s=1))
        seen = []
        for kind in ("webhook", "slack", "discord", "teams", "alertmanager", "pagerduty"):
            key = {"routing_key": secret} if kind == "pagerduty" else {}
            target = await alerts.registry.create(
                "default", kind, f"http://127.0.0.1:9/services/{secret}?sig={secret}", {}, **key
            )
            tried = await alerts.registry.test("default", target.id)
            assert tried.outcome.result != "delivered"
            log = await alerts.registry.log("default", target.id)
            seen += [tried.outcome.detail, repr(target), target.address, target.label, log[0].detail, log[0].attempts]
        await alerts.stop()
        store.close()
        return seen

    with caplog.at_level(logging.DEBUG):
        seen = asyncio.run(go())
    for text in [*seen, caplog.text]:
        assert "SECRETPATH" not in text
        assert "XyZz" not in text


def test_urls_are_shown_by_host_and_tail_alone() -> None:
    assert shown("https://hooks.slack.com/services/T0/B0/abcdWxYz") == "https://hooks.slack.com/…WxYz"
    assert shown("https://example.org/short") == "https://example.org/…"
    assert shown("https://example.org:8443/") == "https://example.org:8443/"
    assert shown("mailto:a@example.org") == "mailto:a@example.org"


LEAKS = [
    "Failed: https://hooks.slack.com/services/T0/B0/SECRET1234567", "whsec_SECRETSECRETSECRET==", "x sig=SECRET&y=1",
    "smtp://user:SECRET@mail.example.org:587 refused", "ntfy://SECRET@host/topic", "routing_key=SECRET",
]  # fmt: skip


@pytest.mark.parametrize("text", LEAKS)
def test_what_looks_like_a_secret_is_cut_out(text: str) -> None:
    assert "SECRET1" not in scrub(text)
    assert "SECRETS" not in scrub(text)
    assert "SECRET@" not in scrub(text)
    assert "=SECRET" not in scrub(text)
