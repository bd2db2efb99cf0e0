"""What ``test_workers`` gives to other processes to do: they import it by its name."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from losswatch_server.codec import BodyRefusedError, Problem


def pid(raw: bytes) -> int:
    """Of the process that works."""
    return os.getpid()


def priority(raw: bytes) -> int:
    """That of the process that works: the higher, the later its turn."""
    return os.nice(0)


def backwards(raw: bytes, times: int) -> bytes:
    """``raw`` from its end, so many times."""
    sys.stdout.write("what is printed is no answer\n")
    return raw[::-1] * times


def refuse(raw: bytes) -> None:
    """As a body is refused."""
    raise BodyRefusedError([Problem("/points/3/loss", raw.decode())], 7)


def hold_what_stays_here(raw: bytes) -> None:
    """Raise what no other process can have."""
    raise ValueError(lambda: raw)


def go_on(raw: bytes, place: str) -> None:
    """Write the pid down, and never end."""
    written = Path(place).with_suffix(".part")
    written.write_text(str(os.getpid()))
    written.rename(place)
    while True:
        time.sleep(0.01)


def open_files(raw: bytes) -> list[str]:
    """What the descriptors of the process stand for."""
    found = []
    for place in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(place.readlink()))
        except OSError:  # that of the listing itself
            continue
    return found
