"""``losswatch watch -``: standard input is passed on to standard output, and watched beside."""

from __future__ import annotations

import os
import select
import sys
from typing import Any, Optional

from losswatch.cli.arguments import columns
from losswatch.cli.beside import Beside
from losswatch.cli.sources import CHUNK, Text
from losswatch.cli.watch import POLL_S, UNREADABLE, Stop, Watcher, reporter_for_stream, say
from losswatch_logs import Columns


def watch_stream(options: Any) -> int:
    """Until the input ends: 0, or 66 where nothing could be read of it."""
    beside = Beside(Watcher(Text(Columns(*columns(options))), reporter_for_stream(options)))
    stop = Stop()
    out = Passage(sys.stdout.fileno())
    while not stop.asked:
        ready, _, _ = select.select([0], [], [], POLL_S)
        if ready:
            data = os.read(0, CHUNK)
            if not data:
                break
            out.write(data)
            beside.put(data)
    beside.end()
    if beside.watcher.reporter.run is None:
        source = beside.watcher.source
        is_empty = isinstance(source, Text) and source.is_empty
        say("nothing came" if is_empty else f"nothing was read: {source.why}")
        return UNREADABLE
    beside.watcher.reporter.finish("cancelled" if stop.asked else "finished")
    return 0


class Passage:
    """Where bytes are passed on to; once nobody takes them any more they are let go."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: Optional[int] = descriptor

    def write(self, data: bytes) -> None:
        while data and self._descriptor is not None:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                self._descriptor = None
