"""A Citus cluster for the tests, where there is a PostgreSQL with Citus: LOSSWATCH_TEST_CITUS names its folder, the one
above ``bin``. A coordinator and two workers, on which each test has a database of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from postgres import PostgresServer, missing

VARIABLE = "LOSSWATCH_TEST_CITUS"
DISTRIBUTE = Path(__file__).parent.parent / "deploy" / "citus" / "distribute.sql"
WORKERS = 2
SHARDS = 4
"""Of each table: as few as make some projects lie on one worker and some on the other."""


class CitusCluster:
    """``url()`` is the address of a new database with the store's tables, spread over the workers by project."""

    def __init__(self) -> None:
        programs = Path(os.environ[VARIABLE])
        options = (
            "shared_preload_libraries=citus",
            f"citus.shard_count={SHARDS}",
            "citus.node_conninfo=sslmode=disable",
        )
        self.nodes = [PostgresServer(programs=programs, options=options) for _ in range(1 + WORKERS)]

    def url(self) -> str:
        """See the class."""
        import psycopg

        from losswatch_server.store import places

        coordinator, *workers = self.nodes
        name = coordinator.create_database()
        for worker in workers:
            worker.create_database(name)
        for node in self.nodes:
            with psycopg.connect(node.address_of(name), autocommit=True) as connection:
                connection.execute("CREATE EXTENSION citus")
        url = coordinator.address_of(name)
        places.migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT citus_set_coordinator_host('127.0.0.1', %s)", [coordinator.port])
            for worker in workers:
                connection.execute("SELECT citus_add_node('127.0.0.1', %s)", [worker.port])
            connection.execute(DISTRIBUTE.read_text())
        return url

    def remove(self) -> None:
        """Stop all nodes and take their files away."""
        for node in self.nodes:
            node.remove()


def missing_citus() -> str | None:
    """Why there can be no cluster here; None where there can be one."""
    if VARIABLE not in os.environ:
        return f"{VARIABLE} names no PostgreSQL with Citus"
    return missing()
