"""One budget of memory for all requests together: what a body will take is known before it is read."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from losswatch_server.api.http.load import MIB, RequestMemory, Turns, cost_of_log, cost_of_points
from losswatch_server.api.http.problems import BUSY, TOO_LARGE, ProblemError
from losswatch_server.api.routes import series
from losswatch_server.app import create_app
from losswatch_server.codec import read_body
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point
from losswatch_server.runs import StoredPoint, written
from losswatch_server.runs.offline import diagnose_bytes
from losswatch_server.settings import Settings

SIZE = 66_000
Line = Callable[[int], str]


def filled(line: Line, head: str = "", tail: str = "", between: str = "") -> bytes:
    lines = [line(i) for i in range(SIZE // len(line(1000)))]
    return (head + between.join(lines) + tail).encode()


def numbers(count: int) -> str:
    draw = random.Random(count)
    return ",".join(f'"layer.{i}.weight":{draw.random():.6f}' for i in range(count))


LOGS: dict[str, bytes] = {
    "console": filled(lambda i: f"step {i} loss {1 / (1 + i):.6f}\n"),
    "console with long lines": filled(lambda i: f"INFO trainer: step {i} loss {1 / (1 + i):.6f} {'x' * 170}\n"),
    "console with bars": filled(lambda i: f"step {i} loss {1 / (1 + i):.6f} ▕████▏\n"),
    "console with a picture": filled(lambda i: f"step {i} loss {1 / (1 + i):.6f} 🚀\n"),
    "one line again and again": filled(lambda i: "step 1 loss 0.5\n"),
    "CSV": filled(lambda i: f"{i},{1 / (1 + i):.5f}\n", "step,loss\n"),
    "CSV with many columns": filled(
        lambda i: ",".join(f"0.{i + j}" for j in range(40)) + "\n", ",".join(["loss", *map(str, range(39))]) + "\n"
    ),
    "JSON lines": filled(lambda i: f'{{"step":{i},"loss":{1 / (1 + i):.5f}}}\n'),
    "JSON lines with much on each": filled(lambda i: f'{{"step":{i},"loss":0.5,{numbers(60)}}}\n'),
    "JSON columns": filled(lambda i: f"{1 / (1 + i):.5f}", '{"loss":[', "]}", ","),
    "columns of small numbers": filled(lambda i: "1", '{"loss":[', "]}", ","),
    "a trainer's state": filled(lambda i: f'{{"step":{i},"loss":0.5}}', '{"log_history":[', "]}", ","),
    "a bare list": filled(lambda i: f"{i % 7}.5\n"),
    "nothing but lists": filled(lambda i: "[]", "[", "]", ","),
    "nothing but objects": filled(lambda i: "{}", "[", "]", ","),
    "short lines": filled(lambda i: "1\n"),
    "text": filled(lambda i: f"the quick brown fox number {i} jumps\n"),
}
REQUESTS: dict[str, bytes] = {
    "points": filled(lambda i: f'{{"step":{i},"loss":{1 / (1 + i):.5f}}}', '{"points":[', "]}", ","),
    "points with NaN": filled(lambda i: f'{{"step":{i},"loss":NaN}}', '{"points":[', "]}", ","),
    "points with layers": filled(
        lambda i: f'{{"step":{i},"loss":0.5,"layers":{{{numbers(200)}}}}}', '{"points":[', "]}", ","
    ),
    "lists instead of points": filled(lambda i: "[]", '{"points":[', "]}", ","),
    "objects instead of points": filled(lambda i: "{}", '{"points":[', "]}", ","),
    "small numbers instead of points": filled(lambda i: "1", '{"points":[', "]}", ","),
    "a context that does not end": filled(lambda i: f'"{i}":1', '{"points":[],"context":{', "}}", ","),
}


def peak(work: Callable[[bytes], object], raw: bytes) -> int:
    with contextlib.suppress(ValueError):
        work(raw[:2000])  # what is imported and cached once
    tracemalloc.start()
    with contextlib.suppress(ValueError):
        work(raw)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


SLOW = {"columns of small numbers", "short lines", "small numbers instead of points"}
"""Inputs of which nearly every byte becomes a point: seconds under tracemalloc."""


def inputs(*tables: dict[str, bytes]) -> list[Any]:
    return [
        pytest.param(raw, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for table in tables
        for name, raw in table.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("raw", inputs(LOGS, REQUESTS))
def test_a_diagnosis_takes_no_more_memory_than_was_reckoned(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Monitor, "see", lambda monitor, point: None)  # its memory is bounded, and its work slow here
    assert peak(diagnose_bytes, raw) < cost_of_log(raw) + MIB / 8


@pytest.mark.slow
@pytest.mark.parametrize("raw", inputs(REQUESTS))
def test_a_points_request_takes_no_more_memory_than_was_reckoned(raw: bytes) -> None:
    assert peak(read_body, raw) < cost_of_points(raw)


def test_a_request_of_100_000_points_fits_twice_into_the_default() -> None:
    points = [{"step": step, "loss": 0.123456, "grad_norm": 1.5, "learning_rate": 0.01} for step in range(100_000)]
    assert cost_of_points(json.dumps({"points": points}).encode()) < Settings().request_memory_mib * MIB / 2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 60), st.sampled_from([0.0, 0.25, 0.5]))))
def test_all_shares_together_never_exceed_the_whole_and_all_comes_back(steps: list[tuple[int, int, float]]) -> None:
    memory = RequestMemory(100)
    shares = [memory.share() for _ in range(5)]
    for index, size, leave in steps:
        share = shares[index]
        if size < 0:
            share.close()
            continue
        most = 100 - 100 * leave
        if memory.held + size <= most or (size == 0 and share.held <= most):
            share.take(size, leave=leave)
        else:
            held = share.held
            with pytest.raises(ProblemError) as refused:
                share.take(size, leave=leave)
            assert refused.value.kind is (BUSY if held + size <= most else TOO_LARGE)
            assert share.held == held
        assert memory.held == sum(one.held for one in shares) <= 100
    for share in shares:
        share.close()
    assert memory.held == 0


def test_who_comes_when_the_line_is_full_is_sent_away_and_later_served() -> None:
    async def go() -> None:
        turns = Turns(1, 2)
        let_go = asyncio.Event()
        served = 0

        async def work() -> None:
            nonlocal served
            async with turns.turn():
                await let_go.wait()
                served += 1

        line = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as refused:
            await work()
        assert refused.value.kind is BUSY
        let_go.set()
        await asyncio.gather(*line)
        await work()
        assert served == 4

    asyncio.run(go())


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[TestClient]:
    """A service with 16 MiB for all requests."""
    with TestClient(create_app(Settings(data_dir=tmp_path, request_memory_mib=16)), "http://localhost") as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/runs/full/points", "/v1/diagnose"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_does_not_fit_beside_others_is_503_and_fits_when_they_are_done(
    tight: TestClient, path: str, packed: bool
) -> None:
    plain = b'{"points":[{"step":1,"loss":0.5}' + b" " * MIB + b"]}"
    headers = {"Content-Encoding": "gzip"} if packed else {}
    body = gzip.compress(plain) if packed else plain
    others = tight.app.memory.share()  # type: ignore[attr-defined]
    others.take(15 * MIB)
    answer = tight.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (503, "/docs/problems#busy")
    assert answer.headers["retry-after"] == "1"
    others.close()
    assert tight.post(path, content=body, headers=headers).status_code == 200
    assert tight.app.memory.held == 0  # type: ignore[attr-defined]


def test_what_never_fits_is_413_and_says_what_the_operator_can_do(tight: TestClient) -> None:
    answer = tight.post("/v1/diagnose", content=b"step 1 loss 0.5\n" * 100_000)
    assert (answer.status_code, answer.json()["type"]) == (413, "/docs/problems#too-large")
    assert "--request-memory-mib" in answer.json()["detail"]


@pytest.mark.slow
def test_who_sends_too_long_a_log_can_do_what_the_refusal_says(tight: TestClient, tmp_path: Path) -> None:
    lines = [f"step {step} loss {1 + 1 / (step + 1):.4f}" for step in range(100_000)]
    refused = tight.post("/v1/diagnose", content="\n".join(lines))
    assert refused.status_code == 413
    detail = refused.json()["detail"]
    assert "100,000 lines" in detail
    every = int(re.search(r"every (\d+)th", detail)[1])  # type: ignore[index]
    thinned = tight.post("/v1/diagnose", content="\n".join(lines[::every]))
    assert thinned.status_code == 200
    enough = int(re.search(r"--request-memory-mib (\d+)", detail)[1])  # type: ignore[index]
    settings = Settings(data_dir=tmp_path / "larger", request_memory_mib=enough)
    with TestClient(create_app(settings), "http://localhost") as client:
        whole = client.post("/v1/diagnose", content="\n".join(lines))
        assert (whole.status_code, whole.json()["status"]) == (200, thinned.json()["status"])


def test_what_ends_in_a_refusal_gives_its_memory_back(tight: TestClient) -> None:
    for body in (b"{", b'{"points": 1}', b"\xff" * 1000, b""):
        for path in ("/v1/runs/bad/points", "/v1/diagnose", "/v1/targets"):
            assert tight.post(path, content=body).status_code in (400, 415, 422)
            assert tight.post(path, content=body, headers={"Content-Encoding": "gzip"}).status_code in (400, 415, 422)
    assert tight.app.memory.held == 0  # type: ignore[attr-defined]


def test_writing_a_page_of_points_takes_no_more_memory_than_was_reckoned() -> None:
    named = {f"layer.{i}": i / 7 for i in range(40)}
    plain = [StoredPoint(Point(i, loss=1 / (1 + i), grad_norm=1.5), 1, False) for i in range(2000)]
    layered = [StoredPoint(Point(i, loss=1 / (1 + i), layers=named), 1, False) for i in range(300)]
    for points in (plain, layered):
        assert peak(lambda _, points=points: written.json_list(points), b"") < series._chosen(points, None)[1]  # type: ignore[misc]


@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-ndjson"])
def test_who_reads_a_series_or_an_explanation_takes_from_the_same_memory(tight: TestClient, accept: str) -> None:
    body = {"points": [{"step": i, "loss": 1.3 * 3.55**i, "metrics": {"a": 1.0}} for i in range(20)]}
    finding = tight.post("/v1/runs/read/points", json=body).json()["findings"][0]["id"]
    others = tight.app.memory.share()  # type: ignore[attr-defined]
    others.take(16 * MIB - 1000)
    for path in ("/v1/runs/read/points", f"/v1/runs/read/findings/{finding}/explain"):
        answer = tight.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["type"]) == (503, "/docs/problems#busy")
    others.close()
    for path in ("/v1/runs/read/points", f"/v1/runs/read/findings/{finding}/explain"):
        assert tight.get(path, headers={"Accept": accept}).status_code == 200
    assert tight.app.memory.held == 0  # type: ignore[attr-defined]
