"""What happens to runs, as a stream: nothing twice, nothing lost, and no stream keeps the service from stopping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from cli.test_connections import running
from losswatch_server.api.routes.events import frame
from losswatch_server.monitor.points import Point
from losswatch_server.runs.event_feed import WAITING, EventFeed, Tidings
from losswatch_server.store.rows import RunRow, StoredEvent


class Told(NamedTuple):
    name: str
    id: str | None
    data: Any


class Stream:
    """A stream of events, read as a browser reads it."""

    def __init__(self, base: str, path: str, last: str | None = None) -> None:
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        self._answer = httpx.stream("GET", base + path, headers=headers, timeout=30, trust_env=False)
        self.response = self._answer.__enter__()
        self._lines = self.response.iter_lines()

    def __iter__(self) -> Iterator[Told]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                yield Told(fields["event"], fields.get("id"), json.loads(fields["data"]))
                fields = {}

    def until(self, name: str) -> list[Told]:
        """All that comes up to the first event of this name."""
        found = []
        for told in self:
            found.append(told)
            if told.name == name:
                return found
        raise AssertionError(f"the stream ended without {name}: {found}")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.__exit__(None, None, None)


@pytest.fixture
def base(address: tuple[str, int]) -> str:
    return f"http://{address[0]}:{address[1]}"


def post(base: str, run: str, *losses: float | str, project: str = "default", start: int = 1) -> None:
    points = [{"step": step, "loss": loss} for step, loss in enumerate(losses, start)]
    answer = httpx.post(
        f"{base}/v1/runs/{run}/points?project={project}", json={"points": points}, timeout=30, trust_env=False
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.slow
def test_points_and_findings_are_told_as_they_come(base: str, run: str, project: str) -> None:
    with Stream(base, f"/v1/events?project={project}") as stream:
        (hello,) = stream.until("hello")
        assert hello.id is not None
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        post(base, run, 2.0, project=project)
        created, report = stream.until("report")
        assert (created.name, created.data["run"]["run"]) == ("run.created", run)
        assert report.data["last_point"] == {"step": 1, "loss": 2.0}
        assert (report.id, report.data["step"], report.data["status"]) == (None, 1, "waiting")
        post(base, run, "NaN", project=project, start=2)
        opened, report = stream.until("report")
        assert (opened.name, opened.data["finding"]["condition"]) == ("finding.opened", "non_finite")
        assert int(opened.id or 0) > int(created.id or 0) > int(hello.id)
        assert report.data["status"] == "critical"


@pytest.mark.slow
def test_a_listener_hears_of_its_run_and_project_alone(base: str, run: str, project: str) -> None:
    post(base, run, 1.0, project=project)
    with Stream(base, f"/v1/runs/{run}/events?project={project}") as stream:
        stream.until("hello")
        post(base, run, 1.0, project=f"{project}-other")
        post(base, f"{run}-other", 1.0, project=project)
        post(base, run, 0.9, project=project, start=2)
        (report,) = stream.until("report")
        assert (report.data["run"], report.data["project"], report.data["step"]) == (run, project, 2)


@pytest.mark.slow
def test_what_was_missed_comes_first_and_once(base: str, run: str, project: str) -> None:
    with Stream(base, f"/v1/events?project={project}") as stream:
        stream.until("hello")
        post(base, run, 2.0, project=project)
        created = stream.until("run.created")[-1]
    post(base, run, "NaN", project=project, start=2)
    with Stream(base, f"/v1/events?project={project}", created.id) as stream:
        hello, opened = stream.until("finding.opened")
        assert hello.name == "hello"
        post(base, run, 1.9, project=project, start=3)
        assert [told.name for told in stream.until("report")] == ["report"]
    with Stream(base, f"/v1/events?project={project}", opened.id) as stream:
        stream.until("hello")
        post(base, run, 1.8, project=project, start=4)
        assert stream.until("report")[0].id != opened.id


def test_who_knows_an_event_that_never_was_reads_everything_again(base: str, project: str) -> None:
    with Stream(base, f"/v1/events?project={project}", str(10**15)) as stream:
        assert next(iter(stream)).name == "reset"


def test_a_place_that_is_none_is_refused(base: str) -> None:
    for wrong in ("-1", "x", "9" * 25):
        answer = httpx.get(f"{base}/v1/events", headers={"Last-Event-ID": wrong}, timeout=30, trust_env=False)
        assert answer.status_code == 422
    assert httpx.get(f"{base}/v1/runs/no-such-run/events", timeout=30, trust_env=False).status_code == 404


@pytest.mark.slow
def test_open_streams_do_not_keep_the_service_from_stopping(tmp_path: Path) -> None:
    ended = threading.Event()

    def listen(base: str) -> None:
        with Stream(base, "/v1/events") as stream, contextlib.suppress(httpx.HTTPError):
            for told in stream:
                if told.name == "hello":
                    heard.set()
        ended.set()

    heard = threading.Event()
    with running(tmp_path / "data", "--graceful-timeout", "600") as service:
        thread = threading.Thread(target=listen, args=(f"http://{service.address[0]}:{service.address[1]}",))
        thread.start()
        assert heard.wait(30)
        service.process.terminate()
        service.process.communicate(timeout=30)
        assert service.process.returncode == 0
        assert ended.wait(30)
        thread.join()


def row(uid: str, version: int = 1) -> RunRow:
    return RunRow(project="p", name=uid, uid=uid, created_at=0.0, last_seen_at=0.0, version=version)


def happened(number: int, uid: str, kind: str = "finding.opened") -> StoredEvent:
    return StoredEvent(id=number, project="p", uid=uid, run=uid, kind=kind, at=0.0, finding_id=None, body=b"{}")


class Outbox:
    """Events in memory."""

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []

    async def read(self, project: str | None, after: int, uid: str | None, limit: int) -> list[StoredEvent]:
        return [e for e in self.events if e.id > after and project in (None, e.project) and uid in (None, e.uid)][
            :limit
        ]

    async def newest(self) -> int:
        return self.events[-1].id if self.events else 0


def told(tidings: list[Tidings]) -> list[str]:
    return [t.what if isinstance(t.what, str) else type(t.what).__name__ for t in tidings]


def test_a_listener_that_does_not_keep_up_is_told_to_read_everything_again() -> None:
    async def story() -> None:
        outbox = Outbox()
        feed = EventFeed(outbox.read, outbox.newest, tick_s=0)
        listener = feed.listen("p")
        assert told(await anext(listener)) == ["hello"]
        for number in range(1, 2 * WAITING):
            outbox.events.append(happened(number, "a"))
        while await feed.pass_on() == 0:
            pass
        waiting = await anext(listener)
        assert told(waiting)[0] == "reset"
        assert len(waiting) <= WAITING
        await listener.aclose()

    asyncio.run(story())


def test_a_run_that_changes_often_is_told_of_once_a_pass_and_a_deleted_one_not_at_all() -> None:
    async def story() -> None:
        outbox = Outbox()
        feed = EventFeed(outbox.read, outbox.newest, tick_s=0)
        feed.changed(row("unheard"))
        listener = feed.listen("p")
        await anext(listener)
        for version in range(100):
            feed.changed(row("a", version))
            feed.changed(row("gone", version))
        outbox.events.append(happened(1, "gone", "run.deleted"))
        await feed.pass_on()
        event, report = await anext(listener)
        assert isinstance(event.what, StoredEvent)
        assert isinstance(report.what, RunRow)
        assert (report.what.uid, report.what.version) == ("a", 99)
        await listener.aclose()
        assert feed.listeners == 0

    asyncio.run(story())


def test_an_event_is_written_once_for_all_who_are_told() -> None:
    async def story() -> None:
        outbox = Outbox()
        feed = EventFeed(outbox.read, outbox.newest, tick_s=0)
        listeners = [feed.listen("p"), feed.listen("p", "a")]
        for listener in listeners:
            await anext(listener)
        feed.changed(row("a"), Point(7, loss=math.nan, layers={"first": 1.0}, metrics={"accuracy": 0.5}))
        outbox.events.append(happened(1, "a"))
        await feed.pass_on()
        (one, report), others = await anext(listeners[0]), await anext(listeners[1])
        written = frame(report)
        assert json.loads(written.split(b"data: ")[1])["last_point"] == {"step": 7, "loss": "NaN"}
        assert [frame(one), written] == [frame(told) for told in others]
        assert written is frame(others[1])
        for listener in listeners:
            await listener.aclose()

    asyncio.run(story())


def test_silence_is_broken_by_an_empty_list_and_the_end_ends_it() -> None:
    async def story() -> None:
        outbox = Outbox()
        feed = EventFeed(outbox.read, outbox.newest, tick_s=0)
        listener = feed.listen("p", quiet_s=0.001)
        await anext(listener)
        assert await anext(listener) == []
        feed.close()
        assert [one async for one in listener] == []
        assert [one async for one in feed.listen("p")] == []

    asyncio.run(story())
