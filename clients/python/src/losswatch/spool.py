"""What could not be delivered yet: a bounded file on disk that outlives the training process.

One file for each run and process: a first line that says where it goes, then one record a line. It is locked while
its process lives; a later process that finds it unlocked delivers it under its first writer's name. Delivering a
record twice is harmless (the service counts a point once), so the file only ever grows, is compacted, or goes.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
import os
import sys
from pathlib import Path
from typing import IO, Deque, List, NamedTuple, Optional, Protocol, Sequence, Tuple

from losswatch.batches import Record, parse

LIMIT_BYTES = 64 * 2**20
MEMORY_RECORDS = 20_000


class Address(NamedTuple):
    """Where records go, and under whose name."""

    url: str
    project: Optional[str]
    run: str
    writer: str


class Spool(Protocol):
    """Records that wait, oldest first."""

    dropped: int

    def append(self, records: Sequence[Record]) -> None:
        """Keeps records behind those already there; drops the oldest (and counts them) when there is no room."""

    def peek(self, count: int) -> List[Record]:
        """The oldest records, at most ``count``."""

    def advance(self, count: int) -> None:
        """Forgets the oldest ``count`` records."""

    def clear(self) -> None:
        """Forgets everything."""

    def __bool__(self) -> bool:
        """Whether anything waits."""

    def close(self) -> None:
        """Lets go of it; what still waits stays where it is."""


class MemorySpool:
    """Where there is no disk to write to: as much as memory may hold, gone with the process."""

    def __init__(self, limit: int = MEMORY_RECORDS) -> None:
        self.dropped = 0
        self._records: Deque[Record] = collections.deque()
        self._limit = limit

    def append(self, records: Sequence[Record]) -> None:
        self._records.extend(records)
        while len(self._records) > self._limit:
            self._records.popleft()
            self.dropped += 1

    def peek(self, count: int) -> List[Record]:
        return list(itertools.islice(self._records, count))

    def advance(self, count: int) -> None:
        for _ in range(count):
            self._records.popleft()

    def clear(self) -> None:
        self._records.clear()

    def __bool__(self) -> bool:
        return bool(self._records)

    def close(self) -> None:
        self.clear()


class FileSpool:
    """Records on disk. Raises OSError where the disk does not play along."""

    def __init__(self, path: Path, address: Address, limit: int = LIMIT_BYTES) -> None:
        """Opens or creates the file and locks it. Raises BlockingIOError while another process holds it."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self.dropped = 0
        self._limit = limit
        self._file: IO[bytes] = path.open("a+b")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise
        self._header = json.dumps({"losswatch_spool": 1, **address._asdict()}).encode() + b"\n"
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() == 0:
            self._write(self._header)
        self._end = self._file.tell()
        self._file.seek(0)
        self._head = len(self._file.readline())

    def append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        data = b"".join(record.line + b"\n" for record in records)
        if self._end + len(data) > self._limit:
            self._compact(max(self._limit // 2 - len(data), 0))
        self._write(data)
        self._end += len(data)

    def peek(self, count: int) -> List[Record]:
        self._file.seek(self._head)
        records: List[Record] = []
        while len(records) < count:
            line = self._file.readline()
            if not line:
                break
            try:
                records.append(parse(line.rstrip(b"\n")))
            except ValueError:
                if records:
                    break
                self._head += len(line)  # torn off when its process was killed
        return records

    def advance(self, count: int) -> None:
        self._file.seek(self._head)
        for _ in range(count):
            self._head += len(self._file.readline())

    def clear(self) -> None:
        self._head = self._end

    def __bool__(self) -> bool:
        return self._head < self._end

    def close(self) -> None:
        """Removes the file when nothing waits in it."""
        if not self:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _compact(self, keep: int) -> None:
        """Rewrites the file with the newest ``keep`` bytes of what waits; older records are dropped and counted."""
        start = max(self._head, self._end - keep)
        self._file.seek(self._head)
        while self._head < start:
            line = self._file.readline()
            self._head += len(line)
            self.dropped += 1
        kept = self._file.read()
        self._file.seek(0)
        self._file.truncate()
        self._write(self._header + kept)
        self._head = len(self._header)
        self._end = self._head + len(kept)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()


def spool_path(folder: Path, address: Address) -> Path:
    """The file of one run and writer below ``folder``."""
    key = json.dumps([address.url, address.project, address.run])
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:12]}-{address.writer}.jsonl"


def open_spool(folder: Optional[Path], address: Address) -> Spool:
    """The spool of this process: a file where that is possible, memory otherwise."""
    if folder is None:
        return MemorySpool()
    try:
        return FileSpool(spool_path(folder, address), address)
    except OSError:
        return MemorySpool()


def left_behind(folder: Optional[Path], address: Address) -> List[Tuple[Address, FileSpool]]:
    """The files of processes that are gone, for the same service: those of the same run first, then by age."""
    found: List[Tuple[bool, float, Address, FileSpool]] = []
    for path in sorted(folder.glob("*.jsonl")) if folder is not None else ():
        try:
            with path.open("rb") as file:
                header = json.loads(file.readline())
            owner = Address(*(header[name] for name in Address._fields))
            if owner.url == address.url and owner.writer != address.writer:
                other = owner[:3] != address[:3]
                found.append((other, path.stat().st_mtime, owner, FileSpool(path, owner)))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another process holds it, or it is none of ours
    found.sort(key=lambda item: item[:2])
    return [(owner, spool) for _, _, owner, spool in found]


def default_folder() -> Path:
    """Where spools lie: ``LOSSWATCH_SPOOL_DIR``, or the platform's place for a program's state."""
    given = os.environ.get("LOSSWATCH_SPOOL_DIR")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "losswatch" / "spool"


def _lock(file: IO[bytes]) -> None:
    """Takes the file for this process, or raises OSError. The system gives it back when the process ends."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(2**30)  # a byte past the end: Windows locks bytes, and others may still read the text
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
