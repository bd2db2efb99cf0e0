"""How much one caller may ask for: a bucket of requests and one of points for each API key, refilled evenly.

A caller is a key, or a user of the operator's proxy, or where neither is known an address. A bucket holds what is
allowed in a minute, so a burst is as welcome as a steady flow. Points are counted when they were read: a request is
admitted while there are any left, however many it brings, and what it took too much is waited for. Each answer says
what is left, as in the IETF's draft-ietf-httpapi-ratelimit-headers. Each process counts for itself. What is allowed is
the service's setting, or the key's own limit where it has one. What may be sent on a day is counted over all services
(``keys.quota``).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from losswatch_server.api.http.authentication import KEY, POINTS_PER_DAY
from losswatch_server.api.http.problems import TOO_MANY_REQUESTS, ProblemError
from losswatch_server.keys import KeyLimits
from losswatch_server.keys.quota import DailyQuotas, QuotaSpentError

WINDOW_S = 60
CALLERS = 10_000
"""Callers that are remembered; of more, the one longest unheard of begins with full buckets."""
GRANT = "losswatch.grant"
"""Where the scope of a request has what its caller has left; not there without limits."""
NO_LIMITS = KeyLimits()

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
    """What one caller has left of the limits that it was made with."""

    __slots__ = ("_buckets", "_clock", "own")

    def __init__(self, buckets: list[_Bucket], own: KeyLimits | None, clock: Callable[[], float]) -> None:
        self._buckets = buckets
        self._clock = clock
        self.own = own

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
        self._limits = KeyLimits(requests_per_minute, points_per_minute)
        self._clock = clock
        self._callers: OrderedDict[str, Grant] = OrderedDict()

    @property
    def are_on(self) -> bool:
        """Whether everybody is limited."""
        return self._limits != NO_LIMITS

    def of(self, caller: str, own: KeyLimits | None = None) -> Grant:
        """What this caller has left; ``own``: limits of its own, which begin with full buckets when they change."""
        grant = self._callers.get(caller)
        if grant is not None and (grant.own is own or grant.own == own):
            self._callers.move_to_end(caller)
            return grant
        self._callers[caller] = grant = self._new(own)
        if len(self._callers) > CALLERS:
            self._callers.popitem(last=False)
        return grant

    def _new(self, own: KeyLimits | None) -> Grant:
        now = self._clock()
        kept = NO_LIMITS if own is None else own
        named = (
            ("requests", kept.requests_per_minute or self._limits.requests_per_minute),
            ("points", kept.points_per_minute or self._limits.points_per_minute),
        )
        buckets = [_Bucket(name, most, float(most), now) for name, most in named if most is not None]
        return Grant(buckets, own, self._clock)


def take_points(scope: Scope, quotas: DailyQuotas, project: str, count: int) -> None:
    """Count points that are about to be stored. Raises ProblemError 429 where nothing is left of the day."""
    try:
        quotas.take(project, count, scope.get(KEY) or "", scope.get(POINTS_PER_DAY))
    except QuotaSpentError as error:
        whose = "This key" if error.whose[1] else f"The project {error.whose[0]}"
        raise ProblemError(
            TOO_MANY_REQUESTS,
            f"{whose} may send {error.most} points a day (UTC). Nothing of this request was stored; send it again when "
            "the next day has begun.",
            headers={"Retry-After": str(math.ceil(error.wait_s))},
        ) from error
    if (grant := scope.get(GRANT)) is not None:
        grant.take_points(count)


def _refused(bucket: _Bucket) -> ProblemError:
    wait = max(1, math.ceil(bucket.wait_s(1)))
    return ProblemError(
        TOO_MANY_REQUESTS,
        f"This key may send {bucket.most} {bucket.name} a minute. Nothing of this request was stored; send it again in "
        f"{wait} s, or fewer at a time (several points fit into one request).",
        headers={"Retry-After": str(wait)},
    )
