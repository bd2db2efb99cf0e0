"""The report: findings turned into status, action, headline, causes, advice and a forecast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from losswatch_server.monitor import advice
from losswatch_server.monitor.conditions import CONDITIONS, headline
from losswatch_server.monitor.context_names import misspelt
from losswatch_server.monitor.diagnoses import diagnose_findings
from losswatch_server.monitor.diagnosis import engine
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.stated_faults import stated
from losswatch_server.monitor.diagnosis.suspicions import MOST, Suspicion, as_finding, nothing_beyond_doubt, suspects
from losswatch_server.monitor.faults import Fault, Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.forecast import NOTHING, Forecast, forecast
from losswatch_server.monitor.known import begins_at_start
from losswatch_server.monitor.monitor import FORECAST_FROM, Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.quiet import nothing_found
from losswatch_server.monitor.rules.flat_parameters import FlatParameters
from losswatch_server.monitor.sentences import counted, number
from losswatch_server.monitor.stats.trend import difference_scale, median
from losswatch_server.monitor.vocabulary import ClosedBy, Condition, LoopAction, Severity, Status

LEAST_POINTS = 5
"""Below this many points nothing but a non-finite value can be judged."""
STOP_CONFIDENCE = 0.99
CONSTANT_POINTS = FlatParameters().least_points
MORE_LIKELY_THAN_NOT = 0.5
"""Probability of a suspicion that is told rather than that the loss has settled."""
PASSED = 0.1
"""Of the present level: a floor foretold so far above it was none."""
_ORDER = tuple(Condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Everything that a report says of a run; who the run is stands beside it."""

    status: Status
    action: LoopAction
    headline: str
    findings: tuple[Finding, ...]
    forecast: Forecast
    notes: tuple[str, ...]
    attempt: int
    step: int | None
    points: int
    suspicions: tuple[Suspicion, ...] = ()
    """For whoever asks, where no finding is open: what is most likely wrong if the person is not content."""
    faults: tuple[Fault, ...] = ()
    """What failed while this was put together, for whoever logs and counts; the notes say it too."""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Open before closed, critical before warning, then in the order of the vocabulary, the loss before the rest."""
    return sorted(
        findings,
        key=lambda f: (not f.is_open, -f.severity.rank, _ORDER.index(f.condition), f.series != "loss", -f.onset_step),
    )


def status_of(findings: Iterable[Finding], points: int, *, judged: bool = True) -> Status:
    """The run's status from its open findings. ``judged``: whether there was a loss; without one nothing is healthy."""
    worst = max((f.severity.rank for f in findings if f.is_open), default=0)
    if worst:
        return Status.CRITICAL if worst == Severity.CRITICAL.rank else Status.WARNING
    return Status.WAITING if points < LEAST_POINTS or not judged else Status.HEALTHY


def can_be_judged(monitor: Monitor) -> bool:
    """Whether there were losses, and not merely a few that are all the same: whether those are stuck or rounded, few of
    them do not tell."""
    track = monitor.memory.loss
    return track.n > 0 and (track.lowest < track.highest or track.n >= CONSTANT_POINTS)


def action_of(findings: Iterable[Finding]) -> LoopAction:
    """``stop`` only for a loss that stays non-finite or a divergence that is all but certain."""
    action = LoopAction.CONTINUE
    for f in findings:
        if not f.is_open or f.severity is Severity.INFO:
            continue
        final = f.condition is Condition.DIVERGING or (f.condition is Condition.NON_FINITE and f.series == "loss")
        if final and f.severity is Severity.CRITICAL and f.confidence >= STOP_CONFIDENCE and not f.evidence.get("rank"):
            return LoopAction.STOP
        action = LoopAction.LOOK
    return action


def _quiet_headline(monitor: Monitor, status: Status, findings: tuple[Finding, ...]) -> str:
    track, validation = monitor.memory.loss, monitor.memory.validation
    if status is Status.WAITING and monitor.points < LEAST_POINTS:
        more = LEAST_POINTS - monitor.points
        so_far = counted(monitor.points, "point")
        return (
            f"Waiting: {so_far} so far, {more} more {'is' if more == 1 else 'are'} needed before anything can be said."
        )
    if track.n == 0 and validation.n:
        return (
            f"No training loss in {counted(monitor.points, 'point')}: post `loss` to have the run judged. The "
            f"validation loss was best at step {validation.lowest_step:,} ({number(validation.lowest)}) and is "
            f"{number(validation.recent[-1])} now."
        )
    if track.n == 0:
        return f"No loss in {counted(monitor.points, 'point')}: post `loss` to have the run judged."
    if not can_be_judged(monitor):
        return f"Nothing can be said yet: the loss was exactly {number(track.lowest, 6)} in all {track.n} points."
    settled = next((f for f in findings if f.is_open and f.condition is Condition.CONVERGED), None)
    if settled is not None:
        return f"Converged: {settled.summary[0].lower()}{settled.summary[1:]}"
    if not monitor.minimised:
        return (
            f"No NaN and no infinity in {counted(track.n, 'point')}: nothing else is judged in the losses of a GAN or "
            f"of reinforcement learning{_what_is_over(findings)}."
        )
    return f"{nothing_found(monitor.memory, monitor.context)}{_what_is_over(findings)}."


def _what_is_over(findings: Iterable[Finding]) -> str:
    """The latest trouble that a run got over; nothing where it never had any."""
    over = [f for f in findings if f.closed_by is ClosedBy.RESOLVED and f.severity is not Severity.INFO]
    if not over:
        return ""
    last = max(over, key=lambda f: f.onset_step)
    return f"; {CONDITIONS[last.condition].phrase} at step {last.onset_step:,} is over"


def _notes(monitor: Monitor, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    notes = []
    if not monitor.minimised:
        notes.append(
            "The loss of a GAN or of reinforcement learning does not say how good the model is: only non-finite "
            'values are judged. Send objective "minimize" in the context to have everything judged.'
        )
    loss = monitor.memory.loss
    if loss.n >= LEAST_POINTS and not begins_at_start(monitor.memory):
        notes.append(
            f"The log begins at step {loss.head_steps[0]:,}: the beginning of the run is missing. It is judged by "
            "what the log shows, and nothing is said of how far it came since its start."
        )
    if any(f.condition is Condition.NON_FINITE and f.evidence.get("kind") == "unknown" for f in findings):
        notes.append(
            "A loss that was null counts as non-finite, because many JSON encoders write NaN as null; "
            'send "NaN" as a string to be exact, and leave the field out when nothing was measured.'
        )
    return (*notes, *misspelt(monitor.context))


def _forecast(monitor: Monitor, *, asked: bool) -> Forecast:
    """Made anew for whoever asks; else the latest one, unless the loss has since gone below what it foretold."""
    track = monitor.memory.loss
    if not monitor.minimised:
        return NOTHING
    if asked and track.n >= FORECAST_FROM:
        return forecast(monitor.memory, monitor.context)
    made = monitor.forecast
    if made.floor is None or not track.n:
        return made
    level = median(track.recent[-8:])
    passed = made.floor - level  # asked for first: the noise takes ten times as long, and a report is made at each post
    is_passed = passed > PASSED * abs(level) and passed > 2 * difference_scale(track.recent[-64:])
    return NOTHING if is_passed else made


def _suspicions(monitor: Monitor) -> tuple[Suspicion, ...]:
    """What may be wrong although no rule is sure, each with its causes and advice."""
    measured = gather(monitor.memory, monitor.context)
    told = []
    fault = stated(measured, monitor.context, monitor.step)
    for suspicion in ([fault] if fault else []) + suspects(measured):
        finding = as_finding(suspicion, measured, monitor.step)
        causes = engine.rank(finding, measured, monitor.context)
        told.append(replace(suspicion, causes=causes, advice=advice.advise(finding, causes, measured, monitor.context)))
    return tuple(told[:MOST])


def assess(monitor: Monitor, *, asked: bool = False) -> Assessment:
    """Everything the report says, from the state and the present context. Pure. Of a watched run it is cheap: causes
    and advice are as ``diagnoses`` keeps them; else they are worked out here.

    ``asked``: somebody wants to know what may be wrong, rather than to be woken only where it is sure; costs 4 ms.

    What cannot be said of a finding is left out, and the notes say so.
    """
    found, faults = monitor.findings(), Faults()
    diagnoses = monitor.diagnoses
    if not monitor.watched:
        diagnoses = diagnose_findings(found, monitor.memory, monitor.context, monitor.step)
    findings = tuple([diagnoses.tell(f, monitor.step, faults) for f in found])
    status = status_of(findings, monitor.points, judged=can_be_judged(monitor))
    ahead = partial(_forecast, monitor, asked=asked)
    expected = faults.shield("forecast", "", monitor.step, ahead, NOTHING)
    suspected: tuple[Suspicion, ...] = ()
    troubles = [f for f in worst_first(findings) if f.is_open and f.severity is not Severity.INFO]
    if troubles:
        of = f"{troubles[0].condition}/{troubles[0].series}"
        head = faults.shield("sentence", of, monitor.step, partial(headline, troubles[0]), troubles[0].summary)
    else:
        if asked and monitor.minimised and monitor.points >= LEAST_POINTS:
            suspected = faults.shield("causes", "this run", monitor.step, partial(_suspicions, monitor), ())
        say = partial(_quiet_headline, monitor, status, findings)
        settled = any(f.is_open for f in findings)
        if suspected and (not settled or suspected[0].probability >= MORE_LIKELY_THAN_NOT):
            say = partial(" ".join, nothing_beyond_doubt(suspected))
        head = faults.shield("sentence", "this run", monitor.step, say, f"The run is {status}.")
    return Assessment(
        status=status,
        action=action_of(findings),
        headline=head,
        findings=findings,
        forecast=expected,
        notes=_notes(monitor, findings)
        + tuple(fault.note for fault in (*monitor.faults.known(), *diagnoses.faults.known(), *faults.known())),
        attempt=monitor.attempt,
        step=monitor.step if monitor.step >= 0 else None,
        points=monitor.points,
        suspicions=suspected,
        faults=(*diagnoses.faults.drain(), *faults.drain()),
    )


def diagnose(points: Iterable[Point], context: Context, uid: str = "diagnose", *, asked: bool = False) -> Assessment:
    """Fold points in ascending order of steps, one rank-0 point a step, and assess."""
    monitor = Monitor(uid)
    monitor.see_context(context)
    monitor.see_all(list(points))
    return assess(monitor, asked=asked)
