"""``losswatch-server keys``, beside a service that runs."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.test_serve import Start, address_of, start

if TYPE_CHECKING:
    from postgres import PostgresServer

__all__ = ["start"]


def status(url: str, key: str = "") -> int:
    request = urllib.request.Request(f"{url}/v1/runs", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def until(url: str, key: str, expected: int) -> None:
    deadline = time.monotonic() + 60
    while status(url, key) != expected:
        assert time.monotonic() < deadline


@pytest.mark.slow
def test_keys_are_made_replaced_and_revoked_while_the_service_runs(start: Start, command, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    url = address_of(start("--port", "0"))
    assert status(url) == 200
    made = command("keys", "create", "--project", "a", "--scope", "read", "--name", "me", *data)
    key = made.stdout.strip()
    assert re.fullmatch(r"lw_[a-z0-9]{10}_[0-9A-Za-z]{46}", key)
    assert key not in made.stderr
    until(url, "", 401)
    assert status(url, key) == 200
    listed = command("keys", "list", *data).stdout
    assert re.match(rf"{key.split('_')[1]}  active  a  read  made \S+ \S+  never used  me\n", listed)
    assert key.split("_")[2] not in listed
    id_ = key.split("_")[1]
    assert "may send 5 requests/min;" in command("keys", "limit", id_, "--requests-per-minute", "5", *data).stderr
    until(url, key, 429)
    assert "  never used  5 requests/min  me\n" in command("keys", "list", *data).stdout
    command("keys", "limit", id_, *data)
    until(url, key, 200)
    new = command("keys", "rotate", key.split("_")[1], *data).stdout.strip()
    until(url, key, 401)
    assert status(url, new) == 200
    command("keys", "revoke", key.split("_")[1], *data)
    until(url, new, 401)
    assert "revoked" in command("keys", "list", *data).stdout


def test_wrong_use_is_said_in_one_sentence(command, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    nothing = command("keys", "list", *data)
    assert (nothing.returncode, "there is no database in" in nothing.stderr) == (69, True)
    assert not (tmp_path / "data").exists(), "a folder that was mistyped is not made"
    (tmp_path / "config.toml").write_text(f'data_dir = "{tmp_path / "data"}"\n')
    made = command("keys", "create", "--config", str(tmp_path / "config.toml"))
    assert f"in {tmp_path / 'data'}" in made.stderr
    unknown = command("keys", "revoke", "nobody", *data)
    assert (unknown.returncode, "there is no key nobody" in unknown.stderr) == (64, True)
    assert command("keys", "create", "--project", "a b", *data).returncode == 64
    assert command("keys", "create", "--scope", "write", *data).returncode == 64
    (tmp_path / "file").write_text("")
    nowhere = command("keys", "list", "--data", str(tmp_path / "file"))
    assert (nowhere.returncode, "Traceback" in nowhere.stderr) == (69, False)


@pytest.mark.slow
def test_a_service_beyond_this_machine_does_not_start_without_a_key(start: Start, command, tmp_path: Path) -> None:
    refused = start("--port", "0", "--host", "0.0.0.0")
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 64
    for part in ("keys create", "--host 127.0.0.1", "--insecure", str(tmp_path / "data")):
        assert part in errors
    key = command("keys", "create", "--data", str(tmp_path / "data")).stdout.strip()
    url = address_of(start("--port", "0", "--host", "0.0.0.0")).replace("0.0.0.0", "127.0.0.1")
    assert status(url) == 401
    assert status(url, key) == 200


@pytest.mark.slow
def test_keys_of_a_postgresql_database(command, postgres: PostgresServer) -> None:
    database = ("--database", postgres.empty_url())
    key = command("keys", "create", "--project", "a", *database).stdout.strip()
    assert re.fullmatch(r"lw_[a-z0-9]{10}_[0-9A-Za-z]{46}", key)
    assert key.split("_")[1] in command("keys", "list", *database).stdout
    away = command("keys", "list", "--database", "postgresql://me:secret@127.0.0.1:1/none?connect_timeout=2")
    assert away.returncode == 69
    assert "127.0.0.1/none" in away.stderr
    assert "secret" not in away.stderr
