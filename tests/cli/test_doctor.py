"""``doctor``: each thing that can be wrong is said, and nothing is changed."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from cli.conftest import Command
from losswatch_server.cli.doctor import examine
from losswatch_server.store import SqliteStore

DATABASE = "losswatch.sqlite3"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    SqliteStore.open(path).close()
    return path


def sql(data: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(data / DATABASE)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def states(data: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in examine(data, time.time()):
        if one.what != "disk":  # how full and how slow that is, is this machine's business
            found[one.what] = max(found.get(one.what, "ok"), one.state)
    return found


HEALTHY = dict.fromkeys(("versions", "folder", "database", "clock", "targets", "keys"), "ok")
RUN = (
    "INSERT INTO run (project, uid, name, attempt, points, version, detection_version, state, status, action, "
    "headline, created_at, last_seen_at, next_seq, unsealed, rhythm, context) VALUES "
    "('p', 'u', 'r', 1, 0, 0, 1, 'running', 'healthy', 'continue', '', ?, ?, 0, 0, x'', '{}')"
)
TARGET = "INSERT INTO target VALUES ('p', 't', 'webhook', 'api', '', '{}', 'failing', 1.0, NULL, 1.0, 1.0)"


def test_a_healthy_folder_is_called_so_also_beside_a_service(data: Path, command: Command) -> None:
    store = SqliteStore.open(data)
    before = (data / DATABASE).read_bytes()
    assert states(data) == HEALTHY
    done = command("doctor", "--data", str(data))
    assert done.returncode == 0
    assert "0 runs" in done.stdout
    assert (data / DATABASE).read_bytes() == before
    store.close()


@pytest.mark.parametrize(
    ("what", "state", "statement", "values"),
    [
        ("clock", "wrong", RUN, (time.time(), time.time() + 86_400)),
        ("targets", "warning", TARGET, ()),
        ("database", "ok", "UPDATE alembic_version SET version_num = '9999'", ()),
        ("database", "warning", "UPDATE alembic_version SET version_num = '0008'", ()),
    ],
)
def test_what_is_wrong_inside_is_said(data: Path, what: str, state: str, statement: str, values: object) -> None:
    sql(data, statement, *values)
    found = states(data)
    assert found[what] == state
    assert {name: one for name, one in found.items() if name != what}.items() <= HEALTHY.items()


def test_a_database_of_a_newer_version_that_this_one_cannot_use_is_wrong(data: Path) -> None:
    sql(data, "UPDATE alembic_version SET version_num = '9999'")
    sql(data, "UPDATE works_with SET oldest = '9999'")
    assert states(data)["database"] == "wrong"


def test_what_is_wrong_outside_is_said(data: Path, command: Command, tmp_path: Path) -> None:
    (data / DATABASE).chmod(0o644)
    assert states(data)["folder"] == "wrong"
    (data / DATABASE).write_bytes(b"no database at all" * 300)
    assert states(data)["database"] == "wrong"
    (data / DATABASE).unlink()
    assert states(data)["database"] == "wrong"
    done = command("doctor", "--data", str(tmp_path / "nowhere"))
    assert (done.returncode, "there is no folder" in done.stdout) == (1, True)
