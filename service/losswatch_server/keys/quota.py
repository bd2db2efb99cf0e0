"""How many points a project, and a key with a quota of its own, may send on a day: counted over all services.

Each service adds what it took to the database, and reads what all of them took, every two seconds: a request costs a
look into two dicts. So a quota is exceeded by what comes within two seconds at most, and by the rest of the batch that
reached it. What a service that is killed had not added yet is not counted. A day is one of UTC.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from losswatch_server.codec import damage
from losswatch_server.store import quota_rows
from losswatch_server.store.cells import text, whole
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.transactions import Transactions

PASS_S = 2.0
DAY_S = 86400

Whose = tuple[str, str]
"""A project, and a key of it; an empty one: all of the project."""


class QuotaSpentError(Exception):
    """Nothing is left of the day: ``most`` points could be sent, and ``wait_s`` seconds are to go."""

    def __init__(self, whose: Whose, most: int, wait_s: float) -> None:
        super().__init__(f"{'key' if whose[1] else 'project'} {whose[1] or whose[0]} has sent {most} points today")
        self.whose, self.most, self.wait_s = whose, most, wait_s


class DailyQuotas:
    """Make it with ``opened`` and let a supervisor call ``pass_on``. ``per_project``: what each project may send; None:
    as much as it likes."""

    def __init__(self, database: Transactions, per_project: int | None, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._per_project = per_project
        self._clock = clock
        self._day = _day(clock())
        self._known: dict[Whose, int] = {}
        self._adding: Counter[Whose] = Counter()
        self._taken: Counter[Whose] = Counter()
        self._tidied: int | None = None

    @classmethod
    async def opened(cls, database: Transactions, per_project: int | None) -> DailyQuotas:
        """With what was sent today before."""
        quotas = cls(database, per_project)
        await quotas.pass_on()
        return quotas

    def take(self, project: str, count: int, key: str = "", own: int | None = None) -> None:
        """Count points that are about to be stored; ``own``: what the key may send. All are taken where any is left.

        Raises QuotaSpentError.
        """
        if self._per_project is None and own is None:
            return
        now = self._clock()
        if _day(now) != self._day:
            self._day, self._known = _day(now), {}
            self._adding, self._taken = Counter(), Counter()
        held = [((project, ""), self._per_project), ((project, key), own if key else None)]
        limited = [(whose, most) for whose, most in held if most is not None]
        for whose, most in limited:
            if self.sent(whose) >= most:
                raise QuotaSpentError(whose, most, DAY_S - now % DAY_S)
        for whose, _ in limited:
            self._taken[whose] += count

    def sent(self, whose: Whose) -> int:
        """What is known to have been sent today, by way of any service."""
        return self._known.get(whose, 0) + self._adding[whose] + self._taken[whose]

    async def pass_on(self) -> float:
        """Add what was taken since the last time, and read what all took; seconds until the next time."""
        day, taken = self._day, self._taken
        self._adding, self._taken = taken, Counter()
        try:
            if taken or self._tidied != day:
                found = await self._database.write(partial(_exchange, day=day, taken=taken))
            else:
                found = await self._database.read(partial(_sent, day=day))
        except BaseException:
            if day == self._day:
                self._taken += taken
            self._adding = Counter()
            raise
        self._tidied = day
        if day == self._day:
            self._known, self._adding = found, Counter()
        return PASS_S

    async def close(self) -> None:
        """Add what was taken since the last time."""
        if self._taken:
            await self.pass_on()


def _exchange(connection: DatabaseConnection, day: int, taken: Counter[Whose]) -> dict[Whose, int]:
    quota_rows.forget_days(connection, day)
    quota_rows.add_points(connection, day, taken)
    return _sent(connection, day)


def _sent(connection: DatabaseConnection, day: int) -> dict[Whose, int]:
    found: dict[Whose, int] = {}
    for project, caller, points in quota_rows.points_of(connection, day):
        try:
            found[text(project, 1), text(caller)] = whole(points, low=0)
        except ValueError as error:
            damage.note("quota", (project, caller), error)
    return found


def _day(at: float) -> int:
    return int(at // DAY_S)
