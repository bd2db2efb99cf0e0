"""The receiver that the documentation shows, run as users would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import pytest

from alerts.messages import OPENED
from losswatch_server.alerts.channels import webhook
from losswatch_server.alerts.channels.channel import Links, dump
from losswatch_server.alerts.egress.signing import Secret, new_secret, signed_headers

EXAMPLE = Path(__file__).parents[2] / "clients/python/examples/receive_webhook.py"
SECRET = new_secret()


@pytest.fixture(scope="module")
def example() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "LOSSWATCH_WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    command = [sys.executable, str(EXAMPLE)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}/", process
        finally:
            process.kill()


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the example never listened"
            time.sleep(0.05)


def test_the_example_takes_what_is_signed_and_refuses_what_is_not(example: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = example
    body = dump(webhook.payload(OPENED, Links()))
    good = signed_headers("msg_1", body, time.time(), [Secret(new_secret()), Secret(SECRET)])
    assert post(url, body, good) == 204
    assert process.stdout is not None
    assert process.stdout.readline() == "keras-demo: diverging\n"
    assert post(url, body.replace(b"diverging", b"converged"), good) == 401
    assert post(url, body, signed_headers("msg_1", body, time.time(), [Secret(new_secret())])) == 401
    assert post(url, body, signed_headers("msg_1", body, time.time() - 600, [Secret(SECRET)])) == 401


def test_the_example_is_short() -> None:
    code = EXAMPLE.read_text().split("class Receiver")[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 16
