"""The service is away, slow, busy or unwilling: training goes on, and what can be delivered is delivered once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from service_stub import HEALTHY, Answer, BadService, Request, eventually, free_port, well

import losswatch

INVALID = {"type": "https://losswatch.dev/problems/invalid-body", "title": "Invalid", "status": 422}


def spooled(tmp_path: Path) -> list[Path]:
    """The files that wait for delivery."""
    return sorted((tmp_path / "spool").glob("*.jsonl"))


def first(count: int, bad: tuple[int, dict[str, str], Any]) -> Answer:
    """Answers ``bad`` to the first ``count`` requests, and well from then on."""

    def answer(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        return bad if len(service.requests) <= count else well(request, service)

    return answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((503, {}, {"detail": "busy"}), id="503"),
        pytest.param((500, {}, b"<html>oops</html>"), id="500 without JSON"),
        pytest.param((429, {"retry-after": "0"}, {"detail": "slower"}), id="429"),
        pytest.param((0, {}, b""), id="cut in the middle of the answer"),
        pytest.param((200, {}, b"<html>a portal of the hotel</html>"), id="200 from something else"),
        pytest.param((302, {"location": "/login"}, b""), id="redirect to a login page"),
    ],
)
def test_points_are_kept_through_trouble_and_then_delivered_in_order(
    bad: tuple[int, dict[str, str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with BadService(first(3, bad)) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        for step in range(300):
            run.log(step, loss=1.0)
        assert run.flush(60)
        assert list(dict.fromkeys(service.steps)) == list(range(300))
        run.finish()
    assert caplog.text.count("training goes on") == 1
    assert caplog.text.count("the service is back") == 1


def test_points_logged_while_nobody_listens_arrive_when_somebody_does(tmp_path: Path) -> None:
    port = free_port()
    run = losswatch.Run("a", url=f"http://127.0.0.1:{port}", flush_interval=0.01)
    for step in range(100):
        run.log(step, loss=1.0)
    assert not run.flush(0.2)
    assert eventually(lambda: bool(spooled(tmp_path)))
    with BadService(port=port) as service:
        for step in range(100, 200):
            run.log(step, loss=1.0)
        assert run.flush(60)
        run.finish()
        assert service.steps == list(range(200))
    assert spooled(tmp_path) == []


def test_what_a_finished_process_could_not_deliver_the_next_run_delivers_first(tmp_path: Path) -> None:
    port = free_port()
    before = losswatch.Run("a", url=f"http://127.0.0.1:{port}", flush_interval=0.01, optimizer="adam")
    for step in range(50):
        before.log(step, loss=1.0)
    before.finish(timeout=1)
    assert len(spooled(tmp_path)) == 1
    with BadService(port=port) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        run.log(50, loss=1.0)
        assert run.flush(60)
        run.finish()
        sent = [(request.json.get("writer"), request.steps or request.json) for request in service.requests]
        assert sent == [
            (before.writer, list(range(50))),
            (None, {"state": "finished"}),
            (run.writer, [50]),
            (None, {"state": "finished"}),
        ]
        assert service.requests[0].json["context"] == {"optimizer": "adam"}
    assert spooled(tmp_path) == []


def test_a_killed_process_leaves_its_spool_and_the_command_delivers_it(tmp_path: Path) -> None:
    port = free_port()
    script = f"""
        import losswatch, time
        run = losswatch.Run("a", url="http://127.0.0.1:{port}", flush_interval=0.01)
        for step in range(100):
            run.log(step, loss=1.0)
        print("logged", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert eventually(lambda: any(path.read_bytes().count(b'"step"') == 100 for path in spooled(tmp_path)))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with spooled(tmp_path)[0].open("ab") as file:
        file.write(b'{"step": 100, "lo')  # torn by the kill
    with BadService(port=port) as service:
        done = subprocess.run(
            [sys.executable, "-m", "losswatch", "--url", service.url], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        assert "1 of 1 spooled runs delivered" in done.stdout
        assert service.steps == list(range(100))
    assert spooled(tmp_path) == []


def test_the_command_says_when_the_service_is_away() -> None:
    run = losswatch.Run("a", url=f"http://127.0.0.1:{free_port()}", flush_interval=0.01)
    run.log(1, loss=1.0)
    run.finish(timeout=1)
    done = subprocess.run(
        [sys.executable, "-m", "losswatch", "--url", run.url], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "0 of 1 spooled runs delivered" in done.stdout


def test_a_spool_in_use_is_left_to_its_process(tmp_path: Path) -> None:
    port = free_port()
    busy = losswatch.Run("a", url=f"http://127.0.0.1:{port}", flush_interval=0.01)
    busy.log(1, loss=1.0)
    assert eventually(lambda: bool(spooled(tmp_path)))
    busy._sender._retry_at = time.monotonic() + 3600  # type: ignore[union-attr]
    with BadService(port=port) as service:
        other = losswatch.Run("b", url=service.url, flush_interval=0.01)
        other.log(7, loss=1.0)
        assert other.flush(60)
        other.finish()
        assert service.steps == [7]
        busy._sender._retry_at = 0.0  # type: ignore[union-attr]
        assert busy.flush(60)
        busy.finish()
        assert service.steps == [7, 1]


@pytest.mark.slow
def test_retry_after_is_honoured() -> None:
    times: list[float] = []

    def answer(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        times.append(time.monotonic())
        return (503, {"retry-after": "0.5"}, {"detail": "busy"}) if len(times) == 1 else well(request, service)

    with BadService(answer) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        run.log(1, loss=1.0)
        assert run.flush(60)
        run.finish()
    assert times[1] - times[0] >= 0.5


def refuse_odd_steps(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
    errors = [
        {"pointer": f"/points/{place}/loss", "detail": "odd"}
        for place, point in enumerate(request.json.get("points", ()))
        if point["step"] % 2
    ]
    return (422, {}, {**INVALID, "detail": "odd", "errors": errors[:100]}) if errors else well(request, service)


def refuse_one_step_without_saying_which(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
    return (422, {}, {"detail": "no"}) if 123 in request.steps else well(request, service)


def refuse_many(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
    return (413, {}, {"detail": "too large"}) if len(request.steps) > 50 else well(request, service)


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        pytest.param(refuse_odd_steps, list(range(0, 600, 2)), id="by pointer, more than a refusal lists"),
        pytest.param(refuse_one_step_without_saying_which, [n for n in range(600) if n != 123], id="without a pointer"),
        pytest.param(refuse_many, list(range(600)), id="too large"),
    ],
)
def test_refused_points_are_dropped_and_said_and_the_rest_is_sent(
    answer: Answer, stored: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with BadService(answer) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.1)
        for step in range(600):
            run.log(step, loss=1.0)
        assert run.flush(60) == (len(stored) == 600)
        assert service.steps == stored
        assert run.dropped == 600 - len(stored)
        run.finish()
    assert caplog.text.count("refused and dropped") == (len(stored) < 600)
    assert len(caplog.text) < 2000


def test_a_refused_context_field_is_left_out_and_the_points_are_sent(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        if "batch_size" in request.json.get("context", {}):
            errors = [{"pointer": "/context/batch_size", "detail": "must be a whole number"}]
            return 422, {}, {**INVALID, "detail": "batch_size must be a whole number", "errors": errors}
        return well(request, service)

    with BadService(answer) as service:
        run = losswatch.Run("a", url=service.url, optimizer="sgd", batch_size="many")
        run.log(1, loss=1.0)
        assert run.flush()
        assert service.requests[1].json["context"] == {"optimizer": "sgd"}
        assert service.steps == [1]
        run.finish()
    assert "left out of the context: batch_size" in caplog.text


def test_a_run_that_was_removed_is_not_sent_any_more(caplog: pytest.LogCaptureFixture) -> None:
    with BadService(lambda request, service: (410, {}, {"detail": "Run a was deleted."})) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        run.log(1, loss=1.0)
        assert not run.flush()
        for step in range(2, 50):
            run.log(step, loss=1.0)
        run.finish()
        assert len(service.requests) == 1
        assert run.dropped == 49
    assert caplog.text.count("was deleted") == 1


def test_a_wrong_key_keeps_the_points(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with BadService(lambda request, service: (401, {}, {"detail": "The API key is not known."})) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        run.log(1, loss=1.0)
        assert eventually(lambda: len(service.requests) == 1)
        run.finish(timeout=1)
    assert "The API key is not known." in caplog.text
    assert [json.loads(line).get("step") for line in spooled(tmp_path)[0].read_text().splitlines()] == [None, 1, None]


def test_the_end_waits_for_a_service_that_hangs_only_as_long_as_it_may(tmp_path: Path) -> None:
    released, answered = threading.Event(), []

    def hang(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        answered.append(released.wait(60))
        return 200, {}, HEALTHY

    with BadService(hang) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=60)
        run.log(1, loss=1.0)
        run.finish(timeout=0.3)
        assert answered == []
        assert len(spooled(tmp_path)) == 1
        released.set()


def test_a_spool_without_room_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    from losswatch.batches import Record
    from losswatch.spool import Address, FileSpool

    spool = FileSpool(tmp_path / "a.jsonl", Address("http://x", None, "a", "w"), limit=10_000)
    for step in range(1000):
        spool.append([Record(b'{"step":%d,"loss":1.0}' % step, step, ("loss",))])
    kept = [record.step for record in spool.peek(1000)]
    assert kept == list(range(1000 - len(kept), 1000))
    assert spool.dropped == 1000 - len(kept)
    assert (tmp_path / "a.jsonl").stat().st_size <= 10_000
    spool.advance(len(kept))
    assert not spool
    spool.close()
    assert not (tmp_path / "a.jsonl").exists()


def test_without_a_disk_to_write_to_points_wait_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    port = free_port()
    run = losswatch.Run("a", url=f"http://127.0.0.1:{port}", flush_interval=0.01, spool_dir=tmp_path / "file" / "x")
    for step in range(20):
        run.log(step, loss=1.0)
    assert not run.flush(0.1)
    with BadService(port=port) as service:
        assert run.flush(60)
        run.finish()
        assert service.steps == list(range(20))
