"""A run from one service to another, over the API and by the command line; and a service that is killed meanwhile."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from cli.conftest import Command, command
from cli.test_serve import Start, address_of, start
from losswatch_server.app import create_app
from losswatch_server.settings import Settings

__all__ = ["command", "start"]
POINTS = {
    "points": [{"step": n, "loss": "NaN" if n == 50 else 1 / (n + 1), "metrics": {"a": n}} for n in range(100)],
    "context": {"learning_rate": 0.1, "tags": {"team": "vision"}},
    "writer": "w",
}


def test_a_run_is_the_same_at_another_service(api: TestClient, tmp_path: Path) -> None:
    assert api.post("/v1/runs/carried/points", json=POINTS).status_code == 200
    assert api.post("/v1/runs/carried/finish", json={"state": "failed", "error": "out of memory"}).status_code == 200
    (finding,) = api.get("/v1/runs/carried/findings").json()["findings"]
    assert api.post(f"/v1/runs/carried/findings/{finding['id']}/acknowledge").status_code == 200
    out = api.get("/v1/runs/carried/export")
    assert out.headers["content-type"] == "application/x-ndjson"
    assert all(json.loads(line, parse_constant=pytest.fail)["line"] for line in out.text.splitlines())
    with TestClient(create_app(Settings(data_dir=tmp_path / "data")), "http://localhost") as there:
        assert there.post("/v1/runs/carried/import", content=out.content).status_code == 201
        for path in ("", "/report", "/points", "/findings"):
            assert there.get(f"/v1/runs/carried{path}").content == api.get(f"/v1/runs/carried{path}").content, path
        again = there.post("/v1/runs/carried/import", content=out.content)
        assert (again.status_code, again.json()["type"]) == (409, "/docs/problems#run-exists")
        assert there.post("/v1/runs/other/import?project=q", content=out.content).status_code == 201
        without_end = out.content[: out.content.rindex(b'{"line":"end"')]
        assert there.post("/v1/runs/cut/import?project=r", content=without_end[:-9]).status_code == 422
        cut = there.post("/v1/runs/cut/import?project=r", content=without_end)
        assert (cut.status_code, "cut off" in cut.json()["detail"]) == (422, True)
        assert there.get("/v1/runs/cut?project=r").status_code == 404
        assert there.app.memory.held == 0
    assert api.get("/v1/runs/nobody/export").status_code == 404


def test_a_line_without_an_end_takes_no_memory_without_an_end(api: TestClient) -> None:
    def lines():
        for _ in range(40):
            yield b"x" * (1 << 20)

    assert api.post("/v1/runs/endless/import", content=lines()).status_code == 413


@pytest.mark.slow
def test_a_service_that_is_killed_while_it_takes_a_run_in_has_nothing_of_it(
    start: Start, command: Command, tmp_path: Path
) -> None:
    process = start("--port", "0")
    url = address_of(process)
    httpx.post(f"{url}/v1/runs/r/points", json=POINTS)
    file = tmp_path / "r.ndjson"
    assert command("export", "r", "--output", str(file), "--service", url).returncode == 0
    httpx.delete(f"{url}/v1/runs/r")
    body = file.read_bytes()
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as half:
        half.sendall(
            b"POST /v1/runs/r/import HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n"
            % (place.netloc.encode(), len(body))
        )
        half.sendall(body[:-10])
        assert httpx.get(f"{url}/v1/runs/r").status_code == 404
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    url = address_of(start("--port", "0"))
    assert httpx.get(f"{url}/v1/runs/r").status_code == 404
    done = command("import", str(file), "--as", "s", "--service", url)
    assert (done.returncode, done.stdout) == (0, "s has 100 points\n"), done.stderr
    assert command("import", str(file), "--service", url).returncode == 1
    assert command("export", "nobody", "--service", url).returncode == 1
    assert command("import", str(tmp_path / "absent"), "--service", url).returncode == 66
    assert command("import", "-", "--service", url, stdin="hello\n").returncode == 66
