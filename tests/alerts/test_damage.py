"""A damaged row among those behind notifications costs its own messages, and no others."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from alerts.story import Story
from damage import DAMAGES, damage
from losswatch_server.alerts.registry import Registry

SICK = [*DAMAGES]


def hurt(story: Story, at: float, table: str, column: str, where: str) -> None:
    """Damage that cell of each sick run, in its own way."""

    def work(connection: sqlite3.Connection) -> None:
        before = connection.text_factory
        for kind in SICK:
            damage(connection, table, column, where.format(kind), kind)
        connection.text_factory = before

    def go(registry: Registry) -> object:
        return registry._store.write(work)

    story.at(at).does(go)


CELLS = [
    ("event", "body", "run = '{}'", 10.0),
    ("concern", "body", "uid = 'uid-{}'", 20.0),
    ("target_group", "body", "key LIKE '%uid-{}%'", 20.0),
    ("delivery", "body", "lane = 'uid-{}' AND state = 'pending'", 20.0),
    ("delivery", "attempts", "lane = 'uid-{}'", 20.0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column", "where", "at"), CELLS, ids=[f"{cell[0]}.{cell[1]}" for cell in CELLS])
def test_a_damaged_row_costs_no_other_run_its_messages(
    tmp_path: Path, table: str, column: str, where: str, at: float
) -> None:
    story = Story(tmp_path)
    story.target(group_by=frozenset({"run"}))
    for name in (*SICK, "well"):
        story.at(10).opens(name, "diverging")
    hurt(story, at, table, column, where)
    for name in (*SICK, "well"):
        story.at(100).resolves(name, "diverging")
    story.plays_until(3_600)
    heard = [message.title for message in story.unheard if "well" in message.title]
    assert len(heard) == 2, heard
