"""How much a computation does, counted in calls: the same on every machine, however fast or busy it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls(work: Callable[[], object]) -> int:
    """Calls of Python and of C functions while ``work`` runs. What one call of NumPy does is counted as one."""
    counted = 0

    def count(_frame: FrameType, event: str, _what: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
