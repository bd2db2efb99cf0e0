"""Tables that are spread over nodes by project: what the catalogue says of each, and what one transaction touches."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from citus import DISTRIBUTE
from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.runs import Runs
from losswatch_server.store import changes, health, queries, retention, running
from losswatch_server.store.alerting import configuration, deliveries, outbox
from losswatch_server.store.places import open_store
from losswatch_server.store.postgres import Database, PostgresStore
from losswatch_server.store.postgres.dialect import CITUS
from losswatch_server.store.rows import NewEvent, StoredEvent

if TYPE_CHECKING:
    from citus import CitusCluster
    from losswatch_server.store.connection import DatabaseConnection, Rows
    from losswatch_server.store.dialect import Dialect
    from losswatch_server.store.sql_store import SqlStore
    from postgres import PostgresServer

OF_THE_WHOLE_DATABASE = {"alembic_version", "alert_cursor", "event_number", "lease", "works_with"}
OF_A_RUN = {
    "run", "attempt", "writer", "record", "snapshot", "finding", "event", "summary", "rank_tail", "series_name",
    "thinned", "concern",
}  # fmt: skip
PROJECTS = [f"project-{number}" for number in range(4)]
RUNS = [f"run-{number}" for number in range(3)]
ROUNDS = 8
_COLUMNS = (
    "SELECT c.relname, a.attname, a.attnotnull FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT attisdropped"
)
_UNIQUE = (
    "SELECT c.relname, i.relname, ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND "
    "a.attnum = ANY (x.indkey)) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON "
    "i.oid = x.indexrelid WHERE x.indisunique AND c.relnamespace = 'public'::regnamespace"
)


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_every_table_has_a_project_by_which_it_can_be_distributed(postgres: PostgresServer) -> None:
    url = postgres.url()
    columns: dict[str, dict[str, bool]] = {}
    for table, column, is_given in asked(url, _COLUMNS):
        columns.setdefault(table, {})[column] = is_given
    of_a_project = columns.keys() - OF_THE_WHOLE_DATABASE
    assert {table for table in columns if columns[table].get("project")} == of_a_project
    assert {table for table in of_a_project if columns[table].get("uid")} >= OF_A_RUN
    assert of_a_project == set(re.findall(r"'(\w+)'", DISTRIBUTE.read_text())) - {"project", "none"}
    found = asked(url, _UNIQUE)
    assert {table for table, _, _ in found} == columns.keys(), "each has a key"
    without = {table for table, _, key in found if "project" not in key}
    assert without == OF_THE_WHOLE_DATABASE, "a key without the project would have to be checked on every node"
    assert asked(url, "SELECT conname FROM pg_constraint WHERE contype = 'f'") == []


class Recorded:
    """A connection that notes what is asked of it."""

    def __init__(self, connection: DatabaseConnection, notes: list[tuple[str, Sequence[Any]]]) -> None:
        self._connection = connection
        self._notes = notes

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        self._notes.append((statement, values))
        return self._connection.execute(statement, values)

    def executemany(self, statement: str, values: Any, /) -> object:
        rows = list(values)
        self._notes += [(statement, row) for row in rows]
        return self._connection.executemany(statement, rows)

    def close(self) -> None:
        self._connection.close()


class RecordedStore(PostgresStore):
    """``notes`` has what each of its writers asked, in order."""

    def __init__(self, database: Database) -> None:
        self.notes: list[list[tuple[str, Sequence[Any]]]] = []
        super().__init__(database)

    def _connect_writer(self) -> Any:
        notes: list[tuple[str, Sequence[Any]]] = []
        self.notes.append(notes)
        return Recorded(super()._connect_writer(), notes)

    def transactions(self) -> Iterator[list[tuple[str, Sequence[Any]]]]:
        """What was asked between each BEGIN and its COMMIT."""
        for notes in self.notes:
            held: list[tuple[str, Sequence[Any]]] = []
            for statement, values in notes:
                if statement.startswith("BEGIN"):
                    held = []
                elif statement == "COMMIT":
                    yield held
                elif not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                    held.append((statement, values))


def named(values: Sequence[Any]) -> set[str]:
    """The projects among the values of a statement."""
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return {value for value in flat if isinstance(value, str) and value in PROJECTS}


async def _post_to_many_projects(store: PostgresStore) -> None:
    """Runs are created, go on, change their context, step back, have findings and end, many at once."""
    runs = Runs(store, lambda: 1_800_000_000.0)

    def points(number: int, name: str) -> list[Point]:
        first = 0 if name == RUNS[0] and number == ROUNDS - 2 else 20 * number
        return [Point(step, loss=float("nan") if name == RUNS[1] and number > 3 else 2.0 + step % 7 / 100,
                      grad_norm=1.0) for step in range(first, first + 20)]  # fmt: skip

    for number in range(ROUNDS):
        context = Context(total_steps=1000) if number == 3 else None
        await asyncio.gather(
            *(runs.record(project, name, points(number, name), context, f"{name}-{number // 4}")
              for name in RUNS for project in PROJECTS)
        )  # fmt: skip
    await runs.close()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "is_distributed"), [("postgres", True), ("citus", True), ("postgres", False)])
def test_a_transaction_of_the_hot_path_touches_one_project_where_tables_are_spread_by_it(
    request: pytest.FixtureRequest, kind: str, is_distributed: bool
) -> None:
    database = Database(request.getfixturevalue(kind).url())
    database.is_distributed = is_distributed
    store = RecordedStore(database)
    try:
        asyncio.run(_post_to_many_projects(store))
        commits, writes, _ = store.work
    finally:
        store.close()
    touched: list[set[str]] = []
    for asked_for in store.transactions():
        for statement, values in asked_for:
            if statement != CITUS.before_event:
                assert len(named(values)) == 1 or (named(values) and not is_distributed), statement
        touched.append(set().union(*(named(values) for _, values in asked_for)))
    assert writes >= len(PROJECTS) * len(RUNS) * (ROUNDS - 1)
    assert commits < writes, "still, several runs share a commit"
    assert max(map(len, touched)) == (1 if is_distributed else len(PROJECTS))
    assert set().union(*touched) == set(PROJECTS)


@pytest.mark.slow
def test_who_reads_events_of_several_nodes_waits_for_those_that_are_being_written(postgres: PostgresServer) -> None:
    """Else it could pass one whose node had not made it visible yet."""
    database = Database(postgres.url())
    database.is_distributed = True
    store = PostgresStore(database)
    event = NewEvent("run.slow", 1.0, None, b"{}")
    found: list[StoredEvent] = []
    reader = threading.Thread(target=lambda: found.extend(asyncio.run(store.events(None, 0, None, 10))))
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with contextlib.closing(database.connect()) as writer, contextlib.closing(database.connect()) as looker:
        writer.execute("BEGIN")
        changes.add_event(writer, "p", "u", "r", event)
        reader.start()
        while looker.execute(waiting).fetchone() is None:
            assert reader.is_alive(), "it did not wait"
        writer.execute("COMMIT")
    reader.join()
    assert found == [], "it reads no further than the numbers were when it began"
    assert [one.id for one in asyncio.run(store.events(None, 0, None, 10))] == [1]
    store.close()


@pytest.mark.slow
def test_events_are_seen_in_the_order_of_their_ids_on_whichever_node_they_lie(citus: CitusCluster) -> None:
    """Two services write events of many projects; a third reads all, and what it has passed comes no more."""
    url, count = citus.url(), 60
    stores = [open_store(url) for _ in range(3)]
    done = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        while True:
            last = done.is_set()
            found = asyncio.run(stores[2].events(None, seen[-1] if seen else 0, None, 500))
            seen.extend(event.id for event in found)
            if last and not found:
                return

    async def write(store: SqlStore) -> None:
        event = NewEvent("run.slow", 1.0, None, b"{}")
        adds = [
            partial(changes.add_event, project=PROJECTS[n % 4], uid="u", run="r", event=event) for n in range(count)
        ]
        await asyncio.gather(*(store.write(add) for add in adds))

    writers = [threading.Thread(target=lambda store=store: asyncio.run(write(store))) for store in stores[:2]]
    reader = threading.Thread(target=follow)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    for store in stores:
        store.close()
    assert seen == list(range(1, 2 * count + 1))


@pytest.mark.slow
def test_what_is_asked_of_all_projects_at_once_can_be_asked_of_several_nodes(citus: CitusCluster) -> None:
    """By the watch, the notifications, sealing, tidying, retention and whoever looks at the service."""
    house = House(citus.url())
    for number, project in enumerate(PROJECTS):
        points = [Point(step, loss=float("nan") if step > 5 else 1.0) for step in range(10)]
        house.do(house.runs.record(project, f"run-{number}", points, None, "writer", report=False))
    asked_of_all: dict[str, Callable[[DatabaseConnection], Any]] = {
        "running": running.running,
        "silent": running.silent,
        "projects": queries.projects,
        "to seal": lambda one: queries.runs_to_seal(one, 1),
        "events": lambda one: queries.events(one, None, 0, None, 100),
        "claimable": lambda one: deliveries.claimable(one, 2.0, 10),
        "next delivery": deliveries.next_due,
        "targets": configuration.targets,
        "due groups": lambda one: outbox.due_groups(one, 5.0, 10),
        "next group": outbox.next_due,
        "policies": retention.policies,
        "health": lambda one: health.health(one, house.now),
    }
    found = {name: house.do(house.store.read(ask)) for name, ask in asked_of_all.items()}
    assert {row.project for row in found["running"]} == found["projects"].keys() == set(PROJECTS)
    assert {project for project, _ in found["to seal"]} == {event.project for event in found["events"]} == set(PROJECTS)
    assert found["health"].unread_events == len(found["events"])
    house.do(house.store.write(deliveries.release_all))
    last = found["events"][-1].id
    assert house.do(house.store.write(lambda one: outbox.advance(one, outbox.cursor(one), last)))
    assert house.do(house.store.write(lambda one: outbox.tidy(one, outbox.Before(9e9, 9e9, 9e9))))
    assert house.do(house.store.events(None, 0, None, 100)) == []
    house.do(house.store.write(lambda one: retention.erase(one, PROJECTS[0], house.now)))
    assert house.do(house.store.projects()).keys() == set(PROJECTS[1:])
    house.do(house.store.check(0.0))
    house.close()
