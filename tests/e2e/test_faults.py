"""A real service whose disk fills up, whose descriptors run out, whose database is taken away."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

resource = pytest.importorskip("resource")
if not hasattr(resource, "prlimit"):
    pytest.skip("limits of another process can be set on Linux alone", allow_module_level=True)


class Service:
    """``losswatch-server serve`` in a process of its own."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-m", "losswatch_server", "serve", "--data", str(data), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found, self.process.communicate()[1]
        self.address = found.group()

    def limit(self, what: int, soft: int) -> None:
        hard = resource.prlimit(self.process.pid, what)[1]
        resource.prlimit(self.process.pid, what, (soft, hard))

    def call(self, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.address + path, data), timeout=60) as answer:
                return answer.status, dict(answer.headers), json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.load(error)

    def post(self, step: int, run: str = "a") -> int:
        return self.call(f"/v1/runs/{run}/points", {"step": step, "loss": 1.0})[0]

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ends(self) -> tuple[int, str]:
        errors = self.process.communicate(timeout=40)[1]
        return self.process.returncode, errors


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "data")
    yield service
    service.process.kill()
    service.process.communicate()


def is_refusal(answer: tuple[int, dict[str, str], Any], slug: str) -> bool:
    status, headers, body = answer
    return (
        (status, headers["content-type"]) == (503, "application/problem+json")
        and body["type"].endswith(slug)
        and int(headers["retry-after"]) > 0
    )


def is_ready(service: Service) -> bool:
    with contextlib.suppress(OSError):
        return service.call("/readyz")[2] == {"status": "ok", "not_running": []}
    return False


@pytest.mark.slow
def test_a_full_disk_is_503_until_there_is_room_and_what_was_acknowledged_is_there(service: Service) -> None:
    kept = 0
    while kept < 20 and service.post(kept) == 200:
        kept += 1
    service.limit(resource.RLIMIT_FSIZE, 4096)
    assert is_refusal(service.call("/v1/runs/a/points", {"step": kept, "loss": 1.0}), "store-failed")
    status, headers, body = service.call("/readyz")
    assert is_refusal((status, headers, body), "store-failed")
    not_running = {found["name"] for found in body["not_running"]}
    assert "writing" in not_running
    assert not_running <= {"writing", "notifications"}, "a pass over the outbox may have met the full disk, too"
    assert service.call("/livez")[0] == 200
    assert service.call("/v1/runs/a/report")[2]["points"] == kept, "what can be read is read"
    service.limit(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    assert service.post(kept) == 200
    service.until(lambda: is_ready(service))
    assert service.call("/v1/runs/a/report")[2]["points"] == kept + 1
    service.process.send_signal(signal.SIGTERM)
    assert service.ends()[0] == 0


@pytest.mark.slow
def test_it_stops_promptly_while_nothing_can_be_stored(service: Service) -> None:
    assert service.post(0) == 200
    service.limit(resource.RLIMIT_FSIZE, 4096)
    assert service.post(1) == 503
    service.process.send_signal(signal.SIGTERM)
    code, errors = service.ends()
    assert code == 0, errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_database_that_is_taken_away_stops_the_service_loudly(service: Service) -> None:
    assert service.post(0) == 200
    for file in service.data.iterdir():
        file.unlink()
    for step in range(1, 4):
        assert is_refusal(service.call("/v1/runs/a/points", {"step": step, "loss": 1.0}), "store-lost")
    assert is_refusal(service.call("/v1/runs"), "store-lost")
    assert is_refusal(service.call("/readyz"), "store-lost")
    assert service.call("/livez")[0] == 200
    code, errors = service.ends()
    assert code == 69
    assert "CRITICAL" in errors
    assert "losswatch.sqlite3 was deleted or moved" in errors
    assert "Traceback" not in errors
    assert not (service.data / "losswatch.sqlite3").exists()


@pytest.mark.slow
def test_without_descriptors_nothing_in_the_background_ends_for_good(service: Service) -> None:
    assert service.post(0) == 200
    used = len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))
    service.limit(resource.RLIMIT_NOFILE, used + 1)  # room for the one connection that asks
    for step in range(1, 5):
        with contextlib.suppress(OSError):  # it could not even be accepted
            assert service.post(step) in (200, 503)
            assert service.call("/readyz")[0] in (200, 503)
    service.limit(resource.RLIMIT_NOFILE, 1024)
    service.until(lambda: is_ready(service))
    assert service.post(10) == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("/proc/foo", "cannot be the data directory"),
        ("/etc/hostname", "is a file; the data directory is a folder"),
        ("/etc/hostname/data", "cannot be the data directory: not a directory"),
    ],
)
def test_a_data_directory_that_cannot_be_is_refused_in_a_sentence(data: str, said: str) -> None:
    command = [sys.executable, "-m", "losswatch_server", "serve", "--data", data, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (69, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_full_disk_at_the_first_start_is_a_sentence(tmp_path: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)); "
        "sys.argv = ['losswatch-server', 'serve', '--data', sys.argv[1], '--port', '0']; "
        "from losswatch_server.cli import main; main()"
    )
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (69, "")
    assert "cannot be brought up to date" in done.stderr
    assert "sqlalche" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
