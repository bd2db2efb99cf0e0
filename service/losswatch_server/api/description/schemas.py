"""What the API's answers look like, for its description: nothing here runs when a request is served.

Answers are written by ``losswatch_server.codec``; a test checks every answer against these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from losswatch_server.api.description.finding_schemas import (
    Finding,
    Findings,
    Mute,
    ProjectFindings,
    StoredFinding,
    Suspicion,
)
from losswatch_server.api.description.reading_schemas import Reading
from losswatch_server.api.description.types import Answer, Context, Number
from losswatch_server.monitor.vocabulary import LoopAction, RunState, Status


class Forecast(Answer):
    """Where the loss is going."""

    floor: Number | None
    """The loss at which it would level off; null where that cannot be said."""
    interval: list[Number] | None
    """A lower and an upper bound of the floor."""
    steps_to_floor: Number | None
    """Steps until nine tenths of the way there are done."""


class Verdict(Answer):
    """How the points look."""

    status: Status
    """The worst severity of the open findings: `critical`, `warning`, else `healthy`; `waiting` with too few points."""
    action: LoopAction
    """What the training loop should do: `continue`, `look`, or `stop` (only for a loss that stays non-finite or a
    divergence that is all but certain)."""
    headline: str
    """How the run is doing, in one sentence."""
    findings: list[Finding]
    """The findings of this attempt, the worst first, open before closed."""
    suspicions: list[Suspicion]
    """Where no finding is open and somebody asked (`POST /v1/diagnose`): up to three conditions that are likely but not
    beyond doubt. They never notify and change neither `status` nor `action`. Empty in the report of a live run."""
    forecast: Forecast
    """If nothing changes."""
    notes: list[str]
    """What else a person should know of this report, in sentences: misspelt names, two writers at once, damage."""


class Report(Verdict):
    """The health of a run."""

    run: str
    """The run's name."""
    project: str
    """The project that it belongs to."""
    uid: str
    """New with each creation: tells a run from an earlier one of the same name."""
    attempt: int
    """The current attempt, from 1: a resume from an earlier checkpoint begins a new one."""
    step: int | None
    """The last step that was judged; null before the first."""
    points: int
    """How many points the current attempt is judged by."""
    version: int
    """Counts what changed the run's record: it grows with every new point, context and attempt."""
    detection_version: int
    """The version of the detection rules that judged it."""
    state: RunState
    """Where the run is in its life; `silent` has stopped reporting."""
    error: str | None
    """What the client said of the failure that ended the run."""
    stale: bool
    """True when a newer version of the service judges this run, and this is its last report."""


class Counts(Answer):
    """What became of the points of a request."""

    accepted: int
    """New points."""
    duplicates: int
    """Points that said nothing new."""
    late: int
    """Points that added to, or belong to, an earlier step."""
    conflicts: int
    """Points with a field that contradicts what is stored: the first value stands."""


class Recorded(Counts, Report):
    """The report after the request, and what became of its points."""


class CountsOnly(Counts):
    """The answer with ?report=false."""

    run: str
    """The run's name."""
    project: str
    """The project that it belongs to."""
    uid: str
    """New with each creation: tells a run from an earlier one of the same name."""
    attempt: int
    """The current attempt, from 1: a resume from an earlier checkpoint begins a new one."""


class Run(Answer):
    """A run."""

    run: str
    """The run's name."""
    project: str
    """The project that it belongs to."""
    uid: str
    """New with each creation: tells a run from an earlier one of the same name."""
    attempt: int
    """The current attempt, from 1: a resume from an earlier checkpoint begins a new one."""
    step: int | None
    """The last step that was judged; null before the first."""
    points: int
    """How many points the current attempt is judged by."""
    version: int
    """Counts what changed the run's record: it grows with every new point, context and attempt."""
    detection_version: int
    """The version of the detection rules that judged it."""
    state: RunState
    """Where the run is in its life; `silent` has stopped reporting."""
    status: Status
    """The worst severity of the open findings, as in the report."""
    action: LoopAction
    """What the training loop should do, as in the report."""
    headline: str
    """How the run is doing, in one sentence, as of the last report that was made."""
    context: Context
    """What the client told of the job; absent fields were not given."""
    created_at: datetime
    """When the run was declared, or its first point came."""
    last_seen_at: datetime
    """When the last request of its client came."""
    finished_at: datetime | None
    """When the client said that the run ended; null before."""
    error: str | None
    """What the client said of the failure that ended the run."""
    paused_until: datetime | None
    """Until when silence is expected; null without a pause."""
    damaged: list[str]
    """What of the run's row in the database cannot be read; it was made again from the record as far as it could."""


class Runs(Answer):
    """A page of runs, newest first."""

    runs: list[Run]
    """Newest first."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Point(Answer):
    """A point as it was sent: fields that were not measured are absent."""

    step: int
    """The step."""
    loss: Number | None = None
    """The training loss; null where an explicit null was sent."""
    grad_norm: Number | None = None
    """The norm of the whole gradient."""
    learning_rate: Number | None = None
    """The learning rate in use."""
    validation_loss: Number | None = None
    """The validation loss."""
    epoch: Number | None = None
    """The epoch, whole or fractional."""
    time: str | None = None
    """When it was measured, by the client's clock (RFC 3339)."""
    layers: dict[str, Number] | None = None
    """Gradient norm by layer."""
    metrics: dict[str, Number] | None = None
    """Other numbers by name."""
    rank: int | None = None
    """The rank that measured it; absent for rank 0."""
    attempt: int
    """The attempt that it belongs to."""
    superseded: bool
    """A later attempt, or a later writer, took this step over: drawn greyed, not judged."""


class Points(Answer):
    """The series of a run, or a page of it."""

    points: list[Point]
    """By ascending attempt and step."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Diagnosis(Verdict):
    """The report on points that are not stored; of a text that holds several runs, on the worst of them."""

    run: str | None = None
    """What the text calls the run, where it holds several; absent otherwise."""
    attempt: int
    """The last attempt that the points show."""
    step: int | None
    """The last step; null without points."""
    points: int
    """How many points the last attempt is judged by."""
    detection_version: int
    """The version of the detection rules."""
    read: Reading | None
    """Null when the body was points in JSON."""
    reports: list[dict[str, Any]] | None = None
    """Where the text holds several runs, a report like this one on each, in the order of the text; absent otherwise."""
    series: list[Point] | None = None
    """With `resolution`: about so many of the points; absent otherwise."""


class Page(Answer):
    """One page of the catalogue."""

    name: str
    """The name of the condition or cause."""
    kind: Literal["condition", "cause"]
    """Whether it is a condition or a cause."""
    title: str
    """A title for people."""
    summary: str
    """What it means, in one sentence."""
    url: str
    """The path of this page."""
    markdown: str
    """The whole page."""


class PageLine(Answer):
    """One line of the catalogue's contents."""

    name: str
    """The name of the condition or cause."""
    title: str
    """A title for people."""
    summary: str
    """What it means, in one sentence."""
    url: str
    """The path of its page."""


class Conditions(Answer):
    """Every condition, in the order in which a headline prefers them."""

    conditions: list[PageLine]
    """One line each."""


class Causes(Answer):
    """Every cause."""

    causes: list[PageLine]
    """One line each."""


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]
    """`ok`."""


class NotRunning(Answer):
    """Work in the background that is not done now."""

    name: str
    """What it is."""
    since: datetime
    """When it stopped."""
    why: str
    """The error that stopped it."""


class Ready(Answer):
    """Points are kept; `status` is `degraded` where something in the background does not run."""

    status: Literal["ok", "degraded"]
    """`degraded` while something in the background does not run."""
    not_running: list[NotRunning]
    """What does not run."""


class Fault(Answer):
    """One bad place."""

    pointer: str
    """A JSON pointer (RFC 6901) into the body; for parameters, their name."""
    detail: str
    """What to change there."""


class Problem(Answer):
    """An error (RFC 9457)."""

    type: str
    """Stable: compare this."""
    title: str
    """The kind of the error, for people."""
    status: int
    """The HTTP status."""
    detail: str
    """What to change, for people."""
    instance: str | None = None
    """The path that was asked for."""
    errors: list[Fault] | None = None
    """Each bad place, at most 100."""
    errors_total: int | None = None
    """How many bad places there are in all."""
    retry_after: int | None = None
    """Seconds to wait before sending it again."""


class Finish(BaseModel):
    """How a run ended."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    state: Literal["finished", "failed", "cancelled"] = "finished"
    """Left out: `finished`."""
    error: Annotated[str, StringConstraints(max_length=500)] | None = None
    """What it failed of: the exception's type and first line, without secrets. It is part of the notification."""


class Pause(BaseModel):
    """For how long a run will not report."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    seconds: Annotated[float, Field(ge=0, le=30 * 86400, allow_inf_nan=False)]
    """0 ends the pause."""


ANSWERS: tuple[type[BaseModel], ...] = (
    Recorded,
    CountsOnly,
    Report,
    Run,
    Runs,
    Points,
    StoredFinding,
    Findings,
    ProjectFindings,
    Diagnosis,
    Page,
    Conditions,
    Causes,
    Alive,
    Ready,
    Problem,
    Finish,
    Pause,
    Mute,
)
