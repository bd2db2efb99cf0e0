"""What the tests of the command line share: a real service, and the command as its users start it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_stub import eventually

PATIENCE = 60.0


@pytest.fixture(scope="session")
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
    process.communicate(timeout=PATIENCE)


class Service:
    """What the service knows of a run."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/v1/runs/{path}", timeout=PATIENCE) as answer:
            body: dict[str, Any] = json.load(answer)
        return body

    def points(self, run: str) -> list[dict[str, Any]]:
        """All points of a run that stand; none before it is known."""
        try:
            return [point for point in self.get(f"{run}/points")["points"] if not point.get("superseded")]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []

    def losses(self, run: str) -> dict[int, Any]:
        return {point["step"]: point.get("loss") for point in self.points(run)}

    def waits_for(self, run: str, holds: Callable[[dict[int, Any]], bool]) -> dict[int, Any]:
        """The losses of a run by step, once they are as they should be."""
        assert eventually(lambda: holds(self.losses(run)), PATIENCE), self.losses(run)
        return self.losses(run)


@pytest.fixture
def service(url: str, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("LOSSWATCH_URL", url)
    return Service(url)


def start(*words: object, **options: Any) -> subprocess.Popen[bytes]:
    """``losswatch`` with these words, in a process of its own."""
    command = [sys.executable, "-m", "losswatch.cli", *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env={**os.environ}, **{**pipes, **options})


def done(*words: object, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The same, once it has ended."""
    process = start(*words, **options)
    out, err = process.communicate(stdin, timeout=2 * PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def lines(steps: range, ratio: float = 0.97) -> str:
    """A log of a loss that falls by a ratio."""
    return "".join(f"step {step} loss {2.0 * ratio**step:.5f} lr 0.01\n" for step in steps)


def written(path: Path, text: str, mode: str = "a") -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.write(text)
