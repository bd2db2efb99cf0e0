"""What both test folders share: a PostgreSQL server, and how much the property tests try.

A profile says how much; a test says it only where one try is dear.

``suite`` tries the same hundred examples everywhere, ``fast`` a few of them, ``soak`` thousands of new ones each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from citus import CitusCluster
    from postgres import PostgresServer

settings.register_profile("suite", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("fast", parent=settings.get_profile("suite"), max_examples=20)
settings.register_profile("soak", max_examples=3200, deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole session; a test that needs one is skipped where there can be none."""
    from postgres import PostgresServer, missing

    if why := missing():
        pytest.skip(why)
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def citus() -> Iterator[CitusCluster]:
    """A Citus cluster for the whole session; a test that needs one is skipped where there is none."""
    from citus import CitusCluster, missing_citus

    if why := missing_citus():
        pytest.skip(why)
    cluster = CitusCluster()
    try:
        yield cluster
    finally:
        cluster.remove()
