"""What could not be delivered yet: a bounded file on disk that outlives the training process, or as much memory.

One file for each run and process: a first line that says where it goes, then one record a line. It is locked while
its process lives; a later process that finds it unlocked delivers it under its first writer's name. Delivering a
record twice is harmless (the service counts a point once), so the file only ever grows, is compacted, or goes.
"""

from __future__ import annotations

import collections
import io
import itertools
import json
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Deque, Iterator, List, NamedTuple, Optional, Protocol, Sequence

from losswatch.batches import Record, parse

LIMIT_BYTES = 64 * 2**20
MEMORY_BYTES = 64 * 2**20
RECORD_OVERHEAD = 300
"""Bytes that a record takes in memory beside its line."""

BEING_CREATED_S = 60.0
"""An empty file that is older was left by a process that ended before it wrote anything."""

_CHUNK = 2**18


class Address(NamedTuple):
    """Where records go, and under whose name."""

    url: str
    project: Optional[str]
    run: str
    writer: str


class Source(Protocol):
    """Records that wait, oldest first."""

    def peek(self, count: int) -> List[Record]:
        """The oldest records, at most ``count``."""

    def advance(self, count: int) -> None:
        """Forgets the oldest ``count`` records of those that were last seen."""

    def clear(self) -> None:
        """Forgets everything."""

    def __bool__(self) -> bool:
        """Whether anything waits."""


class MemorySpool:
    """As much as memory may hold, gone with the process; the oldest give way and are counted in ``dropped``."""

    def __init__(self, limit: int = MEMORY_BYTES) -> None:
        self.dropped = 0
        self._records: Deque[Record] = collections.deque()
        self._limit = limit
        self._size = 0

    def append(self, records: Sequence[Record]) -> None:
        for record in records:
            self._records.append(record)
            self._size += len(record.line) + RECORD_OVERHEAD
        while self._size > self._limit and len(self._records) > 1:
            self.dropped += self._take().step >= 0

    def peek(self, count: int) -> List[Record]:
        return list(itertools.islice(self._records, count))

    def advance(self, count: int) -> None:
        for _ in range(count):
            self._take()

    def clear(self) -> None:
        self._records.clear()
        self._size = 0

    @property
    def points(self) -> int:
        """How many points wait."""
        return sum(record.step >= 0 for record in self._records)

    def __bool__(self) -> bool:
        return bool(self._records)

    def _take(self) -> Record:
        record = self._records.popleft()
        self._size -= len(record.line) + RECORD_OVERHEAD
        return record


class FileSpool:
    """Records on disk. Raises OSError where the disk does not play along; what was kept before stays whole."""

    def __init__(self, path: Path, address: Optional[Address] = None, limit: int = LIMIT_BYTES) -> None:
        """Opens the file and locks it; with ``address`` it is created where it is missing.

        Raises OSError where that cannot be done (BlockingIOError or PermissionError while another process holds it),
        and ValueError for a file that is no spool.
        """
        self.path = path
        self.dropped = 0
        self._limit = limit
        self._sizes: List[int] = []
        if address is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT if address is not None else 0)
        with _opening:
            # Without a buffer of its own: nothing is half written, and a forked child has nothing to write again.
            self._file = io.FileIO(os.open(path, flags, 0o600), "r+")
            _held.add(self)
        try:
            lock(self._file)
            if not _is_still_at(self._file, path):
                raise FileNotFoundError(f"{path} was removed meanwhile")
            self._end = self._file.seek(0, os.SEEK_END)
            self._head = 0
            if self._end == 0 and address is None:
                if time.time() - path.stat().st_mtime < BEING_CREATED_S:
                    raise BlockingIOError(f"{path} is being created")
                path.unlink()  # its process ended before it kept anything
                raise FileNotFoundError(f"{path} is empty")
            if self._end == 0 and address is not None:
                try:
                    self._write(json.dumps({"losswatch_spool": 1, **address._asdict()}).encode() + b"\n")
                except OSError:
                    path.unlink()
                    raise
            self.address = _address_in(self._line(0))
            self._head = len(self._line(0))
        except BaseException:
            self.let_go()
            raise

    def append(self, records: Sequence[Record]) -> None:
        """Keeps all the records behind those already there, or none and raises OSError.

        The oldest give way, and are counted in ``dropped``, where the file has reached its limit.
        """
        if not records:
            return
        data = b"".join(record.line + b"\n" for record in records)
        if self._end + len(data) > self._limit:
            self._compact(max(self._limit // 2 - len(data), 0))
        self._write(data)

    def peek(self, count: int) -> List[Record]:
        records: List[Record] = []
        self._sizes = []
        skipped = 0
        for line in self._lines(self._head):
            try:
                records.append(parse(line.rstrip(b"\n")))
            except ValueError:
                skipped += len(line)  # torn off when its process was killed
                continue
            self._sizes.append(skipped + len(line))
            skipped = 0
            if len(records) >= count:
                break
        if not records:
            self._head = self._end
        return records

    def advance(self, count: int) -> None:
        self._head += sum(self._sizes[:count])
        self._sizes = self._sizes[count:]

    def clear(self) -> None:
        self._head = self._end

    @property
    def points(self) -> int:
        """How many points wait."""
        return sum(line.startswith(b'{"step"') for line in self._lines(self._head))

    def __bool__(self) -> bool:
        return self._head < self._end

    def close(self) -> None:
        """Lets go of the file, and removes it when nothing waits in it."""
        if not self and not self._file.closed:
            self.path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Closes the file and leaves it where it is."""
        _held.discard(self)
        self._file.close()

    def _lines(self, start: int) -> Iterator[bytes]:
        return itertools.chain.from_iterable(self._blocks(start))

    def _blocks(self, start: int) -> Iterator[List[bytes]]:
        rest = b""
        while start < self._end:
            self._file.seek(start)
            chunk = self._file.read(min(_CHUNK, self._end - start))
            if not chunk:
                break
            start += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield [line + b"\n" for line in lines]
        if rest:
            yield [rest]

    def _line(self, start: int) -> bytes:
        return next(iter(self._lines(start)), b"")

    def _compact(self, keep: int) -> None:
        """Moves the newest ``keep`` bytes of what waits to the front; older records are dropped and counted.

        In place, as there may be no room for a copy. What is kept lies behind what is overwritten: a process that is
        killed in the middle leaves some records twice and one torn, and none of the kept ones missing.
        """
        front = len(self._line(0))
        start = max(self._head, self._end - keep, front + (self._end - front) // 2)
        place = self._head
        for line in self._lines(self._head):
            if place >= start:
                break
            self.dropped += line.startswith(b'{"step"')
            place += len(line)
        to = front
        while place < self._end:
            self._file.seek(place)
            chunk = self._file.read(min(_CHUNK, self._end - place))
            self._put(to, chunk)
            to += len(chunk)
            place += len(chunk)
        self._file.truncate(to)
        self._head, self._end, self._sizes = front, to, []

    def _write(self, data: bytes) -> None:
        """Writes at the end; where the disk takes only a part of it, that part is taken back."""
        try:
            self._put(self._end, data)
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end += len(data)

    def _put(self, place: int, data: bytes) -> None:
        view = memoryview(data)
        self._file.seek(place)
        while view:
            written = self._file.write(view)
            if not written:
                raise OSError("nothing could be written")
            view = view[written:]


_held: weakref.WeakSet[FileSpool] = weakref.WeakSet()
_opening = threading.RLock()
"""Held from the opening of a file until it is known, and during a fork: a child can close whatever it inherits."""


def _after_fork_in_child() -> None:
    """The parent's files are the parent's: its locks must not live on in a child."""
    _opening.release()
    for spool in list(_held):
        spool.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_after_fork_in_child)


def _address_in(line: bytes) -> Address:
    """Raises ValueError where the line is no header of a spool."""
    header = json.loads(line)
    if not isinstance(header, dict) or header.get("losswatch_spool") != 1:
        raise ValueError("no spool of losswatch")
    url, project, run, writer = (header.get(name) for name in Address._fields)
    if not (isinstance(url, str) and isinstance(run, str) and isinstance(writer, str)):
        raise ValueError("the first line does not say where it goes")
    return Address(url, project if isinstance(project, str) else None, run, writer)


def _is_still_at(file: io.FileIO, path: Path) -> bool:
    """Whether the file was not removed between its opening and its locking."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def lock(file: io.FileIO) -> None:
    """Takes the file for this process, or raises OSError. The system gives it back when the process ends."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(2**30)  # a byte past the end: Windows locks bytes, and others may still read the text
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
