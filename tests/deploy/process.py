"""Starting the real service in a process of its own."""

from __future__ import annotations

import re
import selectors
import subprocess
import time


def line_with_address(process: subprocess.Popen[str], within: float = 60.0) -> str:
    """The ``http://host:port`` that the service prints once it answers; AssertionError when it does not come."""
    assert process.stdout is not None
    deadline = time.monotonic() + within
    seen = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(timeout=0.5):
                continue
            line = process.stdout.readline()
            if not line:
                break
            seen += line
            if match := re.search(r"http://[\w.:\[\]]+:\d+", line):
                return match[0]
    raise AssertionError(f"no address after {within:.0f} s; it printed {seen!r} and ended with {process.poll()}")
