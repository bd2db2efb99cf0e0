"""The training that ``losswatch run`` started: what it prints, the signals it gets, how it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

CHUNK = 32_768


class Child:
    """A started command. With ``on_terminal`` its output goes to a terminal of its own, else to two pipes.

    Where standard input is a terminal the child shares the process group, so that Ctrl-C and Ctrl-Z reach it from the
    terminal as ever; elsewhere it has a group of its own, and signals go to all of it.
    """

    def __init__(self, words: List[str], *, on_terminal: bool) -> None:
        self._terminal: Optional[int] = None
        self.outputs: Dict[int, int] = {}
        """Where its output is read, and the descriptor that it is passed on to."""
        self.shares_our_group = sys.stdin is not None and sys.stdin.isatty()
        environment = {**os.environ}
        environment.setdefault("PYTHONUNBUFFERED", "1")  # a line that waits in a buffer cannot be watched
        if on_terminal:
            ours, theirs = _terminal_pair()
            out = error = theirs
        else:
            ours, theirs, out, error = -1, -1, subprocess.PIPE, subprocess.PIPE
        try:
            with _interruptible(own_session=not self.shares_our_group):
                self.process = subprocess.Popen(
                    words, stdout=out, stderr=error, env=environment, start_new_session=not self.shares_our_group
                )
        except OSError:
            if on_terminal:
                os.close(ours)
            raise
        finally:
            if on_terminal:
                os.close(theirs)
        if on_terminal:
            self._terminal = ours
            self.outputs[ours] = sys.stdout.fileno()
            return
        for stream, to in ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr)):
            if stream is not None:
                self.outputs[stream.fileno()] = to.fileno()

    def read(self, seconds: float) -> Iterator[Tuple[bytes, int]]:
        """What it prints within so many seconds, and where that goes; outputs that are closed leave `outputs`."""
        ready, _, _ = select.select(list(self.outputs), [], [], seconds)
        for descriptor in ready:
            try:
                data = os.read(descriptor, CHUNK)
            except OSError:  # a terminal whose other end is closed
                data = b""
            if data:
                yield data, self.outputs[descriptor]
            else:
                del self.outputs[descriptor]

    def signal(self, number: int) -> None:
        """Passes a signal on: to its whole group or, where that is ours too, to it and its descendants."""
        if not self.shares_our_group:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, number)
            return
        for pid in (self.process.pid, *descendants(self.process.pid)):
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def resize(self) -> None:
        """Gives its terminal the size of ours."""
        if self._terminal is not None:
            _same_size(self._terminal)

    @property
    def has_ended(self) -> bool:
        """Whether the command itself is over; what it started may still hold its output."""
        return self.process.poll() is not None

    @property
    def status(self) -> int:
        """Its exit status; 128 and the number of the signal that ended it."""
        code = self.process.wait()
        return 128 - code if code < 0 else code


def descendants(pid: int) -> List[int]:
    """The processes that a process started, and what they started; none where the system does not tell."""
    parents: Dict[int, List[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: List[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.extend(children)
        waiting.extend(children)
    return found


def _terminal_pair() -> Tuple[int, int]:
    """Our end and the child's end of a terminal that changes nothing of what is written to it."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    _same_size(ours)
    return ours, theirs


def _same_size(terminal: int) -> None:
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


@contextlib.contextmanager
def _interruptible(*, own_session: bool) -> Iterator[None]:
    """What is started meanwhile takes SIGINT, as a training that is to save a checkpoint must, although a shell starts
    what it puts into the background with SIGINT ignored: that is for Ctrl-C, which does not reach another session."""
    ignored = own_session and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def forwarded() -> List[signal.Signals]:
    """The signals that are passed on. From a terminal, Ctrl-C and Ctrl-\\ reach the child by themselves."""
    names = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGINT", "SIGQUIT"]
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
