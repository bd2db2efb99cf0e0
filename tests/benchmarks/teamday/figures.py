"""What a day of messages is worth: who was told of, when, how often. Pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.teamday.play import Day
from benchmarks.teamday.receivers import Heard
from benchmarks.teamday.team import Job
from losswatch_server.store.rows import StoredEvent

HOUR = 3_600.0
SERIOUS = ("warning", "critical")


@dataclass(frozen=True)
class Figures:
    """Of one receiver. Delays are seconds from the finding to the first message that names its run. A copy under the
    same id, as after a kill, is no duplicate: receivers know it by its id. Incidents are PagerDuty's: how many there
    were, and how many stand at the end of the day because their run died of them or is silent."""

    runs: int
    faulty: int
    messages: int
    about_healthy: int
    missed: tuple[str, ...]
    longest_delay_alone_s: float
    longest_delay_in_sweep_s: float
    duplicates: int
    most_per_sweep_and_hour: int
    flapping: tuple[str, ...]
    incidents: int
    incidents_open_at_the_end: int


def figures(jobs: Sequence[Job], day: Day, heard: Sequence[Heard]) -> Figures:
    """The figures of what one receiver heard."""
    found = _found(day.events)
    healthy = {job.name for job in jobs} - found.keys()
    once = list({message.id: message for message in heard}.values())
    named = {id(message): _named(message, jobs) for message in once}
    first: dict[str, float] = {}
    for message in once:
        for name in named[id(message)]:
            first.setdefault(name, message.at)
    sweeps = {job.name: str(job.context["group"]) for job in jobs if "group" in job.context}
    delays = {name: first[name] - at for name, at in found.items() if name in first}
    per_run = Counter(name for message in once for name in named[id(message)] if len(named[id(message)]) == 1)
    incidents = {m.body["dedup_key"]: m.body["event_action"] for m in once if m.kind == "pagerduty"}
    return Figures(
        runs=len(jobs),
        faulty=len(found),
        messages=len(once),
        about_healthy=sum(bool(names) and names <= healthy for names in named.values()),
        missed=tuple(sorted(found.keys() - first.keys())),
        longest_delay_alone_s=max((d for name, d in delays.items() if name not in sweeps), default=0.0),
        longest_delay_in_sweep_s=max((d for name, d in delays.items() if name in sweeps), default=0.0),
        duplicates=len(once) - len({message.content for message in once}),
        most_per_sweep_and_hour=_most_per_hour(once, sweeps),
        flapping=tuple(sorted(name for name, count in per_run.items() if count > 3)),
        incidents=len(incidents),
        incidents_open_at_the_end=sum(action == "trigger" for action in incidents.values()),
    )


def _found(events: Sequence[StoredEvent]) -> dict[str, float]:
    """When each faulty run's finding reached a target's severity; not those that went by themselves within a minute."""
    opened: dict[tuple[str, str], float] = {}
    found: dict[str, float] = {}
    for event in events:
        body = json.loads(event.body) if event.body else {}
        finding = body.get("finding") or {}
        key = (event.run, str(event.finding_id))
        if event.kind in ("finding.opened", "finding.worsened") and finding.get("severity") in SERIOUS:
            opened.setdefault(key, event.at)
        elif event.kind in ("finding.resolved", "finding.superseded") and key in opened and event.at - opened[key] < 60:
            del opened[key]
        elif event.kind == "run.failed":
            found.setdefault(event.run, event.at)
    for (run, _), at in opened.items():
        found[run] = min(at, found.get(run, at))
    return found


def _named(message: Heard, jobs: Sequence[Job]) -> set[str]:
    text = json.dumps(message.body)
    return {job.name for job in jobs if job.name in text}


def _most_per_hour(once: Sequence[Heard], sweeps: dict[str, str]) -> int:
    times: dict[str, list[float]] = defaultdict(list)
    for message in once:
        for group in {sweeps[name] for name in sweeps if name in json.dumps(message.body)}:
            times[group].append(message.at)
    return max((sum(at <= other < at + HOUR for other in found) for found in times.values() for at in found), default=0)
