"""How much one caller may ask for: a bucket of requests and one of points for each API key, refilled evenly.

A caller is a key, or a user of the operator's proxy, or where neither is known an address. A bucket holds what is
allowed in a minute, so a burst is as welcome as a steady flow. Points are counted when they were read: a request is
admitted while there are any left, however many it brings, and what it took too much is waited for. Each answer says
what is left, as in the IETF's draft-ietf-httpapi-ratelimit-headers. Each process counts for itself.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from losswatch_server.api.http.problems import TOO_MANY_REQUESTS, ProblemError

WINDOW_S = 60
CALLERS = 10_000
"""Callers that are remembered; of more, the one longest unheard of begins with full buckets."""
GRANT = "losswatch.grant"
"""Where the scope of a request has what its caller has left; not there without limits."""

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class _Bucket:
    name: str
    most: int
    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(self.most, self.left + (now - self.at) * self.most / WINDOW_S)
        self.at = now

    def wait_s(self, wanted: float) -> float:
        """Seconds until so much is there."""
        return max(0.0, (wanted - self.left) * WINDOW_S / self.most)


class Grant:
    """What one caller has left."""

    __slots__ = ("_buckets", "_clock")

    def __init__(self, buckets: list[_Bucket], clock: Callable[[], float]) -> None:
        self._buckets = buckets
        self._clock = clock

    def refusal(self, *, brings_points: bool = False) -> ProblemError | None:
        """Take one request; why it is refused, where nothing is left of what it needs."""
        now = self._clock()
        for bucket in self._buckets:
            bucket.refill(now)
        spent = [bucket for bucket in self._buckets if bucket.left < 1 and (brings_points or bucket.name != "points")]
        if spent:
            return _refused(max(spent, key=lambda bucket: bucket.wait_s(1)))
        for bucket in self._buckets:
            if bucket.name == "requests":
                bucket.left -= 1
        return None

    def take_points(self, count: int) -> None:
        """Count the points of a request."""
        for bucket in self._buckets:
            if bucket.name == "points":
                bucket.left -= count

    def headers(self) -> list[Header]:
        """What is left, for the answer."""
        policies = ", ".join(f'"{bucket.name}";q={bucket.most};w={WINDOW_S}' for bucket in self._buckets)
        left = ", ".join(
            f'"{bucket.name}";r={max(0, math.floor(bucket.left))};t={math.ceil(bucket.wait_s(bucket.most))}'
            for bucket in self._buckets
        )
        return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]


class RateLimits:
    """The limits of every caller; None: without one."""

    def __init__(
        self,
        requests_per_minute: int | None = None,
        points_per_minute: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        named = (("requests", requests_per_minute), ("points", points_per_minute))
        self._limits = [(name, most) for name, most in named if most is not None]
        self._clock = clock
        self._callers: OrderedDict[str, Grant] = OrderedDict()

    @property
    def are_on(self) -> bool:
        """Whether anything is limited."""
        return bool(self._limits)

    def of(self, caller: str) -> Grant:
        """What this caller has left."""
        grant = self._callers.get(caller)
        if grant is None:
            now = self._clock()
            grant = Grant([_Bucket(name, most, float(most), now) for name, most in self._limits], self._clock)
            self._callers[caller] = grant
            if len(self._callers) > CALLERS:
                self._callers.popitem(last=False)
        else:
            self._callers.move_to_end(caller)
        return grant


def _refused(bucket: _Bucket) -> ProblemError:
    wait = max(1, math.ceil(bucket.wait_s(1)))
    return ProblemError(
        TOO_MANY_REQUESTS,
        f"This key may send {bucket.most} {bucket.name} a minute. Nothing of this request was stored; send it again in "
        f"{wait} s, or fewer at a time (several points fit into one request).",
        headers={"Retry-After": str(wait)},
    )
