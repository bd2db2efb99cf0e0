"""Who waits for a delivery: a caller of `flush`, and a child that was forked.

The child waits for what its parent logged before the fork: would it come first, that would look like a step back.
"""

from __future__ import annotations

import collections
import mmap
import os
import threading
import time
from typing import Callable, Deque, List, NamedTuple, Optional, Union

PATIENCE_S = 30.0
"""A parent that takes longer has a service that is away: then the child finds that out itself."""
LAST_TRY_S = 2.0
"""Of the time that a process has to end, what a child keeps for its own points however its parent does."""
BREATH_S = 0.02
"""Between two looks of an ending child at what its parent has delivered."""


class Promise:
    """One byte that parent and child share. It looks like an Event that is only set and never waited for."""

    def __init__(self) -> None:
        """Raises OSError where the system has no memory to share."""
        self._byte = mmap.mmap(-1, 1)
        self._parent = os.getpid()

    def set(self) -> None:
        """The parent has delivered it, or can no longer."""
        self._byte[0] = 1

    def is_kept(self) -> bool:
        """Whether there is nothing to wait for any more, as the child sees it."""
        return self._byte[0] == 1 or os.getppid() != self._parent


class Patience:
    """How long a child goes on waiting for the promise of its parent."""

    def __init__(self, promise: Optional[Promise]) -> None:
        self._promise = promise
        self._until = time.monotonic() + PATIENCE_S

    def waits(self, ends_at: Optional[float]) -> bool:
        """Whether to wait, where the process has to end at that time, if at all."""
        if self._promise is None:
            return False
        until = self._until if ends_at is None else min(self._until, ends_at - LAST_TRY_S)
        if self._promise.is_kept() or time.monotonic() >= until:
            self._promise = None
        return self._promise is not None


class Waiter(NamedTuple):
    """One that waits until everything is delivered that was logged before it came."""

    event: Union[threading.Event, Promise]
    is_patient: bool
    """Whether it goes on waiting while the service is away."""


class Waiters:
    """Those of one sender. Anybody may join, at any time; the sender's thread alone lets them go."""

    def __init__(self) -> None:
        self._waiting: Deque[Waiter] = collections.deque()

    def wait(self, timeout: float, is_patient: bool, wake: Callable[[], None], is_over: Callable[[], bool]) -> bool:
        """Whether everything was delivered within ``timeout`` seconds, and before the sender's thread ``is_over``."""
        delivered = threading.Event()
        self._waiting.append(Waiter(delivered, is_patient))
        wake()
        deadline = time.monotonic() + timeout
        while not delivered.wait(min(max(deadline - time.monotonic(), 0.0), 1.0)):
            if time.monotonic() >= deadline or is_over():
                break
        return delivered.is_set()

    def promise(self) -> Optional[Promise]:
        """What a child that is forked now waits for; None where the system has no memory to share."""
        try:
            promise = Promise()
        except OSError:
            return None
        self._waiting.append(Waiter(promise, is_patient=True))
        return promise

    def come(self) -> List[Waiter]:
        """Those who came before now."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def settle(self, waiters: List[Waiter], is_delivered: bool, is_away: bool) -> None:
        """Lets go of those whose wait is over; the others stay."""
        for waiter in waiters:
            if is_delivered or (is_away and not waiter.is_patient):
                waiter.event.set()
            else:
                self._waiting.append(waiter)

    def leave(self) -> None:
        """The thread ends: what is left lies on disk, where a child finds it."""
        for waiter in tuple(self._waiting):
            if isinstance(waiter.event, Promise):
                waiter.event.set()
