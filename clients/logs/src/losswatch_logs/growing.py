"""`Growing`: a log that is still being written, read again and again in bounded memory and time.

A short log is read whole each time. Of a longer one the head stays, which says what kind of log it is, and a window of
its end; what is read of the window is joined to what was read before by the lines that both hold.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from losswatch_logs.reading import read_all
from losswatch_logs.result import NO_COLUMNS, Columns, LogPoint, ReadLog, UnreadableLogError

WHOLE, WINDOW = 400_000, 150_000
"""Characters: a log of the one takes 0.2 s to read, and the other holds a thousand lines."""
HEAD_LINES = 300
_REMEMBERED = 4000
"""Places of points, by their lines, that are kept to join the next window to."""
_LONGEST_TAIL = 100_000
"""A line without an end is cut there."""
_REDRAWN = re.compile(r"\r+(?!\n)|\x08+")


class Growth(NamedTuple):
    """``points``: those that are new, and the last ones before them, which may have got more fields since, with the
    steps and attempts of the whole log. ``log``: how it was read, with the context. ``revised``: the points before
    were read otherwise, and ``points`` are all of them."""

    points: List[LogPoint]
    log: ReadLog
    revised: bool = False


class _Place(NamedTuple):
    attempt: int
    step: int


class Growing:
    """Fed with text as it comes. ``why`` says why the text so far cannot be read, where that is so."""

    def __init__(self, columns: Columns = NO_COLUMNS, *, whole: int = WHOLE, window: int = WINDOW) -> None:
        """``whole``: characters up to which all of a log is read each time; ``window``: of the end of a longer one."""
        self.why = ""
        self._whole, self._window = whole, window
        self._columns = columns
        self._head: List[str] = []
        self._lines: List[str] = []
        self._size = self._unread = 0
        self._first = 1
        """The number of the first line of the window in the whole log."""
        self._tail = ""
        self._places: Dict[int, _Place] = {}
        self._last: Optional[_Place] = None
        self._last_line = 0

    def feed(self, text: str) -> None:
        """Takes in what was written since."""
        if text.startswith("\n") and self._tail.endswith("\r"):
            self._tail = self._tail[:-1]
        text = self._tail + text
        held = "\r" if text.endswith("\r") else ""  # its "\n" may be on the way
        text = text[: len(text) - len(held)]
        *whole, tail = _REDRAWN.sub("\n", text).split("\n")
        if len(tail) > _LONGEST_TAIL:
            whole, tail = [*whole, tail], ""
        self._tail = tail + held
        self._lines.extend(whole)
        grown = sum(map(len, whole)) + len(whole)
        self._size += grown
        self._unread += grown
        if self._size > (self._whole if self.is_whole else 2 * self._window):
            self._shorten()

    @property
    def is_due(self) -> bool:
        """Whether it must be read before more is fed: what leaves the window unread is lost."""
        return self._unread * 10 >= 7 * self._window

    @property
    def is_whole(self) -> bool:
        """Whether all of the log is still here."""
        return not self._head

    def read(self, *, ended: bool = False) -> Optional[Growth]:
        """What the log says by now; None while it cannot be read. ``ended``: the last line needs no end."""
        self._unread = 0
        lines = [*self._head, *self._lines]
        if ended and self._tail:
            lines.append(self._tail)
        try:
            logs = read_all("\n".join(lines) + "\n", columns=self._columns)
        except UnreadableLogError as error:
            self.why = error.detail
            return None
        self.why = ""
        read = [point._replace(line=self._absolute(point.line)) for point in _in_one(logs)]
        return self._joined(read, logs[-1])

    def _absolute(self, line: int) -> int:
        return line if line <= len(self._head) else line - len(self._head) + self._first - 1

    def _shorten(self) -> None:
        if not self._head:
            self._head, self._lines = self._lines[:HEAD_LINES], self._lines[HEAD_LINES:]
            self._first = HEAD_LINES + 1
        place, size = len(self._lines), 0
        while place and size < self._window:
            place -= 1
            size += len(self._lines[place]) + 1
        self._lines = self._lines[place:]
        self._first += place
        self._size = size

    def _joined(self, read: Sequence[LogPoint], log: ReadLog) -> Optional[Growth]:
        if not read:
            return None
        if self.is_whole:
            revised = self._is_revised(read)
            start = 0 if revised else _start(read, self._last_line)
            points = list(read[start:])
        else:
            revised, points = False, self._shifted(read)
        for point in points:
            if point.line:
                self._places[point.line] = _Place(point.attempt, point.step)
        if points:
            self._last, self._last_line = _Place(points[-1].attempt, points[-1].step), points[-1].line
        while len(self._places) > _REMEMBERED:
            del self._places[next(iter(self._places))]
        return Growth(points, log, revised)

    def _is_revised(self, read: Sequence[LogPoint]) -> bool:
        """Whether points that were read before have other steps now, as where a counter turned out to begin anew."""
        places = self._places
        return any(
            point.line in places and places[point.line] != (point.attempt, point.step) for point in read if point.line
        )

    def _shifted(self, read: Sequence[LogPoint]) -> List[LogPoint]:
        """The points of a window as a part of the whole: steps that count from its start go on from what was before."""
        known = [place for place, point in enumerate(read) if point.line in self._places]
        last = self._last or _Place(1, -1)
        if known:
            start = known[-1]
            attempts = self._places[read[start].line].attempt - read[start].attempt
            steps = self._places[read[start].line].step - read[start].step
        else:
            start = next((place for place, point in enumerate(read) if point.line > self._last_line), len(read))
            if start == len(read):
                return []
            attempts = last.attempt - read[start].attempt
            steps = 0 if read[start].step > last.step else last.step + 1 - read[start].step
        joined: List[LogPoint] = []
        began = read[start].attempt
        for point in read[start:]:
            shift = steps if point.attempt == began else 0
            joined.append(point._replace(step=point.step + shift, attempt=point.attempt + attempts))
        return joined


def _start(read: Sequence[LogPoint], line: int) -> int:
    """The place of the last point that begins no later than at a line; all points where there are no lines."""
    if not line:
        return 0
    before: Tuple[int, ...] = tuple(place for place, point in enumerate(read) if point.line <= line)
    return max(0, before[-1] - 8) if before else 0


def _in_one(logs: Sequence[ReadLog]) -> List[LogPoint]:
    """The runs of a text one after the other: each begins an attempt."""
    points: List[LogPoint] = []
    for log in logs:
        before = points[-1].attempt if points else 0
        points.extend(point._replace(attempt=point.attempt + before) for point in log.points)
    return points
