"""Messages as people read them: short, nothing said twice, and no sentence that contradicts its numbers."""

from __future__ import annotations

import math
import random
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.messages import ALL, HOSTILE
from alerts.rules import strings
from alerts.test_channels import LINKS, rendered
from house import House
from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import email
from losswatch_server.alerts.channels.formatting import evidence, footer
from losswatch_server.alerts.grouping import Group, GroupKey, review
from losswatch_server.alerts.incidents import MATTERS, Incident, apply
from losswatch_server.alerts.message import Message, compose
from losswatch_server.alerts.policy import Rules, Surroundings
from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import ClosedBy, Condition, Severity
from monitor.odd_runs import OddRun, odd_run

ODD_RUNS = 30
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?")
NOT_FOR_PEOPLE = re.compile(r"\b(None|nan|inf|True|False)\b|\.\.|  |\bstep step\b")
READ = {name: said for name, said in ALL.items() if said is not HOSTILE}


@pytest.mark.parametrize("name", READ)
def test_a_message_is_short_and_says_nothing_twice(name: str) -> None:
    said = READ[name]
    assert len(said.title) <= 110
    assert len(said.text) <= 330
    assert said.title not in said.text
    sentences = [part for part in re.split(r"(?<=[.]) ", said.text) if part]
    assert len(set(sentences)) == len(sentences)
    for label, value in evidence(said, 10):
        assert not re.search(rf"(?<![\d.,]){re.escape(value)}(?![\d%]|[.,]\d)", said.text + said.advice), label
    assert said.title.count("open for") + footer(said).count("open for") <= 2


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kind", ["slack", "discord", "teams", "pagerduty", "email"])
def test_no_channel_shows_people_what_only_a_program_writes(kind: str, name: str) -> None:
    if kind == "email":
        mail = email.payload(READ[name], LINKS, "watch@example.org", ["a@example.org"])
        texts = [str(mail["subject"]), *mail.get_body(("plain",)).get_content().splitlines()]  # type: ignore[union-attr]
    else:
        texts = list(strings(rendered(kind, READ[name])))
    for text in texts:
        assert not NOT_FOR_PEOPLE.search(text.replace("loss is nan", "")), text


@pytest.mark.slow
def test_whatever_a_run_sends_each_message_agrees_with_its_numbers() -> None:
    """Real requests in pieces of any size; every message that would come of their events."""
    told: dict[str, int] = {}
    for seed in range(ODD_RUNS):
        with tempfile.TemporaryDirectory() as folder:
            house = House(Path(folder) / "data")
            try:
                _post(house, odd_run(seed), random.Random(seed))
                for incident, finding in _incidents(house):
                    told[incident.condition] = told.get(incident.condition, 0) + 1
                    _agrees(incident, finding)
                    _reads_well(_message(incident))
            finally:
                house.close()
    assert len(told) >= 5, told
    assert sum(told.values()) >= 25


def _post(house: House, run: OddRun, draw: random.Random) -> None:
    house.record([Point(0, loss=1.0)], run.context, "w")
    waiting: list[Point] = []
    for entry in run.entries:
        if isinstance(entry, Point) and entry.step > 0 and not entry.rank:
            waiting.append(entry)
            if draw.random() < 0.05:
                house.record(waiting, None, "w")
                waiting = []
    if waiting:
        house.record(waiting, None, "w")


def _incidents(house: House) -> Iterator[tuple[Incident, Mapping[str, Any]]]:
    known: dict[str, Incident] = {}
    for row in house.do(house.runs.events(None, after=0, limit=10_000)):
        if row.kind in MATTERS:
            event = row_codec.event_from(row)
            for incident in apply(event, known):
                known[incident.id] = incident
                yield incident, event.body["finding"]


def _agrees(incident: Incident, body: Mapping[str, Any]) -> None:
    """The sentence is the one that the numbers beside it give, but for their last digits."""
    numbers = {name: _exact(value) for name, value in body["evidence"].items()}
    finding = Finding(
        id=body["id"], condition=Condition(body["condition"]), series=body["series"], attempt=body["attempt"],
        episode=body["episode"], severity=Severity(body["severity"]), confidence=body["confidence"],
        onset_step=body["onset_step"], opened_step=body["opened_step"], last_step=body["last_step"],
        resolved_step=body["resolved_step"], closed_by=body["closed_by"] and ClosedBy(body["closed_by"]),
    )  # fmt: skip
    expected = CONDITIONS[finding.condition].sentence(finding, numbers)
    assert NUMBER.sub("#", incident.summary) == NUMBER.sub("#", expected), (incident.summary, expected)
    for said, right in zip(NUMBER.findall(incident.summary), NUMBER.findall(expected), strict=True):
        close = math.isclose(float(said.replace(",", "")), float(right.replace(",", "")), rel_tol=0.02, abs_tol=1e-300)
        assert close, (incident.summary, expected)


def _exact(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def _message(incident: Incident) -> Message:
    rules = Rules(min_severity=Severity.INFO, group_wait_s=0.0)
    group = Group(key=GroupKey(project="default", uid=incident.uid))
    if not incident.is_open:  # as it would be told where it had been told before
        first = review(group, [_open(incident)], rules, Surroundings(), incident.opened_at)
        group = first.group
    found = review(group, [incident], rules, Surroundings(), incident.changed_at + 4_000)
    assert found.speaks, incident
    return compose([found], "k", "m", incident.changed_at + 4_000)


def _open(incident: Incident) -> Incident:
    return replace(incident, closed_at=None, closed_by=None)


def _reads_well(said: Message) -> None:
    shown = [said.title, said.text, *(f"{name} {value}" for name, value in evidence(said, 10))]
    for text in shown:
        assert not NOT_FOR_PEOPLE.search(text), text
    assert len(said.text) <= 400, said.text
