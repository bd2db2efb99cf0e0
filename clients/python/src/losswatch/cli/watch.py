"""``losswatch watch``: follows a file, a folder or a pipe until it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

from losswatch.addresses import DEFAULT_URL
from losswatch.cli import state
from losswatch.cli.arguments import columns
from losswatch.cli.discovery import Found, run_at, source_of
from losswatch.cli.report import Reporter
from losswatch.cli.sources import News, Source, Text
from losswatch_logs import Columns

UNREADABLE = 66
"""The exit status where nothing could be read."""
POLL_S = 0.25
SETTLED_S = 1.0
"""After so long without a new line the last point is taken to be complete."""
_FIRST, _FIRST_S = 8, 5.0
"""The first points are held back until there are so many, or for so long: a log may turn out to be of another kind."""


class Watcher:
    """Reports what a source gives: the last point when it is complete, the first ones when it is clear how to read."""

    def __init__(self, source: Source, reporter: Reporter) -> None:
        self.source = source
        self.reporter = reporter
        self._held: Optional[News] = None
        self._began = self._is_broken = False
        self._said = ""

    def look(self, *, at_end: bool = False) -> None:
        """Asks for news and reports them."""
        if not self._is_broken:
            with self._shield():
                self._look(at_end=at_end)

    def take(self, data: bytes) -> None:
        """Takes in a piece of a stream."""
        if not self._is_broken:
            with self._shield():
                assert isinstance(self.source, Text)
                for news in self.source.take(data):
                    self._take(news, at_end=False)

    @contextlib.contextmanager
    def _shield(self) -> Iterator[None]:
        """A fault of the watcher must not end what is passed on, or the training."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            self._is_broken = True
            say(f"{self.reporter.name}: the watcher failed and watches no more; the training goes on: {error!r}")

    def _look(self, *, at_end: bool) -> None:
        for news in self.source.news(at_end=at_end):
            self._take(news, at_end=at_end)
        quiet = time.monotonic() - self.source.changed_at
        if self._held is not None and (at_end or quiet > (SETTLED_S if self._began else _FIRST_S)):
            self._send(self._held)
            self._held = None

    def _take(self, news: News, *, at_end: bool) -> None:
        self._doubt(news)
        if at_end:
            self._held = None
            self._send(news)
        elif self._began or len(news.points) > _FIRST:
            self._send(news._replace(points=news.points[:-1]))
            self._held = news._replace(points=news.points[-1:], revised=False)
        else:
            self._held = news

    def _send(self, news: News) -> None:
        self._began = self._began or bool(news.points)
        self.reporter.send(news.points, news.context, revised=news.revised)

    def _doubt(self, news: News) -> None:
        """Says once how the log is read, and where that may be wrong."""
        doubts = [doubt.detail for doubt in news.log.doubts if doubt.serious]
        said = f"in doubt: {doubts[0]}" if doubts else f"read as {news.log.format}: {'; '.join(news.log.read_as[:3])}"
        if said != self._said and (doubts or not self._said):
            self._said = said
            say(f"{self.reporter.name}: {said}")


def watch(options: Any) -> int:
    """The exit status: 0, or 66 where nothing could be read."""
    path = Path(options.path)
    follower: Optional[_Follower] = None
    stop = Stop()
    since = time.monotonic()
    if not options.once and not path.exists():
        say(f"there is no {path} yet; waiting for it")
    while not stop.asked:
        found = None if follower is not None else run_at(path)
        if found is not None:
            follower = _Follower(found, options)
        if follower is not None:
            follower.look()
            since = follower.watcher.source.changed_at
        if options.once or _is_over(options, since):
            break
        stop.wait(POLL_S)
    if follower is None:
        say(f"nothing was found in {path}")
        return UNREADABLE
    return follower.end(is_over=_is_over(options, since) and not options.once)


class _Follower:
    """A watcher that remembers how far it came."""

    def __init__(self, found: Found, options: Any) -> None:
        name = options.run or os.environ.get("LOSSWATCH_RUN") or found.name
        url = options.url or os.environ.get("LOSSWATCH_URL") or DEFAULT_URL
        self._key = (str(found.path.resolve()), url, options.project or "", name)
        self._kept = None if options.restart else state.load(self._key)
        writer = self._kept and self._kept.writer
        reporter = Reporter(name, dict(options.context), writer=writer, **run_options(options))
        self.watcher = Watcher(source_of(found.path, Columns(*columns(options))), reporter)
        self._path = found.path

    def look(self, *, at_end: bool = False) -> None:
        """Reports what is new, and remembers what is stored."""
        source, reporter, kept = self.watcher.source, self.watcher.reporter, self._kept
        if kept is not None and reporter.run is None:
            is_same = source.identity is None or kept.identity is None or source.identity == kept.identity
            reporter.until = kept.place if is_same else None
        self.watcher.look(at_end=at_end)
        if reporter.run is not None and reporter.is_news and reporter.run.flush(5.0):
            reporter.is_news = False
            state.save(self._key, state.Progress(reporter.writer, reporter.name, reporter.place, source.identity))

    def end(self, *, is_over: bool) -> int:
        """The exit status: the run stays open unless it ``is_over``."""
        self.look(at_end=True)
        reporter = self.watcher.reporter
        if reporter.run is not None and is_over:
            reporter.finish("finished")
        elif reporter.run is not None:
            reporter.leave()
        elif reporter.until is None:
            why = self.watcher.source.why
            say(f"nothing was read of {self._path}{': ' + why if why else ''}")
            return UNREADABLE
        return 0


def _is_over(options: Any, since: float) -> bool:
    if options.pid is not None and not _is_alive(options.pid):
        return True
    return options.idle is not None and time.monotonic() - since > options.idle


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def reporter_for_stream(options: Any, script: str = "") -> Reporter:
    """The reporter of a training that has no file: a run of its own each time, unless it is given a name."""
    name = options.run or os.environ.get("LOSSWATCH_RUN") or f"{script or 'run'}-{time.strftime('%Y%m%d-%H%M%S')}"
    return Reporter(name, dict(options.context), **run_options(options))


def run_options(options: Any) -> Dict[str, Any]:
    """What the run is begun with beside its context."""
    given = {"url": options.url, "project": options.project, "quiet": options.quiet, "rank": 0}
    return {name: value for name, value in given.items() if value is not None}


def say(sentence: str) -> None:
    """A line for the person, beside what is passed on."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"losswatch: {sentence}\n")
        sys.stderr.flush()


class Stop:
    """Whether SIGINT or SIGTERM asked for the end; they interrupt `wait`."""

    def __init__(self) -> None:
        self.asked = False
        self._pipe = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: Any) -> None:
        self.asked = True
        with contextlib.suppress(OSError):
            os.write(self._pipe[1], b"x")

    def wait(self, seconds: float) -> None:
        """Waits so long, or until the end is asked for."""
        select.select([self._pipe[0]], [], [], seconds)
