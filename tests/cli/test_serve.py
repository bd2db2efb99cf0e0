"""``serve``: one line, one lock, a clean end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from losswatch_server.settings import Settings

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts services that end with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, data: str = "data") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "losswatch_server", "serve", "--data", str(tmp_path / data), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    """The address in the one line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://[0-9.]+:[0-9]+", line)
    assert found, line + (process.stderr.read() if process.stderr and process.poll() is not None else "")
    return found.group()


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_once_it_says_so_and_ends_cleanly(start: Start, stop: signal.Signals) -> None:
    process = start("--port", "0")
    url = address_of(process)
    with urllib.request.urlopen(f"{url}/readyz") as answer:
        assert answer.status == 200
    process.send_signal(stop)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.slow
def test_a_service_looks_for_garbage_less_often_than_python_does() -> None:
    code = "import gc; from losswatch_server.cli.serve import collect_seldom as f; f(); print(*gc.get_threshold())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[0] == "20000"


@pytest.mark.slow
def test_a_second_process_on_the_same_data_is_refused_with_the_first_ones_number(start: Start) -> None:
    first = start("--port", "0")
    address_of(first)
    second = start("--port", "0")
    out, errors = second.communicate(timeout=60)
    assert (second.returncode, out) == (69, "")
    assert str(first.pid) in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_used_port_is_refused_with_what_to_do(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("--port", str(taken.getsockname()[1]))
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (69, "")
    assert "in use" in errors
    assert "--port 0" in errors


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--port", "70000"], {}, "0 to 65535"),
        (["--port", "many"], {}, "(env var: 'LOSSWATCH_PORT'): a whole number is needed"),
        (["--drain", "long"], {}, "a number is needed"),
        (["--log-level", "loud"], {}, "log_level must be one of"),
        (["--prot", "1"], {}, "Did you mean --port?"),
        (["--zzz", "1"], {}, "losswatch-server serve --help lists all of them"),
        (["--smtp-url", "mail.example.org"], {}, "Invalid value: smtp_url is written smtp://"),
        ([], {"LOSSWATCH_PROT": "1"}, "did you mean LOSSWATCH_PORT?"),
        (["--base-url", "example.org"], {}, "http://"),
    ],
)
def test_a_bad_option_is_wrong_usage(command, arguments: list[str], variables: dict[str, str], said: str) -> None:
    done = command("serve", *arguments, **variables)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in done.stderr


@pytest.mark.slow
def test_points_survive_a_restart(start: Start) -> None:
    first = start("--port", "0")
    body = json.dumps({"points": [{"step": step, "loss": 1.0} for step in range(10)]}).encode()
    request = urllib.request.Request(
        f"{address_of(first)}/v1/runs/a/points", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["accepted"] == 10
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    with urllib.request.urlopen(f"{address_of(start('--port', '0'))}/v1/runs/a/report") as answer:
        assert json.load(answer)["points"] == 10


@pytest.mark.slow
def test_the_api_is_described_without_touching_any_data(command, tmp_path: Path) -> None:
    done = command("openapi")
    assert done.returncode == 0, done.stderr
    assert "/v1/runs/{run}/points" in json.loads(done.stdout)["paths"]
    assert not (tmp_path / "data").exists()


def test_a_database_can_be_brought_up_to_date_by_hand(command, tmp_path: Path) -> None:
    done = command("migrate", "--data", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert "is up to date" in done.stdout
    assert (tmp_path / "new" / "losswatch.sqlite3").exists()


def test_it_says_its_version(command) -> None:
    assert re.fullmatch(r"losswatch-server \d+\.\d+\.\d+\n", command("--version").stdout)


@pytest.mark.parametrize("width", ["80", "120", "200"])
def test_help_names_every_option_and_its_variable_whole(command, width: str) -> None:
    shown = command("serve", "--help", COLUMNS=width).stdout
    words = shown.replace(";", " ").replace("]", " ").split()
    for row in Settings.table():
        assert {row.option, row.variable} <= set(words)
    assert "…" not in shown


def test_help_says_what_has_to_be_installed(command) -> None:
    assert "losswatch-server[mcp]" in command("mcp", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["targets", "add", "slak", "https://x"], "'slak' is not one of 'webhook', 'slack'"),
        (["targets", "add", "slak", "https://x"], "Did you mean slack?"),
        (["keys", "create", "--scope", "reed"], "Invalid value for '--scope': 'reed' is not one of"),
        (["diagnose", "--lr", "0.1", "x.log"], "Did you mean --learning-rate?"),
        (["diagnose", "--bs", "32", "x.log"], "Did you mean --batch-size?"),
        (["diagnose", "--learning-rate", "high", "x.log"], "a number is needed"),
        (["serv"], "Did you mean 'serve'?"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(command, arguments: list[str], said: str) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in done.stderr


def test_help_names_every_command(command) -> None:
    shown = command("--help").stdout
    for name in ("serve", "diagnose", "demo", "migrate", "openapi", "--install-completion"):
        assert name in shown


@pytest.mark.slow
def test_whoever_opens_it_to_a_network_is_warned_and_told_what_to_do(start: Start) -> None:
    process = start("--port", "0", "--host", "0.0.0.0", "--insecure")
    port = address_of(process).rpartition(":")[2]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez") as answer:
        assert answer.status == 200
    request = urllib.request.Request(f"http://127.0.0.1:{port}/livez", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(request)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert "whoever can reach this address can read and change everything" in errors
    assert "losswatch-server keys create" in errors
