"""From labelled runs to what a fit needs: which rows were there, how plainly, and which cause was injected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.ways import WAYS
from losswatch_server.codec.facts import read_facts
from losswatch_server.monitor.diagnosis.engine import strengths
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.magnitudes import knowledge
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition, Severity

USED_WAYS = ("as is", "loss alone", "no context", "40 epoch means", "whole context", "context and facts")


@dataclass(frozen=True, slots=True)
class Case:
    """One run, logged in one way, with the condition that it has and the cause that was injected."""

    run: str
    family: str
    way: str
    sent: str
    condition: str
    cause: str
    fair: frozenset[str]
    """The causes that an expert could not tell from it, itself included."""
    knowledge: str
    """How much the client said: ``little``, ``settings``, ``facts``."""
    found: bool
    """Whether the monitor raised a finding of the condition; else one is assumed, so that its causes can be ranked."""
    strengths: dict[str, float]


@dataclass(frozen=True, slots=True)
class Logged:
    """One faulty run, logged in one way, folded to its end: what is left to do is to weigh the evidence."""

    run: str
    family: str
    way: str
    sent: str
    cause: str
    fair: frozenset[str]
    found: bool
    finding: Finding
    memory: Memory
    context: Context

    @property
    def seen(self) -> Seen:
        """What evidence looks at."""
        measured = gather(self.memory, self.context, since_step=self.finding.onset_step)
        return Seen(self.finding, measured, self.context)


def logs_of(run: LabelledRun, ways: Sequence[str] = USED_WAYS, offset: int = 0) -> Iterator[Logged]:
    """The logs of a faulty run whose cause is known; none of a healthy one."""
    if run.label.healthy or run.label.cause is None:
        return
    for way in ways:
        logged = WAYS[way](run, offset)
        if logged is None or logged.label.cause is None or len(logged.points) < 5:
            continue
        found = finding_of(logged)
        if found is not None:
            finding, raised, monitor = found
            yield Logged(
                run.id, run.family, way, logged.sent, logged.label.cause, logged.label.right_causes, raised, finding,
                monitor.memory, monitor.context,
            )  # fmt: skip


def case_of(log: Logged) -> Case:
    """What the evidence of today makes of a log."""
    return Case(
        log.run, log.family, log.way, log.sent, log.finding.condition, log.cause, log.fair,
        knowledge(log.context), log.found, strengths(log.seen),
    )  # fmt: skip


def known_context(context: Context) -> Context:
    """The context as the service reads it: facts are no plain mapping."""
    facts = context.facts.given() if isinstance(context.facts, ModelFacts) else context.facts
    if not isinstance(facts, Mapping):
        return context
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}
    return replace(context, facts=read_facts(plain)[0])


def finding_of(run: LabelledRun) -> tuple[Finding, bool, Monitor] | None:
    """The first finding that fits the label, at the end of the run, and whether a rule raised it; else an assumed one;
    and the monitor that saw it.

    None where the condition has no causes.
    """
    monitor = Monitor("fit")
    contexts = list(run.contexts())
    begin = 0
    for place, (_, context) in enumerate(contexts):
        monitor.see_context(known_context(context))
        end = len(run.points)
        if place + 1 < len(contexts):
            end = next((i for i, p in enumerate(run.points) if p.step >= contexts[place + 1][0]), end)
        monitor.see_all(run.points[begin:end])
        begin = max(begin, end)
    label = run.label
    matching = [
        f for f in monitor.findings() if f.condition in label.right and f.severity is not Severity.INFO
    ]  # fmt: skip
    if matching:
        finding = min(matching, key=lambda f: f.opened_step)
    elif label.condition in PRIORS:
        finding = assumed(Condition(label.condition), label.onset_step or 0, monitor.step)
    else:
        return None
    if finding.condition not in PRIORS:
        return None
    return finding, bool(matching), monitor


def assumed(condition: Condition, onset: int, step: int) -> Finding:
    """A finding of a condition that no rule raised."""
    return Finding(
        id="f_assumed", condition=condition, series="loss", attempt=1, episode=0, severity=Severity.WARNING,
        confidence=0.5, onset_step=onset, opened_step=step, last_step=step,
    )  # fmt: skip
