"""Whether what was read from the store has the shape of one of our types, before that type is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


def shape_check(kind: type) -> Callable[[Any], None]:
    """A check that raises ValueError for what has another shape than ``kind``. Make it when a module is loaded.

    msgspec learns a class when it first sees it, and publishes what it has learned while that is incomplete: two
    threads that first see a class at the same time crash the process. Here it is learned before there are threads.
    """
    msgspec.json.Decoder(kind)

    def check(value: Any) -> None:
        msgspec.convert(value, kind)

    return check
