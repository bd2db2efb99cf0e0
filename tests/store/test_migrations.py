"""No migration takes anything away from the program before it, which may run on until the last replica is new.

What the migrations so far do to an older process that still runs on the database:

- 0001 to 0008: nothing; there was only SQLite then, and one process at a time has the file. 0007 changes no table, but
  what is written after it cannot be read by older programs.
- 0009: a column of ``run`` with a default, tables, an index, storage parameters. With it PostgreSQL became possible.
- 0010: two tables; it appeared in the same version as 0009.
- 0011: a table that older programs do not look at. From here on they start on a newer schema, too.
- 0012: two columns that may be null. Older replicas hold a key to the service's setting instead of its own limits.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config

from losswatch_server.store import schema
from losswatch_server.store.postgres.connection import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import PostgresServer

REVISIONS = sorted(path.name.split("_")[0] for path in (schema.MIGRATIONS / "versions").glob("[0-9]*.py"))
SINCE = "0011"
"""From here on the rules hold."""
LARGE = {"run", "record", "event", "finding", "snapshot", "summary", "writer", "attempt", "delivery"}
"""Tables that a new index would lock for as long as it takes to read them."""


def breaks(statements: list[str]) -> list[str]:
    """Those of a migration's statements that a program of the schema before may not survive."""
    made = {name for one in statements if (name := _name(r"CREATE TABLE (\w+)", one))}
    return [one for one in statements if not _is_harmless(one, made)]


def _name(pattern: str, statement: str) -> str:
    found = re.match(pattern, statement)
    return found[1] if found else ""


def _is_harmless(statement: str, made: set[str]) -> bool:
    if re.match(r"SELECT|PRAGMA|CREATE TABLE ", statement) or "alembic_version" in statement:
        return True
    if table := _name(r"INSERT INTO (\w+)", statement):
        return table in made
    if index := re.match(r"CREATE (UNIQUE )?INDEX \w+ ON (\w+)", statement):
        return index[2] in made or not (index[1] or index[2] in LARGE)
    if re.match(r"ALTER TABLE \w+ ADD COLUMN", statement):
        return "NOT NULL" not in statement or "DEFAULT" in statement
    return bool(re.match(r"ALTER TABLE \w+ (SET \(|ALTER COLUMN \w+ SET STORAGE)", statement))


def statements_of(engine: sqlalchemy.Engine) -> dict[str, list[str]]:
    """What each migration says to a new database, by its revision."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    said: list[str] = []
    sqlalchemy.event.listen(
        engine, "before_cursor_execute", lambda *told: said.append(" ".join(told[2].replace('"', "").split()))
    )
    found: dict[str, list[str]] = {}
    for revision in REVISIONS:
        said.clear()
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        found[revision] = list(said)
    engine.dispose()
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def statements(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[str]]]:
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("data") / "file"
        yield statements_of(sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(path))))
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    creator = Database(server.empty_url()).connect_plainly
    yield statements_of(sqlalchemy.create_engine("postgresql+psycopg://", creator=creator))


@pytest.mark.slow
def test_a_migration_takes_nothing_away_or_says_which_programs_it_ends(statements: dict[str, list[str]]) -> None:
    for revision, said in statements.items():
        ends = [one for one in said if one.startswith("UPDATE works_with SET oldest")]
        if revision >= SINCE and not ends:
            assert breaks(said) == [], f"{revision}: see CONTRIBUTING.md, 'A change of the schema'"


@pytest.mark.parametrize(
    ("statement", "is_breaking"),
    [
        ("ALTER TABLE run ADD COLUMN colour TEXT", False),
        ("ALTER TABLE run ADD COLUMN colour TEXT DEFAULT '0' NOT NULL", False),
        ("ALTER TABLE run ADD COLUMN colour TEXT NOT NULL", True),
        ("ALTER TABLE run DROP COLUMN error", True),
        ("ALTER TABLE run RENAME COLUMN error TO fault", True),
        ("ALTER TABLE run RENAME TO training", True),
        ("ALTER TABLE run ALTER COLUMN points TYPE INTEGER", True),
        ("ALTER TABLE run ALTER COLUMN error SET NOT NULL", True),
        ("ALTER TABLE run ADD CONSTRAINT positive CHECK (points > 0)", True),
        ("DROP TABLE thinned", True),
        ("DROP INDEX run_newest", True),
        ("UPDATE run SET state = 'running'", True),
        ("DELETE FROM event", True),
        ("INSERT INTO run (uid) VALUES ('x')", True),
        ("CREATE UNIQUE INDEX one ON api_key (name)", True),
        ("CREATE INDEX slow ON record (received_ms)", True),
        ("CREATE INDEX quick ON api_key (name)", False),
        ("CREATE TABLE colours (name TEXT NOT NULL)", False),
    ],
)
def test_what_a_running_program_does_not_survive_is_recognised(statement: str, is_breaking: bool) -> None:
    assert bool(breaks([statement])) is is_breaking
