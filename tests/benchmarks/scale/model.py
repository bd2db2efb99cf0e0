"""What one size of a machine says of another: plain proportions, which a second measured size puts to the test."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

USEFUL = 0.7
"""Share of a core that is planned with: beyond it the slowest answers wait for one another."""
CONNECTIONS_OF_A_SERVICE = 7
"""To the database: one writes, four read, one listens, one tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """So many live runs, measured in real time for a while."""

    name: str
    """Of the services that carried them."""
    services: int
    runs: int
    per_second: float
    """Requests that were answered in a second."""
    p50_ms: float
    p99_ms: float
    refused: int
    service_us: float
    """Processor time of the services for a request."""
    database_us: float
    load_us: float
    """Of the program that makes the requests: it works on the same cores."""
    memory: int
    """Bytes of the services."""

    def is_carried(self, bound_ms: float) -> bool:
        """Whether the services kept up: nothing refused, the pace held, the slowest answers within the bound."""
        return self.refused == 0 and self.per_second >= 0.98 * self.runs and self.p99_ms <= bound_ms

    @property
    def cores(self) -> float:
        """Cores of the services that were busy."""
        return self.per_second * self.service_us / 1e6

    @property
    def database_cores(self) -> float:
        """Cores of PostgreSQL that were busy."""
        return self.per_second * self.database_us / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a live run that posts once a second takes, as two sizes have it: the difference between them. What is there
    without one is a share of its own: a service that is asked little makes a commit for each request."""

    idle_cores: float
    """Of one service."""
    service_us: float
    """Processor time of the services for one request more."""
    database_idle_cores: float
    database_us: float
    memory_of_a_service: float
    memory_of_a_run: float
    bytes_of_a_point: float

    @classmethod
    def of(cls, small: Size, larger: Size, empty: int, memory_of_a_run: float, bytes_of_a_point: float) -> Model:
        """``empty``: the memory of the services before they had a run."""
        more = max(1e-9, larger.per_second - small.per_second)
        service_us = max(0.0, 1e6 * (larger.cores - small.cores) / more)
        database_us = max(0.0, 1e6 * (larger.database_cores - small.database_cores) / more)
        return cls(
            idle_cores=max(0.0, small.cores - small.per_second * service_us / 1e6) / small.services,
            service_us=service_us,
            database_idle_cores=max(0.0, small.database_cores - small.per_second * database_us / 1e6),
            database_us=database_us,
            memory_of_a_service=empty / small.services,
            memory_of_a_run=memory_of_a_run,
            bytes_of_a_point=bytes_of_a_point,
        )

    def memory(self, runs: int, services: int) -> float:
        """Bytes of the services with so many live runs."""
        return services * self.memory_of_a_service + runs * self.memory_of_a_run

    def service_cores(self, runs: int, services: int) -> float:
        """Cores of the services that so many live runs keep busy."""
        return services * self.idle_cores + runs * self.service_us / 1e6

    def services(self, runs: int) -> int:
        """Services that so many live runs take: each has one core, and is planned with a share of it."""
        return max(1, math.ceil(runs * self.service_us / 1e6 / max(0.01, USEFUL - self.idle_cores)))

    def database_cores(self, runs: int) -> float:
        """Cores of PostgreSQL, of which the same share is planned with."""
        return (self.database_idle_cores + runs * self.database_us / 1e6) / USEFUL


def sizes_table(sizes: Iterable[Size], bound_ms: float) -> list[str]:
    """A line for each measured size."""
    lines = [
        f"{'measured':<24}{'runs':>7}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'us/req':>8}{'database':>9}{'load':>6}"
        f"{'MiB':>6}"
    ]
    return lines + [
        f"{size.name:<24}{size.runs:>7}{size.per_second:>8.0f}{size.p50_ms:>8.1f}{size.p99_ms:>8.0f}"
        f"{size.service_us:>8.0f}{size.database_us:>9.0f}{size.load_us:>6.0f}{size.memory / 2**20:>6.0f}"
        f"{'' if size.is_carried(bound_ms) else '  not carried'}"
        for size in sizes
    ]


def check(name: str, model: Model, size: Size) -> str:
    """What the model says of another measured size, beside what was measured there."""
    cores = model.service_cores(size.runs, size.services)
    return f"{name:<24}{size.runs:>7} runs: {cores:.2f} cores said, {size.cores:.2f} measured"


def extrapolated(model: Model, runs: Iterable[int]) -> list[str]:
    """What more live runs take, on PostgreSQL."""
    lines = [
        f"{'live runs':>10}{'services':>10}{'MiB each':>10}{'database cores':>16}{'its connections':>17}"
        f"{'points a day':>14}{'GB a day':>10}"
    ]
    for number in runs:
        count = model.services(number)
        points = 86_400 * number
        lines.append(
            f"{number:>10,}{count:>10}{model.memory(number, count) / count / 2**20:>10.0f}"
            f"{model.database_cores(number):>16.1f}{count * CONNECTIONS_OF_A_SERVICE:>17}{points:>14.2g}"
            f"{points * model.bytes_of_a_point / 1e9:>10.1f}"
        )
    return lines


MANY = 1e11


def disk(model: Model, runs: int) -> str:
    """How long so many live runs take for very many points, and what those take on the disk."""
    terabytes, days = MANY * model.bytes_of_a_point / 1e12, MANY / runs / 86_400
    return f"{MANY:.0e} points: {terabytes:.1f} TB on the disk, which {runs:,} live runs fill in {days:.0f} days"
