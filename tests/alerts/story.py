"""A timeline of events and of the messages they lead to, played on an injected clock with a real store and no sleeps.

story.target("slack")
story.at(0).opens("lr-1", "diverging")
story.plays_until(60)
story.hears(between(0, 1), "lr-1: diverging")
story.hears_nothing_else()
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losswatch_server.alerts.egress.client import Answer, UnreachableError
from losswatch_server.alerts.mute_rules import Matcher
from losswatch_server.alerts.registry import Registry
from losswatch_server.alerts.service import Alerts, AlertSettings
from losswatch_server.monitor.vocabulary import Severity
from losswatch_server.runs import Runs
from losswatch_server.store.changes import add_event
from losswatch_server.store.rows import NewEvent
from losswatch_server.store.sqlite import SqliteStore

START = 1_800_000_000.0


@dataclass(frozen=True)
class Between:
    """Seconds of the story, both ends included."""

    low: float
    high: float


def between(low: float, high: float) -> Between:
    return Between(low, high)


@dataclass(frozen=True)
class Heard:
    """One message as it reached a receiver."""

    at: float
    url: str
    headers: Mapping[str, str]
    body: Any

    @property
    def title(self) -> str:
        body = self.body
        return str(body["title"] if "title" in body else body.get("text", body.get("event_action")))


@dataclass
class Doorway:
    """Stands where the network begins. ``answers`` gives the answer to each URL, 200 unless told otherwise."""

    clock: Callable[[], float]
    heard: list[Heard] = field(default_factory=list)
    answers: dict[str, Callable[[int], Answer | Exception]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.tries[url] = self.tries.get(url, 0) + 1
        answer = self.answers.get(url, lambda tries: Answer(200))(self.tries[url])
        if isinstance(answer, Exception):
            raise answer
        if answer.status < 300:
            self.heard.append(Heard(self.clock() - START, url, headers, json.loads(body)))
        return answer

    async def check(self, url: str, *, allow_http: bool = False) -> None:
        del url, allow_http

    async def close(self) -> None:
        pass


def down_until(seconds: float, story: Story) -> Callable[[int], Answer | Exception]:
    """No connection before that time of the story."""
    return lambda _: down(0) if story.now < seconds else Answer(200)


def down(_: int) -> Exception:
    return UnreachableError("no connection")


class Moment:
    """What happens at one time of a story."""

    def __init__(self, story: Story, at: float) -> None:
        self._story = story
        self._at = at

    def opens(self, run: str, condition: str, severity: str = "critical", **more: Any) -> Moment:
        return self._finding("finding.opened", run, condition, severity, **more)

    def worsens(self, run: str, condition: str, severity: str = "critical", **more: Any) -> Moment:
        return self._finding("finding.worsened", run, condition, severity, **more)

    def resolves(self, run: str, condition: str, severity: str = "critical", **more: Any) -> Moment:
        return self._finding("finding.resolved", run, condition, severity, **more)

    def acknowledges(self, run: str, condition: str) -> Moment:
        return self._finding("finding.acknowledged", run, condition, "critical")

    def mutes(self, run: str, condition: str, for_s: float | None = None) -> Moment:
        until = None if for_s is None else START + self._at + for_s
        return self._finding("finding.muted", run, condition, "critical", muted_until=until)

    def supersedes(self, run: str, condition: str, severity: str = "critical", **more: Any) -> Moment:
        return self._finding("finding.superseded", run, condition, severity, **more)

    def ends(self, run: str, how: str, sweep: str | None = None, error: str | None = None) -> Moment:
        return self._event(f"run.{how}", run, None, sweep, {"headline": f"The run {how}."}, error)

    def falls_silent(self, run: str, sweep: str | None = None) -> Moment:
        return self._finding("finding.opened", run, "silent", "warning", sweep)._event(
            "run.silent", run, None, sweep, {}
        )

    def returns(self, run: str, sweep: str | None = None) -> Moment:
        closed = self._finding("finding.resolved", run, "silent", "warning", sweep)
        return closed._event("run.returned", run, None, sweep, {})

    def happens(self, kind: str, run: str, sweep: str | None = None) -> Moment:
        return self._event(kind, run, None, sweep, {"headline": "Fine."})

    def does(self, what: Callable[[Registry], Any]) -> Moment:
        self._story.schedule(self._at, what)
        return self

    def silences(self, field_: str, value: str, for_s: float) -> Moment:
        matcher = Matcher(field=field_, value=value)
        ends_at = START + self._at + for_s
        return self.does(lambda registry: registry.mute("default", (matcher,), None, ends_at, ""))

    def _finding(
        self, kind: str, run: str, condition: str, severity: str, sweep: str | None = None, **more: Any
    ) -> Moment:
        finding = {
            "id": f"f_{run}_{condition}",
            "condition": condition,
            "severity": severity,
            "summary": f"It is {condition}.",
            "last_step": 20,
            "evidence": {"growth_per_step": 3.55},
            "advice": [{"summary": "Lower the learning rate."}],
            **more,
        }
        return self._event(
            kind, run, finding["id"], sweep, {"finding": finding, "headline": "Bad.", "status": severity}
        )

    def _event(
        self, kind: str, run: str, finding_id: str | None, sweep: str | None, body: dict[str, Any],
        error: str | None = None,
    ) -> Moment:  # fmt: skip
        context: dict[str, Any] = {"group": sweep} if sweep else {}
        body = {"run": {"run": run, "step": 20, "attempt": 1, "context": context, "error": error}, **body}
        event = NewEvent(kind, START + self._at, finding_id, json.dumps(body).encode())
        self._story.schedule(self._at, (run, event))
        return self


class Story:
    """A server's alerts on a clock that only moves when the story does."""

    def __init__(self, folder: Path) -> None:
        self._now = START
        self._folder = folder
        self._step = 0.001
        self._plot: list[tuple[float, int, Any]] = []
        self.egress = Doorway(lambda: self._now)
        self.unheard: list[Heard] = []
        self.log: list[Any] = []

    @property
    def now(self) -> float:
        return self._now - START

    def at(self, seconds: float) -> Moment:
        return Moment(self, seconds)

    def schedule(self, at: float, what: Callable[[Registry], Any] | tuple[str, NewEvent]) -> None:
        """``what`` is something to do, or (run, event) for the outbox."""
        self._plot.append((START + at, len(self._plot), what))

    def target(self, kind: str = "webhook", url: str = "https://example.org/hook", **rules: Any) -> None:
        if "min_severity" in rules:
            rules["min_severity"] = Severity(rules["min_severity"])
        key = "R" * 32 if kind == "pagerduty" else None
        self.schedule(-1, lambda registry: registry.create("default", kind, url, rules, name=url, routing_key=key))

    def plays_until(self, seconds: float) -> None:
        asyncio.run(self._play(START + seconds))
        self.unheard = list(self.egress.heard)

    def plays_in_steps_of(self, step: float, until: float) -> None:
        """As ``plays_until``, looking only every so many seconds: for stories of thousands of events."""
        self._step = step
        self.plays_until(until)

    def hears(self, when: Between, title: str, url: str | None = None) -> Heard:
        """The next message that was heard, which must be this one."""
        assert self.unheard, f"{title!r} was never heard"
        heard = self.unheard.pop(0)
        assert title in heard.title, f"{heard.title!r} was heard at {heard.at:g}, not {title!r}"
        assert when.low <= heard.at <= when.high, f"{title!r} was heard at {heard.at:g}"
        assert url is None or heard.url == url
        return heard

    def hears_nothing_else(self) -> None:
        assert not self.unheard, [(h.at, h.title, h.body) for h in self.unheard]

    async def _play(self, until: float) -> None:
        self._store = SqliteStore.open(self._folder)
        self._now = START - 1
        alerts = Alerts(self._store, Runs(self._store), AlertSettings(), lambda: self._now, egress=self.egress, seed=1)
        plot = sorted(self._plot, key=lambda scene: scene[:2])
        try:
            await alerts.prepare()
            while True:
                now = [scene for scene in plot if scene[0] <= self._now]
                del plot[: len(now)]
                for scene in now:
                    if callable(scene[2]):
                        await scene[2](alerts.registry)
                await self._write([scene[2] for scene in now if not callable(scene[2])])
                await self._settle(alerts)
                times = [scene[0] for scene in plot[:1]]
                times += [at for at in (await alerts.dispatcher.next_due(), await alerts.deliverer.next_due()) if at]
                ahead = min(times, default=until + 1)
                if ahead > until:
                    break
                self._now = max(ahead, self._now + self._step)
            self.targets = await alerts.registry.targets("default")
            for target in self.targets:
                self.log += await alerts.registry.log("default", target.id, limit=1_000)
        finally:
            await alerts.stop()
            self._store.close()

    async def _write(self, events: list[tuple[str, NewEvent]]) -> None:
        def insert(connection: sqlite3.Connection) -> None:
            for run, event in events:
                add_event(connection, "default", f"uid-{run}", run, event)

        if events:
            await self._store.write(insert)

    async def _settle(self, alerts: Alerts) -> None:
        while True:
            await alerts.run_once()
            started = await alerts.deliverer.run_once()
            await alerts.deliverer.drain(10)
            if not started and not await alerts.dispatcher.run_once():
                return
