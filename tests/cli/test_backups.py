"""``backup`` beside a service that runs, ``restore``, and both killed in the middle."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from cli.test_serve import Start, address_of, start
from losswatch_server.store import SchemaTooNewError, SqliteStore, StoreError
from losswatch_server.store.backup import NoBackupError, back_up, restore

__all__ = ["start"]


def post(url: str, step: int) -> None:
    body = json.dumps({"points": [{"step": step, "loss": 1.0}]}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/v1/runs/r/points", body, method="POST")).close()


def steps(path: Path) -> list[int]:
    store = SqliteStore.open(path)
    store.close()
    connection = sqlite3.connect(path / "losswatch.sqlite3")
    found = [step for (step,) in connection.execute("SELECT first_step FROM record WHERE kind = 1 ORDER BY seq")]
    connection.close()
    return found


@pytest.mark.slow
def test_a_backup_beside_a_service_has_every_point_that_was_acknowledged_before(
    start: Start, command, tmp_path: Path
) -> None:
    url = address_of(start("--port", "0"))
    acknowledged: list[int] = []
    over = threading.Event()

    def go_on() -> None:
        for step in range(100_000):
            if over.is_set():
                return
            post(url, step)
            acknowledged.append(step)

    poster = threading.Thread(target=go_on)
    poster.start()
    try:
        known: list[list[int]] = []
        for n in range(3):
            deadline = time.monotonic() + 60
            while len(acknowledged) < 20 * (n + 1):
                assert time.monotonic() < deadline
            known.append(list(acknowledged))
            done = command("backup", str(tmp_path / f"{n}.sqlite3"))
            assert done.returncode == 0, done.stderr
    finally:
        over.set()
        poster.join(60)
    for n, before in enumerate(known):
        copy = tmp_path / f"{n}.sqlite3"
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert command("restore", str(copy), "--data", str(tmp_path / f"at-{n}")).returncode == 0
        there = steps(tmp_path / f"at-{n}")
        assert there[: len(before)] == before
        assert there == list(range(len(there))), "one moment, without gaps"
    in_use = command("restore", str(tmp_path / "0.sqlite3"), "--replace")
    assert (in_use.returncode, "in use by process" in in_use.stderr) == (69, True)


def filled(path: Path, rows: int = 400) -> Path:
    store = SqliteStore.open(path)
    store.close()
    connection = sqlite3.connect(path / "losswatch.sqlite3")
    for seq in range(rows):
        connection.execute(
            "INSERT INTO record VALUES ('p', 'u', ?, 1, 1, 1, NULL, 0, ?, ?, ?)", (seq, seq, seq, os.urandom(20_000))
        )
    connection.commit()
    connection.close()
    return path


def test_what_was_there_is_put_aside_with_all_that_it_had(tmp_path: Path) -> None:
    old, new = filled(tmp_path / "old", 5), filled(tmp_path / "new", 9)
    back_up(new, tmp_path / "copy")
    writing = sqlite3.connect(old / "losswatch.sqlite3")
    writing.execute("INSERT INTO record VALUES ('p', 'u', 5, 1, 1, 1, NULL, 0, 5, 5, x'00')")
    writing.commit()  # and is killed: what it wrote last stands in the log alone
    with pytest.raises(NoBackupError, match="--replace"):
        restore(tmp_path / "copy", old)
    aside = restore(tmp_path / "copy", old, replace=True)
    assert aside == old / "losswatch.sqlite3.replaced"
    writing.close()
    assert len(steps(old)) == 9
    (tmp_path / "third").mkdir()
    for found in old.glob("losswatch.sqlite3.replaced*"):
        found.rename(tmp_path / "third" / found.name.replace(".replaced", ""))
    assert len(steps(tmp_path / "third")) == 6


def test_what_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    data = filled(tmp_path / "data", 3)
    back_up(data, tmp_path / "copy")
    whole = (tmp_path / "copy").read_bytes()
    with pytest.raises(NoBackupError, match="exists already"):
        back_up(data, tmp_path / "copy")
    with pytest.raises(NoBackupError, match="no database"):
        back_up(tmp_path, tmp_path / "other")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    middle = bytearray(whole)
    middle[8192:60_000] = os.urandom(60_000 - 8192)
    (tmp_path / "overwritten").write_bytes(middle)
    for name in ("text", "cut", "overwritten", "absent"):
        with pytest.raises(StoreError):
            restore(tmp_path / name, data, replace=True)
        assert len(steps(data)) == 3
    newer = sqlite3.connect(tmp_path / "copy")
    newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.execute("UPDATE works_with SET oldest = '9999'")
    newer.commit()
    newer.close()
    with pytest.raises(SchemaTooNewError):
        restore(tmp_path / "copy", data, replace=True)
    assert len(steps(data)) == 3


@pytest.mark.slow
def test_killed_at_any_moment_there_is_the_old_whole_or_the_new_whole(tmp_path: Path) -> None:
    rng = random.Random(5)
    old, new = filled(tmp_path / "old", 100), filled(tmp_path / "new", 300)
    back_up(new, tmp_path / "copy")
    seen: set[int] = set()
    for round_ in range(8):
        goal = tmp_path / f"backup-{round_}"
        work = (
            "from pathlib import Path as P; from losswatch_server.store.backup import *; import sys; "
            "print('ready', flush=True); back_up(P(sys.argv[1]), P(sys.argv[2])); "
            "restore(P(sys.argv[2]), P(sys.argv[3]), replace=True)"
        )
        arguments = [sys.executable, "-c", work, str(new), str(goal), str(old)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.random() * 0.12)
            process.send_signal(signal.SIGKILL)
        if goal.exists():
            restore(goal, tmp_path / f"checked-{round_}")
            assert len(steps(tmp_path / f"checked-{round_}")) == 300
        count = len(steps(old))
        assert count in (100, 300)
        seen.add(count)
        if count == 300:
            back_up(old, tmp_path / f"again-{round_}")
            for path in old.iterdir():
                path.unlink()
            filled(old, 100)
    assert seen


def test_a_service_on_postgresql_is_not_backed_up_from_a_folder(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOSSWATCH_DATA_DIR")
    (tmp_path / "config.toml").write_text('database = "postgresql://me@127.0.0.1/runs"\n')
    refused = command("backup", str(tmp_path / "copy"), "--config", str(tmp_path / "config.toml"))
    assert (refused.returncode, "pg_dump" in refused.stderr) == (64, True)
