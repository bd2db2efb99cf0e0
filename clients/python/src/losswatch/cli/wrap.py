"""``losswatch run -- COMMAND``: runs a training, passes on what it prints, and watches it."""

from __future__ import annotations

import errno
import signal
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from losswatch.cli.arguments import columns
from losswatch.cli.beside import Beside
from losswatch.cli.child import Child, forwarded
from losswatch.cli.sources import Text
from losswatch.cli.stream import Passage
from losswatch.cli.watch import POLL_S, Watcher, reporter_for_stream, say
from losswatch_logs import Columns

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses as a shell gives them."""
_LEFT_OPEN_S = 2.0
"""So long after a command has ended its output may still come from what it started."""
_CANCELLED = (130, 143, 129)
_LONGEST_LINE = 1 << 16
"""Bytes of a line that is not ended; a longer one is read in pieces."""


def run(options: Any) -> int:
    """Runs the command that was given; its own exit status, or 128 and the number of the signal that ended it."""
    words: List[str] = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        say("give a command, as in: losswatch run -- python train.py")
        return 64
    try:
        child = Child(words, on_terminal=not options.no_pty and sys.stdout.isatty())
    except OSError as error:
        say(f"cannot run {words[0]}: {error.strerror or error}")
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return _Wrapped(child, options, script(words)).watch()


class _Wrapped:
    def __init__(self, child: Child, options: Any, name: str) -> None:
        self._child = child
        self._options = options
        self._passages: Dict[int, Passage] = {to: Passage(to) for to in child.outputs.values()}
        reporter = reporter_for_stream(options, name)
        self._watcher = Watcher(Text(Columns(*columns(options))), reporter)
        self._beside = Beside(self._watcher)
        self._begun: Dict[int, bytes] = {}
        self._stopped: Optional[str] = None
        self._next_signals: List[int] = []
        self._next_at = 0.0
        for number in forwarded():
            signal.signal(number, self._forward)
        if hasattr(signal, "SIGWINCH"):
            signal.signal(signal.SIGWINCH, lambda *_: child.resize())

    def watch(self) -> int:
        """Until the command has ended and nothing more comes; its exit status."""
        child = self._child
        ended_at: Optional[float] = None
        while child.outputs:
            for data, to in child.read(POLL_S):
                self._passages[to].write(data)
                self._watch_lines(data, to)
            self._judge()
            if child.has_ended:
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > _LEFT_OPEN_S:
                    break
        self._wait()
        for begun in self._begun.values():
            self._beside.put(begun)
        self._beside.end()
        self._finish(child.status)
        return child.status

    def _watch_lines(self, data: bytes, to: int) -> None:
        """Hands over whole lines: what the other output prints meanwhile must not come into the middle of one."""
        data = self._begun.pop(to, b"") + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if len(data) - end > _LONGEST_LINE:
            end = len(data)
        if end:
            self._beside.put(data[:end])
        if end < len(data):
            self._begun[to] = data[end:]

    def _wait(self) -> None:
        """For a command that closed its output and goes on."""
        while not self._child.has_ended:
            self._judge()
            time.sleep(POLL_S)

    def _judge(self) -> None:
        """Ends a training that cannot be saved, where that is asked for."""
        run = self._watcher.reporter.run
        if self._next_signals and time.monotonic() >= self._next_at:
            self._child.signal(self._next_signals.pop(0))
            self._next_at = time.monotonic() + self._options.grace
        if self._options.stop_on is None or self._stopped is not None or run is None or not run.should_stop:
            return
        report = run.report or {}
        self._stopped = str(report.get("headline", "the run is critical"))
        say(f"ending the training: {self._stopped}")
        for finding in report.get("findings", ()):
            for advice in finding.get("advice", ())[:2] if not finding.get("closed_by") else ():
                say(f"  advice: {advice.get('summary')}")
        self._next_signals = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)]
        self._next_at = 0.0

    def _finish(self, status: int) -> None:
        if self._watcher.reporter.run is None:
            source = self._watcher.source
            is_empty = isinstance(source, Text) and source.is_empty
            say("it printed nothing" if is_empty else f"nothing was read of what it printed: {source.why}")
        elif self._stopped is not None:
            self._watcher.reporter.finish("failed", f"ended by losswatch: {self._stopped}")
        elif status == 0:
            self._watcher.reporter.finish("finished")
        elif status in _CANCELLED:
            self._watcher.reporter.finish("cancelled")
        else:
            self._watcher.reporter.finish("failed", f"exit status {status}")

    def _forward(self, number: int, _: Any) -> None:
        from_terminal = number in (signal.SIGINT, getattr(signal, "SIGQUIT", None))
        if not (from_terminal and self._child.shares_our_group):
            self._child.signal(number)


def script(words: List[str]) -> str:
    """A name for what a command runs: the script's or module's, not the interpreter's."""
    for place, word in enumerate(words):
        if word in ("-m", "--module") and place + 1 < len(words):
            return words[place + 1].rpartition(".")[2]
        if place and word.endswith((".py", ".sh", ".R", ".jl", ".lua")):
            return Path(word).stem
    return Path(words[0]).stem
