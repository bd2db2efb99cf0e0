"""The benchmark runs and measures every cell. Speed itself is judged by ``make bench``, on a quiet machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.ingest.__main__ import measure
from benchmarks.ingest.beside import Beside, beside, beside_ratio
from benchmarks.ingest.beside import text as beside_text
from benchmarks.ingest.load import Sample
from benchmarks.ingest.peers import HISTORY, TrackioClient
from benchmarks.ingest.stages import WRITER, measured
from benchmarks.ingest.stages import text as stages_text
from benchmarks.ingest.table import Ratio, medians, text


@pytest.mark.slow
def test_the_benchmark_measures_every_server_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]))
    samples, kept, live = measure(
        seconds=0.2,
        rounds=1,
        connections=[1, 8],
        hogs=False,
        history=100,
        sizes=[1, 100],
        live=20,
        peers=sys.executable,
    )
    assert kept is None
    assert live is not None
    assert 0 < live.requests <= 20 * (live.seconds + 1)
    assert {(s.server, s.points, s.connections) for s in samples} == {
        (server, points, connections)
        for server in ("echo", "transaction", "losswatch")
        for points in (1, 100)
        for connections in (1, 8)
    }
    assert all(sample.requests > 0 and sample.cpu_s > 0 for sample in samples)
    shown = text(samples, kept, live)
    assert "of as many runs" in shown
    assert "losswatch" in shown
    assert "p50, one connection" in shown
    assert "trackio is not measured here" in shown, "nor could it be started: this Python has none"
    assert len(medians(samples)) == 12


def test_a_peer_that_is_there_is_measured_in_the_same_turns() -> None:
    def sample(server: str, points: int, connections: int, cpu_s: float) -> Sample:
        return Sample(server=server, connections=connections, points=points, requests=100, seconds=2, cpu_s=cpu_s,
                      p50_ms=1, p99_ms=2)  # fmt: skip

    cells = [(points, connections) for points in (1, 100) for connections in (1, 8, 64)]
    samples = [sample(server, *cell, 0.1) for server in ("echo", "losswatch") for cell in cells]
    assert "/ trackio (its share)" in text(samples, None)
    samples += [sample("trackio", *cell, 0.9) for cell in cells] + [
        sample("mlflow", points, 8, 3) for points in (1, 100)
    ]
    shown = text(samples, None)
    assert "  the same, / trackio                                   9.00" in shown
    assert "8 connections, / trackio: 9.0 one by one, 9.0 by the hundred." in shown
    assert "8 connections, / mlflow: 30.0 one by one, 30.0 by the hundred." in shown


def test_points_are_sent_to_a_peer_as_its_own_client_sends_them() -> None:
    async def body() -> Any:
        client = TrackioClient(2, "secret")
        head, _, raw = client._request(2).partition(b"\r\n\r\n")
        assert b"X-Trackio-Write-Token: secret" in head
        assert int(head.rpartition(b"Content-Length: ")[2]) == len(raw)
        return json.loads(raw)["logs"]

    logs = asyncio.run(body())
    assert [log["step"] for log in logs] == [HISTORY, HISTORY + 1]
    assert all(log["metrics"].keys() == {"loss", "grad_norm"} and log["project"] == "bench" for log in logs)


@pytest.mark.slow
def test_posts_are_measured_beside_heavy_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]))
    found = beside(seconds=0.5, points=2000, log_bytes=100_000, runs=8)
    assert [one.done > 0 for one in found] == [True] * 3
    assert all(one.alone.requests > 0 and one.beside.requests > 0 for one in found)
    shown = beside_text(found)
    assert "bodies of 2,000 points" in shown
    assert shown.count("/ alone") == 3


def test_a_ratio_beside_streams_has_a_target_of_its_own() -> None:
    sample = Sample(server="x", connections=1, points=1, requests=9, seconds=2, cpu_s=0.5, p50_ms=1, p99_ms=2)
    slower = replace(sample, p99_ms=8)
    found = [Beside(work=work, alone=sample, beside=slower, done=1) for work in ("4 streams of a run", "2 diagnoses")]
    assert [(one.ratio, beside_ratio(one).verdict) for one in found] == [(4.0, "MISSED"), (4.0, "must")]


def test_the_stages_of_a_request_add_up_to_it() -> None:
    (found,) = measured(((10, 8, "spiked", 2),))
    assert found.spent_us["judge (fold)"] > 0
    assert found.spent_us[WRITER] > 0
    assert all(spent >= 0 for spent in found.spent_us.values())
    shown = stages_text([found])
    assert "10 pts, spiked" in shown
    assert f"{found.total_us:.0f}" in shown


@pytest.mark.parametrize(
    ("value", "more", "verdict"),
    [(1.0, True, "aim"), (0.6, True, "must"), (0.4, True, "MISSED"), (0.4, False, "aim"), (2.0, False, "MISSED")],
)
def test_a_ratio_is_judged_by_its_targets(value: float, more: bool, verdict: str) -> None:
    assert Ratio("x", value, 0.5, 0.9 if more else 0.5, more).verdict == verdict


def test_requests_are_counted_by_the_clock_and_by_the_processor() -> None:
    sample = Sample(server="x", connections=1, points=1, requests=100, seconds=2, cpu_s=0.5, p50_ms=1, p99_ms=2)
    assert (sample.per_second, sample.per_cpu_second) == (50, 200)
