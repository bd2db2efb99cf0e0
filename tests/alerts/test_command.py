"""``losswatch-server targets`` against a running service."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_server
from typing import get_args

import httpx
import pytest
import uvicorn

from alerts.test_channels import receiving
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.app import create_app
from losswatch_server.cli import main
from losswatch_server.cli.targets import Kind
from losswatch_server.settings import Settings


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    app = create_app(Settings(data_dir=tmp_path / "data", allow_private_targets=True))
    with create_server(("127.0.0.1", 0)) as socket:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield "http://{}:{}".format(*socket.getsockname())
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def run(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    def command(*arguments: str) -> tuple[int, str]:
        chosen = () if "--service" in arguments else ("--service", service)
        monkeypatch.setattr(sys, "argv", ["losswatch-server", "targets", *arguments, *chosen])
        with pytest.raises(SystemExit) as ended:
            main()
        out, errors = capsys.readouterr()
        return int(ended.value.code or 0), out + errors

    return command


@pytest.mark.slow
def test_a_target_is_added_listed_tried_and_removed(run: Callable[..., tuple[int, str]]) -> None:
    with receiving("webhook") as hook:
        status, said = run("add", "webhook", hook.url, "--min-severity", "critical", "--condition", "diverging")
        assert (status, "whsec_" in said) == (0, True)
        assert "warning: Links in messages lead to http://127.0.0.1:8000, which only this machine reaches" in said
        name = said.split()[0]
        status, said = run("list")
        assert (status, name in said, "critical" in said, "SECRET" in said) == (0, True, True, False)
        status, said = run("test", name)
        assert (status, said.startswith("delivered in")) == (0, True)
        assert len(hook.taken) == 1
        status, said = run("deliveries", name)
        assert (status, "delivered" in said, "test message" in said) == (0, True, True)
        assert run("deliveries", name, "--state", "failed") == (0, "")
    status, said = run("test", name)
    assert (status, "not delivered" in said) == (69, True)
    assert run("remove", name) == (0, "")
    assert run("list") == (0, "")


def test_a_target_for_each_run_is_one_option(run: Callable[..., tuple[int, str]]) -> None:
    assert run("add", "webhook", "http://127.0.0.1:9/x", "--group-by", "run")[0] == 0
    status, said = run("add", "webhook", "http://127.0.0.1:9/x", "--group-by", "sweep")
    assert (status, "'group'" in said) == (64, True)


def test_a_stored_run_is_shown_as_diagnose_shows_a_log(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [{"step": step, "loss": 1.3**step if step < 40 else "NaN"} for step in range(45)]
    httpx.post(f"{service}/v1/runs/lr-1/points", json={"points": points}).raise_for_status()

    def show(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["losswatch-server", "show", *arguments, "--service", service])
        with pytest.raises(SystemExit) as ended:
            main()
        out, errors = capsys.readouterr()
        return int(ended.value.code or 0), out + errors

    status, said = show("lr-1")
    assert (status, "diverging in loss" in said, "┤" in said, "lr-1  running, step 44" in said) == (2, True, True, True)
    assert "┤" not in show("lr-1", "--no-plot")[1]
    assert json.loads(show("lr-1", "--json")[1])["run"] == "lr-1"
    status, said = show("lr-2")
    assert (status, "no run of this name" in said) == (1, True)


def test_the_command_knows_every_kind_of_target() -> None:
    assert set(get_args(Kind)) == set(BY_KIND) - {"apprise"}


def test_a_mistake_is_explained(run: Callable[..., tuple[int, str]]) -> None:
    status, said = run("add", "slack", "ftp://example.org/x")
    assert status == 1
    assert "must begin with https://" in said
    status, said = run("add", "slak", "https://example.org/x")
    assert (status, "'slack'" in said) == (64, True)
    status, said = run("add", "slack", "https://example.org/x", "--min-severity", "fatal")
    assert (status, "critical" in said) == (64, True)
    status, said = run("list", "--project", "default", "--service", "localhost")
    assert (status, "http://127.0.0.1:8000" in said) == (64, True)
    status, said = run("remove", "tgt_none")
    assert (status, "no target of this id" in said) == (1, True)
