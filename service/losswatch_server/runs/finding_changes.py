"""What a change of a run's findings means: which are stored, and which events people hear of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from losswatch_server.codec import dumps, finding_json, run_json
from losswatch_server.monitor.conditions import summary
from losswatch_server.monitor.faults import Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.sentences import plainly
from losswatch_server.monitor.vocabulary import ClosedBy
from losswatch_server.store.rows import NewEvent, RunRow

CLOCK = "clock"
"""The series of findings that come from the clock: no point opens, closes or supersedes them."""


@dataclass(slots=True)
class FindingChanges:
    """What one request, or the clock, does to the findings of a run."""

    known: dict[str, Finding]
    """The run's findings by id as they were before; brought up to date in place."""
    changed: dict[str, Finding] = field(default_factory=dict)
    """Those to store, by id."""
    withdrawn: list[str] = field(default_factory=list)
    """The ids of those to remove."""
    events: list[tuple[str, Finding]] = field(default_factory=list)
    """(event kind, finding) in the order in which it happened."""
    last_reported: list[Finding] = field(default_factory=list)
    """Findings as the report before gave them, for those that it will not have any more."""

    @property
    def events_or_changes(self) -> bool:
        """Whether there is anything to store or to tell."""
        return bool(self.changed or self.events)

    def forward(self, changes: Iterable[Finding], *, quiet: bool = False) -> None:
        """Findings opened, updated and closed, one after another. ``quiet``: stored, but nobody is told."""
        known = self.known
        for finding in changes:
            old = known.get(finding.id)
            known[finding.id] = finding
            if finding.is_open:
                if old is None or not old.is_open:
                    kind = "finding.opened"
                elif finding.severity.rank > old.severity.rank:
                    kind = "finding.worsened"
                else:
                    # Only the evidence moved. The report shows that from the monitor; the row need not be written.
                    if finding.id in self.changed:
                        self.changed[finding.id] = finding
                    continue
            elif old is None or old.is_open:
                kind = "finding.resolved"
            else:
                continue
            self.changed[finding.id] = finding
            if not quiet:
                self.events.append((kind, finding))

    def reconcile(self, lineage: Iterable[Finding], why: ClosedBy | None, *, quiet: bool = False) -> None:
        """The run was folded again from an earlier place: ``lineage`` is what the monitor has now.

        An open finding that is not in it closes as ``why`` says; None means that it was a mistake of an incomplete
        point and it is taken back.
        """
        now = {finding.id: finding for finding in lineage}
        self.forward(now.values(), quiet=quiet)
        for finding in [old for old in self.known.values() if old.is_open and old.series != CLOCK]:
            if finding.id in now:
                continue
            closed = replace(finding, closed_by=why or ClosedBy.SUPERSEDED)
            if why is None:
                del self.known[finding.id]
                self.changed.pop(finding.id, None)
                self.withdrawn.append(finding.id)
            else:
                self.known[finding.id] = self.changed[finding.id] = closed
            self.events.append(("finding.superseded", closed))

    def catch_up(self, found: Iterable[Finding]) -> None:
        """Take in what ``missed`` gave. What was over before anybody could be told of it is only stored."""
        for finding in found:
            if finding.closed_by is ClosedBy.SUPERSEDED and finding.id in self.known:
                self.known[finding.id] = self.changed[finding.id] = finding
                self.events.append(("finding.superseded", finding))
            else:
                self.forward([finding], quiet=finding.id not in self.known and not finding.is_open)

    def with_explanations(self, report: Iterable[Finding]) -> FindingChanges:
        """The same with what the report says of them, or else the report before: a sentence, its numbers and its last
        step are of one moment."""
        told = {finding.id: finding for finding in (*self.last_reported, *report)}

        def whole(finding: Finding) -> Finding:
            full = told.get(finding.id)
            if full is None:
                return finding
            if (full.closed_by, full.severity) != (finding.closed_by, finding.severity):
                # it has changed again within the request: each change has its own words
                return replace(finding, summary=_sentence(finding), causes=full.causes, advice=full.advice)
            return replace(
                finding,
                summary=full.summary,
                evidence=full.evidence,
                last_step=full.last_step,
                causes=full.causes,
                advice=full.advice,
            )

        return FindingChanges(
            self.known,
            {finding.id: whole(finding) for finding in self.changed.values()},
            self.withdrawn,
            [(kind, whole(finding)) for kind, finding in self.events],
        )


def missed(known: Mapping[str, Finding], lineage: Iterable[Finding], attempt: int) -> list[Finding]:
    """What the monitor has in ``lineage`` otherwise than the store in ``known``.

    There is such only after a replica of an older version kept points without judging them. ``attempt``: findings of
    earlier ones that are gone were superseded meanwhile; 0 where that cannot be known.
    """
    now = {finding.id: finding for finding in lineage}
    found = [new for id_, new in now.items() if (old := known.get(id_)) is None or _moved(old, new)]
    gone = [
        replace(old, closed_by=ClosedBy.SUPERSEDED)
        for id_, old in known.items()
        if old.is_open and old.series != CLOCK and id_ not in now and old.attempt < attempt
    ]
    return gone + found


def _moved(old: Finding, new: Finding) -> bool:
    return old.is_open is not new.is_open or (new.is_open and new.severity.rank > old.severity.rank)


def _sentence(finding: Finding) -> str:
    return Faults().shield(
        "sentence", finding.condition, finding.last_step, partial(summary, finding), plainly(finding)
    )


def event(kind: str, at: float, row: RunRow, finding: Finding | None = None) -> NewEvent:
    """``finding`` has its causes and advice already; the body is strict JSON."""
    told = {} if finding is None else {"finding": finding_json(finding)}
    body = {"run": run_json(row), **told, "headline": row.headline, "status": str(row.status)}
    return NewEvent(kind, at, None if finding is None else finding.id, dumps(body))
