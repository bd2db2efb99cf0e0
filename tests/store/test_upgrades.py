"""A database of every schema that there ever was, with rows in it, is brought up to date and goes on."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config

from house import House
from losswatch_server.codec.blocks import pack
from losswatch_server.codec.contexts import context_text
from losswatch_server.codec.findings import finding_text
from losswatch_server.keys import table
from losswatch_server.monitor.findings import Finding, finding_id
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import Condition, Severity
from losswatch_server.store import places, schema
from losswatch_server.store.retention import Policy, StoredRetention

REVISIONS = sorted(path.name.split("_")[0] for path in (schema.MIGRATIONS / "versions").glob("[0-9]*.py"))
POINTS = [Point(n, loss=1.0 / (n + 1), metrics={"accuracy": n / 50}) for n in range(50)]
FINDING = Finding(
    id=finding_id("uid-old", 1, "plateau", "loss", 1),
    condition=Condition.PLATEAU,
    series="loss",
    attempt=1,
    episode=1,
    severity=Severity.WARNING,
    confidence=0.9,
    onset_step=3,
    opened_step=9,
    last_step=30,
    summary="It stands still.",
)


def insert(connection: sqlite3.Connection, table: str, **cells: object) -> None:
    names = ", ".join(cells)
    marks = ", ".join("?" * len(cells))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(cells.values()))


def database_of(revision: str, folder: Path) -> Path:
    """As a service of that schema left it: a run under way, one finding of it, and what the schema has besides."""
    folder.mkdir(mode=0o700)
    path = folder / "losswatch.sqlite3"
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(path)))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    connection = sqlite3.connect(path)
    key = {"project": "default", "uid": "uid-old"}
    insert(
        connection, "run", **key, name="old", attempt=1, step=49, points=50, version=50, detection_version=1,
        state="running", status="healthy", action="continue", headline="It learns.", created_at=1_700_000_000.0,
        last_seen_at=1_700_000_900.0, next_seq=51, unsealed=50, rhythm=b"",
        context=context_text(Context(learning_rate=0.1)),
    )  # fmt: skip
    insert(connection, "run_name", name="old", **key)
    body = context_text(Context(learning_rate=0.1)).encode()
    row = {**key, "attempt": 1, "writer": "w", "received_ms": 1_700_000_000_000}
    insert(connection, "record", **row, seq=0, n=1, kind=5, first_step=0, last_step=0, body=body)
    insert(connection, "record", **row, seq=1, n=50, kind=1, first_step=0, last_step=49, body=pack(POINTS))
    insert(connection, "writer", **key, writer="w", attempt=1, ordinal=0)
    insert(connection, "snapshot", **key, seq=20, step=18, detection_version=1, body=zlib.compress(b"of old rules"))
    insert(
        connection, "finding", **key, id=FINDING.id, condition="plateau", severity="warning", opened_step=9,
        opened_at=1_700_000_100.0, body=finding_text(FINDING),
    )  # fmt: skip
    insert(connection, "event", **key, run="old", kind="run.created", at=1_700_000_000.0, body=b"{}")
    if revision >= "0002":
        insert(
            connection, "target", project="default", id="t", kind="webhook", source="api", secret="s", body="{}",
            state="active", created_at=1.0, updated_at=1.0,
        )  # fmt: skip
    if revision >= "0008":
        insert(connection, "api_key", project="default", id="k", digest="d", scopes="read", name="n", created_at=1.0)
    if revision >= "0010":
        insert(connection, "retention", project="default", thin_to_points=500, delete_after_days=9.0)
    connection.commit()
    connection.close()
    return path


@pytest.mark.slow
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_an_older_version_goes_on(revision: str, tmp_path: Path) -> None:
    path = database_of(revision, tmp_path / "data")
    assert schema.current(path) == revision
    assert places.look(path.parent, table.TABLE_SINCE, table.are_there) is (True if revision >= "0008" else None)
    house = House(tmp_path / "data")
    assert schema.current(path) == schema.head()
    assert [stored.point for stored in house.stored("old")] == POINTS
    (kept,) = house.do(house.store.findings("default", "uid-old"))
    assert kept.finding == FINDING
    row = house.do(house.runs.get("default", "old"))
    assert (row.headline, row.error, row.context.learning_rate) == ("It learns.", "", 0.1)
    house.record([Point(n, loss=1.0 / (n + 1)) for n in range(50, 80)], writer="w", name="old")
    assert house.report("old").run.points == 80
    assert len(house.stored("old")) == 80
    if revision >= "0002":
        assert house.sql("SELECT secret FROM target") == [("s",)]
    if revision >= "0008":
        assert house.sql("SELECT digest FROM api_key") == [("d",)]
    if revision >= "0010":
        own = house.do(StoredRetention(house.store).policies())
        assert own == {"default": Policy(thin_to_points=500, delete_after_days=9.0)}
    report = house.report_bytes("old")
    house.restart()
    assert house.report_bytes("old") == report
    house.close()
