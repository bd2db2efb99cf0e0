"""Where a training writes: files that grow, files that are written anew, event files, streams."""

from __future__ import annotations

import codecs
import contextlib
import os
import time
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from losswatch_logs import Columns, Growing, LogPoint, ReadLog, UnreadableLogError, read_all
from losswatch_logs.events import EventFile, Scalar, read_events

CHUNK = 32_768
_SHARE = 10
"""Reading a log again takes at most one tenth of the time."""
LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read whole each time."""

Identity = Tuple[int, int]


class News(NamedTuple):
    """Points to report, what the log says of the job, and whether what was reported before was read otherwise."""

    points: List[LogPoint]
    context: Dict[str, Any]
    revised: bool
    log: ReadLog


class Source:
    """``why``: why nothing can be read so far. ``is_over``: whether nothing more will come."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.why = ""
        self.is_over = False
        self.changed_at = time.monotonic()

    def news(self, *, at_end: bool = False) -> Iterator[News]:
        """What has come since; ``at_end``: the last line needs no end any more."""
        raise NotImplementedError

    @property
    def identity(self) -> Optional[Identity]:
        """What tells the file from another of the same name; None for what has none."""
        return None


class Text(Source):
    """Text that comes in pieces: decoded, read at most a tenth of the time."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self._growing = Growing(columns)
        self._decoder: Optional[codecs.IncrementalDecoder] = None
        self._unread = False
        self._not_before = 0.0
        self.is_empty = True
        """Whether nothing was ever written there."""

    def take(self, data: bytes) -> Iterator[News]:
        """Takes in what was written; of long pieces the news come at once."""
        for start in range(0, len(data), CHUNK):
            self._growing.feed(self._decoded(data[start : start + CHUNK]))
            self._unread, self.is_empty = True, False
            if self._growing.is_due:
                yield from self._read(at_end=False)
        if data:
            self.changed_at = time.monotonic()

    def news(self, *, at_end: bool = False) -> Iterator[News]:
        if self.is_empty:
            self.why = self.why or "it is empty"
        elif at_end or (self._unread and time.monotonic() >= self._not_before):
            yield from self._read(at_end=at_end)

    def _read(self, *, at_end: bool) -> Iterator[News]:
        began = time.monotonic()
        self._unread = False
        grown = self._growing.read(ended=at_end)
        self.why = self._growing.why
        self._not_before = time.monotonic() + _SHARE * (time.monotonic() - began)
        if grown is not None:
            yield News(grown.points, dict(grown.log.context), grown.revised, grown.log)

    def _decoded(self, data: bytes) -> str:
        if self._decoder is None:
            encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
            self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        return self._decoder.decode(data)


class GrowingFile(Text):
    """A file that a program appends to; also when it is rotated, truncated, or not there yet."""

    def __init__(self, path: Path, columns: Columns) -> None:
        super().__init__(columns)
        self.path = path
        self._file: Optional[IO[bytes]] = None

    @property
    def identity(self) -> Optional[Identity]:
        return None if self._file is None else _identity(os.fstat(self._file.fileno()))

    def news(self, *, at_end: bool = False) -> Iterator[News]:
        yield from self._drain()
        if self._was_replaced():
            yield from self._drain()  # what came between the last look and the rotation
            self._close()
            yield from self._drain()
        yield from super().news(at_end=at_end)

    def close(self) -> None:
        """Lets go of the file."""
        self._close()

    def _drain(self) -> Iterator[News]:
        if self._file is None:
            try:
                self._file = self.path.open("rb")
            except OSError as error:
                self.why = error.strerror or str(error)
                return
            self.why = ""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # truncated: written from its start again
        while True:
            data = self._file.read(CHUNK)
            if not data:
                return
            yield from self.take(data)

    def _was_replaced(self) -> bool:
        """Whether another file stands at the path by now; a path without one keeps what is open."""
        if self._file is None:
            return False
        try:
            return _identity(self.path.stat()) != self.identity
        except OSError:
            return False

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class WholeFile(Source):
    """A file that is written anew each time: a trainer's state, the metrics of a logger."""

    def __init__(self, path: Path, columns: Columns) -> None:
        super().__init__(columns)
        self.path = path
        self._seen: Tuple[int, int] = (0, -1)

    def news(self, *, at_end: bool = False) -> Iterator[News]:
        try:
            now = self.path.stat()
        except OSError as error:
            self.why = error.strerror or str(error)
            return
        if (now.st_mtime_ns, now.st_size) == self._seen or now.st_size > LARGEST:
            return
        try:
            logs = read_all(self.path.read_bytes(), name=str(self.path), columns=self.columns)
        except (OSError, UnreadableLogError) as error:
            self.why = str(error)  # perhaps it is just being written
            return
        self.why = ""
        self._seen = (now.st_mtime_ns, now.st_size)
        self.changed_at = time.monotonic()
        yield News(logs[-1].points, dict(logs[-1].context), False, logs[-1])


class EventFiles(Source):
    """TensorBoard's event files of one run, in the order of their names: of a folder, and of its folders by set."""

    def __init__(self, files: Iterator[Path], folder: Path, columns: Columns) -> None:
        super().__init__(columns)
        self.folder = folder
        self._listed = sorted(files)
        self._read: Dict[Path, Tuple[EventFile, int]] = {}
        self._scalars: List[Scalar] = []

    def news(self, *, at_end: bool = False) -> Iterator[News]:
        before = len(self._scalars)
        for path in sorted({*self._listed, *event_files(self.folder)} if self.folder.is_dir() else self._listed):
            with contextlib.suppress(OSError):
                self._take(path)
        if len(self._scalars) == before:
            return
        self.changed_at = time.monotonic()
        try:
            log = read_events(self._scalars, self.columns)
        except UnreadableLogError as error:
            self.why = error.detail
            return
        self.why = ""
        yield News(log.points, dict(log.context), False, log)

    def _take(self, path: Path) -> None:
        events, position = self._read.setdefault(path, (EventFile(), 0))
        if path.stat().st_size <= position:
            return
        prefix = _set_of(path, self.folder)
        with path.open("rb") as file:
            file.seek(position)
            while True:
                data = file.read(1 << 20)
                if not data:
                    break
                position += len(data)
                for scalar in events.feed(data):
                    self._scalars.append(scalar._replace(tag=prefix + scalar.tag))
        self._read[path] = (events, position)


def event_files(folder: Path) -> Iterator[Path]:
    """The event files of one run: those in a folder, and in folders of it that are named after a set of data."""
    yield from folder.glob("*tfevents*")
    for each in ("train", "training", "validation", "val", "valid", "eval", "test"):
        yield from (folder / each).glob("*tfevents*")


def _set_of(path: Path, folder: Path) -> str:
    return "" if path.parent == folder or not folder.is_dir() else f"{path.parent.name}/"


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
