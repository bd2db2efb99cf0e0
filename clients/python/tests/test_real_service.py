"""The client, and plain curl, requests and urllib, against the real service."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import losswatch

POINTS = [{"step": step, "loss": 3.55**step} for step in range(1, 21)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service as its users start it."""
    data = tmp_path_factory.mktemp("data")
    process = subprocess.Popen(
        [sys.executable, "-m", "losswatch_server", "serve", "--port", "0", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    yield found.group()
    process.terminate()
    process.communicate(timeout=60)


def get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url) as answer:
        body: dict[str, Any] = json.load(answer)
    return body


def train_until_told_to_stop(run: losswatch.Run) -> None:
    with run:
        for point in POINTS:
            run.log(point["step"], loss=point["loss"], grad_norm=1.0)
            assert run.flush(60)
            if run.should_stop:
                raise KeyboardInterrupt


FORKS = """
import os, sys, losswatch
run = losswatch.Run("{name}", url="{url}", quiet=True, flush_interval=60)
for step in range(100):
    run.log(step, loss=1.0)
child = os.fork()
if child == 0:
    for step in range({first}, {first} + 100):
        run.log(step, loss=7.0)
    sys.exit(0)
os.waitpid(child, 0)
for step in range(100, 150):
    run.log(step, loss=1.0)
run.finish()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "first"), [("forked-before", 50), ("forked-past", 100), ("forked-far-past", 1000)])
def test_what_a_parent_logs_stays_the_run_whatever_its_forked_child_logs(url: str, name: str, first: int) -> None:
    code = FORKS.replace("{name}", name).replace("{url}", url).replace("{first}", str(first))
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    points = get(f"{url}/v1/runs/{name}/points")["points"]
    stand = {point["step"]: point["loss"] for point in points if not point["superseded"]}
    assert {step: stand.get(step) for step in range(150)} == dict.fromkeys(range(150), 1.0)


def test_a_diverging_run_is_told_to_stop_and_the_run_ends_as_cancelled(url: str) -> None:
    run = losswatch.Run("diverging", url=url, quiet=True, learning_rate=0.01)
    with pytest.raises(KeyboardInterrupt):
        train_until_told_to_stop(run)
    report = get(f"{url}/v1/runs/diverging/report")
    assert (report["status"], report["action"], report["state"]) == ("critical", "stop", "cancelled")
    assert report["points"] < 20
    assert run.report is not None
    assert run.report["headline"] == report["headline"]


def test_the_exception_that_leaves_a_with_block_is_what_the_run_failed_of(url: str) -> None:
    def train() -> None:
        with losswatch.Run("crashes", url=url, quiet=True) as run:
            run.log(1, loss=0.5)
            raise RuntimeError("CUDA out of memory, token=abc")

    with pytest.raises(RuntimeError):
        train()
    for path in ("runs/crashes", "runs/crashes/report"):
        told = get(f"{url}/v1/{path}")
        assert (told["state"], told["error"]) == ("failed", "RuntimeError: CUDA out of memory, token=[redacted]")
    with losswatch.Run("crashes", url=url, quiet=True) as run:
        run.log(2, loss=0.5)
    assert get(f"{url}/v1/runs/crashes")["error"] is None


def test_every_kind_of_value_comes_back_as_it_was_sent(url: str) -> None:
    run = losswatch.Run("values", url=url, quiet=True, tags={"team": "vision"}, dropout=0.1, layers_of=(1, 2))
    run.log(1, loss=0.1, grad_norm=1e300, layers={"a": 1e-300}, metrics={"accuracy": 0.5}, epoch=1)
    run.log(2, loss=math.inf, grad_norm=math.nan, accuracy=0.75)
    run.finish()
    points = get(f"{url}/v1/runs/values/points")["points"]
    first, second = ({name: value for name, value in point.items() if value is not None} for point in points)
    assert (first["loss"], first["grad_norm"], first["layers"]) == (0.1, 1e300, {"a": 1e-300})
    assert (second["loss"], second["grad_norm"], second["metrics"]) == ("Infinity", "NaN", {"accuracy": 0.75})
    context = get(f"{url}/v1/runs/values")["context"]
    assert (context["tags"], context["dropout"]) == ({"team": "vision"}, 0.1)


def test_a_resume_in_a_new_process_is_a_new_attempt_even_with_equal_values(url: str) -> None:
    first = losswatch.Run("resumed", url=url, quiet=True)
    for step in range(1, 31):
        first.log(step, loss=1.0 / step)
    first.finish()
    second = losswatch.Run("resumed", url=url, quiet=True)
    for step in range(21, 31):
        second.log(step, loss=1.0 / step)
    second.finish()
    assert second.report is not None
    assert (second.report["attempt"], second.report["points"]) == (2, 30)


@pytest.mark.slow
def test_what_was_spooled_while_the_service_was_away_fills_the_gap(url: str, tmp_path: Path) -> None:
    run = losswatch.Run("gap", url=url, quiet=True, flush_interval=0.01, spool_dir=tmp_path)
    run.log(1, loss=1.0)
    assert run.flush(60)
    sender = run._sender
    assert sender is not None
    sender._transport.url = "http://127.0.0.1:9"  # nobody listens there
    sender._transport.close()
    for step in range(2, 200):
        run.log(step, loss=1.0 / step)
    assert not run.flush(0.3)
    sender._transport.url = url
    sender._transport.close()
    assert run.flush(60)
    run.finish()
    report = get(f"{url}/v1/runs/gap/report")
    assert (report["points"], report["attempt"], report["state"]) == (199, 1, "finished")


def test_what_the_service_refuses_of_a_point_is_left_out_and_the_point_is_stored(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = losswatch.Run("refused", url=url, quiet=True, flush_interval=0.2)
    for step in range(1, 11):
        run.log(step, loss=1.0 / step, time="yesterday" if step in (5, 7) else None)
    assert run.flush(60)
    run.finish()
    steps = [point["step"] for point in get(f"{url}/v1/runs/refused/points")["points"]]
    assert steps == list(range(1, 11))
    assert caplog.text.count("time is refused and left out from step 5 on") == 1


def test_a_deleted_run_is_not_brought_back_by_its_old_writer(url: str, caplog: pytest.LogCaptureFixture) -> None:
    run = losswatch.Run("deleted", url=url, quiet=True)
    run.log(1, loss=1.0)
    assert run.flush(60)
    urllib.request.urlopen(urllib.request.Request(f"{url}/v1/runs/deleted", method="DELETE")).close()
    run.log(2, loss=1.0)
    assert not run.flush(60)
    run.finish()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{url}/v1/runs/deleted")
    assert "Nothing more of it is sent" in caplog.text


SCRIPTS = {
    "urllib": """
        import json, urllib.request
        for point in POINTS:
            body = json.dumps({"points": [point], "context": {"learning_rate": 0.01}}).encode()
            answer = urllib.request.urlopen(urllib.request.Request(URL + "/v1/runs/urllib/points", body))
            report = json.load(answer)
        print(report["status"])
    """,
    "requests": """
        import requests
        for point in POINTS:
            answer = requests.post(URL + "/v1/runs/requests/points", json=point, timeout=10)
            answer.raise_for_status()
        print(answer.json()["status"])
    """,
}


@pytest.mark.parametrize("library", sorted(SCRIPTS))
def test_a_few_plain_lines_of_python_are_enough(url: str, library: str) -> None:
    script = f"URL = {url!r}\nPOINTS = {POINTS!r}\n" + textwrap.dedent(SCRIPTS[library])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "critical\n"), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_line_of_curl_is_enough(url: str) -> None:
    body = json.dumps({"points": POINTS})
    done = subprocess.run(
        ["curl", "-sS", "-d", body, f"{url}/v1/runs/curl/points"], capture_output=True, text=True, timeout=30
    )
    assert json.loads(done.stdout)["status"] == "critical", done.stderr
