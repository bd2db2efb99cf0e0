"""Turning requests away while more come than can be answered, so that those that are taken are answered soon.

What waits is work that the processor or the disk has not got to: the more requests are in progress, the longer each
waits, and none is answered sooner. The number in progress is therefore held at what is answered within the time that a
request may wait: a few times what one took while there was nothing to wait for (Little's law: in progress = answered a
second x seconds in progress). Turning away costs a small part of what answering does.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from losswatch_server.api.http.problems import BUSY, ProblemError

LEAST = 32
"""So many at once are always taken: 32 clients that begin together are no overload."""
WAIT_FACTOR = 4.0
"""How many times the quickest answer of late a request may take; the slowest of a hundred takes about twice that."""
SHORTEST_WAIT_S = 0.04
PACE_S = 0.1
"""Over so long the answers are counted: a few groups of commits. Until an overload is noticed everything is taken, and
that waits longest."""
PACE_MEMORY_S = 0.5
"""The pace is an average over so long, for a single window may hold one group of commits more or less."""
ENOUGH = 8
LONGEST_PACE_S = 2.0
"""A window is longer where it has fewer than so many answers, but not longer than this."""
HELD_UP_S = 0.5
"""Before an overload and after it, what is answered in so long may be in progress: the process was held up by other
work on its cores, or by a commit that took its time, and catches up."""
OVERLOAD_S = 1.0
TURNED_AWAY, COULD = 0.1, 0.9
"""An overload goes on while, over so long, more than this part of what is answered is turned away and more comes than
this part of the most that was answered in it. That what is taken is answered quickly is no sign that all could be; that
a few are turned away is none that too many come, for the process may have been held up for a moment. (When it took this
for a sign, nobody was turned away any more only 7 to 13 s after an overload, at half of what could be answered.)"""
STANDSTILL_S = 0.05
"""Where there is work, or much was to be expected, and so long nothing comes or ends, the process or its disk stood
still: other work has the cores, or a commit takes long. What came meanwhile is then seen at once. That is no overload,
and it is taken."""
LONGEST_STANDSTILL_S = 1.0
"""What is longer may be that nobody asked."""
CATCHING_UP = 4.0
"""Times a standstill that what was missed in it may take to be made up for, as it does at three quarters of what can be
answered."""
MEMORY = 40
SPAN_S = 30.0
"""The quickest answer is that of the last MEMORY spans of this length: twenty minutes, longer than an overload lasts
that nobody looks at."""


OVERLOADED = ProblemError(
    BUSY, "More requests come than can be answered. Nothing of this one was stored; send it again in a second."
)


class Shedding:
    """Counts the requests in progress of one kind. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.in_progress = 0
        self.shed = 0
        """Turned away since the start, for the metrics."""
        self._began = clock()
        self._answered = 0
        self._quickest_now = math.inf
        self._pace = 0.0
        self._waits = False
        self._overloaded = False
        self._shed_before = 0
        self._could = 0.0
        """The most that was answered a second in this overload."""
        self._lately: deque[_Window] = deque()
        """OVERLOAD_S together."""
        self._seen_at = self._began
        self._missed = 0.0
        self._missed_at, self._missed_for = self._began, 1.0
        self._quickest: deque[tuple[float, float]] = deque(maxlen=MEMORY)

    def refusal(self) -> ProblemError | None:
        """Why one more is not taken; None where it is, to be ended with ``end``."""
        now = self._clock()
        if now - self._seen_at > STANDSTILL_S:
            self._stood_still(now)
        self._seen_at = now
        if self.in_progress >= LEAST and self._waits and self.in_progress >= self.most() + self._to_make_up(now):
            self._overloaded = True
            self.shed += 1
            self._turn(now)
            return OVERLOADED
        self.in_progress += 1
        return None

    def end(self, seconds: float, *, worked: bool = True) -> None:
        """One is over, after so long; ``worked``: it was done, not refused, which takes no time."""
        now = self._clock()
        if now - self._seen_at > STANDSTILL_S:
            self._stood_still(now)
        self._seen_at = now
        self.in_progress -= 1
        if worked:
            self._answered += 1
            self._quickest_now = min(self._quickest_now, seconds)
        self._turn(now)

    def most(self) -> int:
        """How many may be in progress while they have to wait."""
        waits_s = self._may_take_s()
        if self._overloaded:
            return max(LEAST, math.ceil(self._pace * waits_s))
        return max(LEAST, math.ceil(self._answered_a_second() * max(HELD_UP_S, waits_s)))

    def _stood_still(self, now: float) -> None:
        """What was in progress waited for nothing that more requests would make longer."""
        stood_s = min(now - self._seen_at, LONGEST_STANDSTILL_S)
        if self.in_progress or self._pace * stood_s > ENOUGH:
            self._missed = self._to_make_up(now) + self._pace * stood_s
            self._missed_at, self._missed_for = now, CATCHING_UP * stood_s

    def _to_make_up(self, now: float) -> float:
        """Requests of a standstill that may be in progress still."""
        return self._missed * max(0.0, 1.0 - (now - self._missed_at) / self._missed_for)

    def _may_take_s(self) -> float:
        quickest = min((value for _, value in self._quickest), default=0.0)
        return max(SHORTEST_WAIT_S, WAIT_FACTOR * quickest)

    def _turn(self, now: float) -> None:
        """Look at the last window: how many were answered, and whether even the quickest had to wait."""
        passed = now - self._began
        if passed < PACE_S or (self._answered < ENOUGH and passed < LONGEST_PACE_S):
            return
        share = min(1.0, passed / PACE_MEMORY_S) if self._pace else 1.0
        self._pace += share * (self._answered / passed - self._pace)
        self._lately.append(_Window(passed, self._answered, self.shed - self._shed_before))
        while sum(window.seconds for window in self._lately) - self._lately[0].seconds >= OVERLOAD_S:
            self._lately.popleft()
        self._overloaded = self._overloaded and self._goes_on()
        if self._answered:
            if self._quickest and now - self._quickest[-1][0] < SPAN_S:
                since, quickest = self._quickest[-1]
                self._quickest[-1] = (since, min(quickest, self._quickest_now))
            else:
                self._quickest.append((now, self._quickest_now))
            self._waits = self._overloaded or self._quickest_now > self._may_take_s() / 2
        self._began, self._answered, self._quickest_now, self._shed_before = now, 0, math.inf, self.shed

    def _answered_a_second(self) -> float:
        """Over the last OVERLOAD_S: of a shorter time, in which it catches up, it would promise too much."""
        seconds = sum(window.seconds for window in self._lately)
        return sum(window.answered for window in self._lately) / seconds if seconds else 0.0

    def _goes_on(self) -> bool:
        """Whether the overload does."""
        seconds = sum(window.seconds for window in self._lately)
        turned_away = sum(window.shed for window in self._lately) / seconds
        answered = self._answered_a_second()
        self._could = max(self._could, answered)
        if turned_away > TURNED_AWAY * answered and answered + turned_away > COULD * self._could:
            return True
        self._could = 0.0
        return False


class _Window(NamedTuple):
    """A stretch of PACE_S or more."""

    seconds: float
    answered: int
    shed: int
