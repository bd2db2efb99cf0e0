"""What earlier trainings left: delivered in turns, whatever one of them meets, and never at a training's expense."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from service_stub import HEALTHY, Answer, BadService, Request, eventually, free_port, well

import losswatch
from losswatch.leftovers import DAYS_WITHOUT_A_SERVICE
from losswatch.spool import Address
from losswatch.spool_folder import spool_path


def leave(folder: Path, run: str, url: str, steps: int = 5, writer: str = "earlier") -> Path:
    """A file as a training leaves it that ended while the service was away."""
    folder.mkdir(exist_ok=True, parents=True)
    address = Address(url, None, run, writer)
    lines = [{"losswatch_spool": 1, **address._asdict()}]
    lines.extend({"step": step, "loss": 1.0} for step in range(steps))
    path = spool_path(folder, address)
    path.write_text("".join(json.dumps(line) + "\n" for line in (*lines, {"finish": "finished"})))
    return path


def waiting(folder: Path) -> int:
    return len(list(folder.glob("*.jsonl")))


def command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "losswatch", "--spool-dir", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=120,
    )


def about(run: str, bad: tuple[int, dict[str, str], Any]) -> Answer:
    """Answers ``bad`` to everything about one run, and well to the rest."""

    def answer(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        return bad if request.path.startswith(f"/v1/runs/{run}/") else well(request, service)

    return answer


MANY = 300
TRAINING = """
    import pathlib, resource, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    import losswatch
    run = losswatch.Run("own", url=sys.argv[1], quiet=True, flush_interval=0.01)
    opened = []
    for step in range(200):
        run.log(step, loss=1.0)
        if step % 10 == 0:
            opened.append(open(sys.argv[0] or "/dev/null", "rb"))  # a training opens files, too
    print(run.flush(float(sys.argv[2])), flush=True)
    sys.stdin.readline()
    print(run.flush(60))
    run.finish()
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_there", [True, False], ids=["the service is there", "the service comes back"])
def test_hundreds_of_leftovers_cost_a_training_few_descriptors_and_all_are_delivered(
    is_there: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    port = free_port()
    for place in range(MANY):
        leave(folder, f"run-{place}", f"http://127.0.0.1:{port}")
    script = tmp_path / "training.py"
    script.write_text(textwrap.dedent(TRAINING))
    command_line = [
        sys.executable,
        "-W",
        "ignore",
        str(script),
        f"http://127.0.0.1:{port}",
        "10" if is_there else "0.5",
    ]
    service = BadService(port=port) if is_there else None
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdin is not None
        assert training.stdout is not None
        assert training.stdout.readline() == f"{is_there}\n"
        service = service or BadService(port=port)
        try:
            assert eventually(lambda: waiting(folder) == 0, timeout=60)
            assert training.communicate("\n", timeout=60)[0] == "True\n"
        finally:
            service.close()
    assert training.returncode == 0
    delivered = {request.path.split("/")[3]: request.steps for request in service.requests if request.steps}
    assert all(delivered[f"run-{place}"] == list(range(5)) for place in range(MANY))
    assert [point["step"] for point in service.stored if point["step"] >= 5] == list(range(5, 200))


@pytest.mark.slow
def test_the_command_delivers_hundreds_with_few_descriptors(tmp_path: Path) -> None:
    with BadService() as service:
        for place in range(MANY):
            leave(tmp_path, f"run-{place}", service.url)
        limited = f"ulimit -n 48; exec {sys.executable} -m losswatch --spool-dir {tmp_path}"
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path}: {MANY} of {MANY} spooled runs delivered\n"
    assert waiting(tmp_path) == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param((404, {}, {"type": "x", "detail": "No such project."}), "No such project.", id="404"),
        pytest.param((410, {}, {"type": "x", "detail": "The run was deleted."}), "The run was deleted.", id="410"),
        pytest.param((422, {}, {"type": "x", "detail": "Not in this way."}), "Not in this way.", id="422"),
    ],
)
@pytest.mark.parametrize("run", ["undeliverable", "own"])
def test_what_no_service_takes_is_moved_away_with_its_reason_and_delays_nobody(
    bad: tuple[int, dict[str, str], Any], reason: str, run: str, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"

    def answer(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        """Refuses the earlier writer's points; what this process sends is taken."""
        return bad if request.json.get("writer") == "earlier" else well(request, service)

    with BadService(answer) as service:
        path = leave(folder, run, service.url, steps=30)
        own = losswatch.Run("own", url=service.url, flush_interval=0.01, quiet=True)
        own.log(7, loss=1.0)
        assert own.flush(60)
        assert eventually(lambda: waiting(folder) == 0)
        assert own._sender is not None
        assert own._sender._failures == 0, "it never waited"
        own.finish()
    rejected = folder / "rejected" / path.name
    assert rejected.exists()
    assert reason in rejected.with_suffix(".reason.txt").read_text()
    assert service.steps == [7]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((500, {}, {"type": "x", "detail": "A fault."}), id="500"),
        pytest.param((401, {}, {"type": "x", "detail": "No such key."}), id="401"),
        pytest.param((404, {}, b"<html>not here</html>"), id="404 of something else"),
    ],
)
def test_trouble_with_one_leftover_delays_neither_the_own_run_nor_the_others(
    bad: tuple[int, dict[str, str], Any], tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    with BadService(about("troubled", bad)) as service:
        leave(folder, "troubled", service.url)
        for place in range(3):
            leave(folder, f"fine-{place}", service.url)
        own = losswatch.Run("own", url=service.url, flush_interval=0.01, quiet=True)
        for step in range(40):
            own.log(step, loss=1.0)
            assert own.flush(60)
        assert eventually(lambda: waiting(folder) == 1)
        own.finish()
        assert not (folder / "rejected").exists()


def test_a_leftover_of_the_same_run_that_hangs_does_not_keep_the_run_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("losswatch.leftovers.REQUEST_TIMEOUT_S", 0.1)

    def answer(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
        if request.json.get("writer") == "earlier":
            time.sleep(0.5)
        return 200, {}, HEALTHY

    with BadService(answer) as service:
        leave(tmp_path / "spool", "own", service.url)
        own = losswatch.Run("own", url=service.url, flush_interval=0.01, quiet=True)
        own.log(7, loss=1.0)
        assert own.flush(60)
        own.finish()


def test_an_address_that_is_dead_for_a_month_is_given_up_and_a_younger_one_is_not(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    old, young = leave(tmp_path, "old", url), leave(tmp_path, "young", url)
    long_ago = time.time() - (DAYS_WITHOUT_A_SERVICE + 1) * 86_400
    os.utime(old, (long_ago, long_ago))
    done = command(tmp_path)
    assert done.returncode == 1
    assert "rejected: " + url in done.stdout
    assert "not taken for 31 days" in (tmp_path / "rejected" / old.name).with_suffix(".reason.txt").read_text()
    assert list(tmp_path.glob("*.jsonl")) == [young]


@pytest.mark.slow
def test_the_command_tells_what_waits_where_and_how_to_send_it_elsewhere(tmp_path: Path) -> None:
    wrong = f"http://127.0.0.1:{free_port()}"
    for place in range(5):
        leave(tmp_path, f"run-{place}", wrong)
    with BadService() as service:
        for options in ([], ["--url", service.url]):
            done = command(tmp_path, *options)
            assert "0 of 5 spooled runs delivered" in done.stdout
            assert f"5 for {wrong}: " in done.stdout
            assert f"python -m losswatch --from {wrong} --url ADDRESS" in done.stdout
            assert "LOSSWATCH_URL" in done.stdout
        assert "Connection refused" in command(tmp_path).stdout
        assert service.requests == []
        done = command(tmp_path, "--from", wrong, "--url", service.url)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}: 5 of 5 spooled runs delivered\n")
        assert len(service.stored) == 25


def test_the_command_sends_each_file_to_the_address_it_was_meant_for_and_the_key_to_its_own_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BadService() as one, BadService() as other:
        monkeypatch.setenv("LOSSWATCH_URL", one.url)
        monkeypatch.setenv("LOSSWATCH_API_KEY", "secret")
        leave(tmp_path, "a", one.url)
        leave(tmp_path, "b", other.url)
        assert "2 of 2 spooled runs delivered" in command(tmp_path).stdout
        assert {request.headers.get("authorization") for request in one.requests} == {"Bearer secret"}
        assert {request.headers.get("authorization") for request in other.requests} == {None}


def test_what_was_rejected_can_be_tried_again(tmp_path: Path) -> None:
    refuse = about("a", (410, {}, {"type": "x", "detail": "The run was deleted."}))
    with BadService(refuse) as service:
        leave(tmp_path, "a", service.url)
        (tmp_path / "broken.jsonl").write_text("not a spool\n")
        done = command(tmp_path)
        assert "0 of 2 spooled runs delivered" in done.stdout
        assert "2 in rejected" in done.stdout
        service.answer = well
        done = command(tmp_path, "--rejected")
        assert "1 of 2 spooled runs delivered" in done.stdout
        assert service.steps == list(range(5))
    assert [path.name for path in (tmp_path / "rejected").glob("*.jsonl")] == ["broken.jsonl"]
