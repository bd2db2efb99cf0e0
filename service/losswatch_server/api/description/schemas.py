"""What the API's answers look like, for its description: nothing here runs when a request is served.

Answers are written by ``losswatch_server.codec``; a test checks every answer against these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from losswatch_server.monitor.vocabulary import (
    CauseName,
    ClosedBy,
    Condition,
    LoopAction,
    RunState,
    Severity,
    Status,
)

NON_FINITE = ["NaN", "Infinity", "-Infinity"]
NUMBER = {"oneOf": [{"type": "number"}, {"type": "string", "enum": NON_FINITE}]}

Number = Annotated[float, WithJsonSchema(NUMBER)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """Fields are only ever added: readers ignore those that they do not know."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Cause(Answer):
    """Why it may be so."""

    cause: CauseName
    probability: Probability
    because: list[str]
    """The evidence for it."""
    against: list[str]
    """The evidence against it."""
    check: str
    """The one check that would tell it from the other causes."""


class Advice(Answer):
    """What to do."""

    action: str
    """For machines, such as set_learning_rate or multiply_learning_rate."""
    value: Number | str | None
    """With a value where one can be computed."""
    current: Number | str | None
    summary: str
    """For people."""
    reference: str | None
    cause: CauseName | None


class Finding(Answer):
    """One condition in one attempt of a run."""

    id: str
    condition: Condition
    series: str
    attempt: int
    episode: int
    severity: Severity
    confidence: Probability
    onset_step: int
    """When it began."""
    opened_step: int
    """When that could be said."""
    last_step: int
    resolved_step: int | None
    closed_by: ClosedBy | None
    summary: str
    evidence: dict[str, Any]
    """Named numbers that a person can check."""
    causes: list[Cause]
    advice: list[Advice]
    docs: str


class StoredFinding(Finding):
    """A finding with its times, and what people have done about it."""

    opened_at: datetime
    closed_at: datetime | None
    acknowledged_at: datetime | None
    muted_until: datetime | None
    """The end of the year 9999 when it is muted indefinitely."""


class Findings(Answer):
    """The history of a run's findings, in the order in which they opened."""

    findings: list[StoredFinding]


class Forecast(Answer):
    """Where the loss is going."""

    floor: Number | None
    interval: list[Number] | None
    steps_to_floor: Number | None


class Verdict(Answer):
    """How the points look."""

    status: Status
    action: LoopAction
    """What the training loop should do: continue, look, or stop."""
    headline: str
    findings: list[Finding]
    forecast: Forecast
    notes: list[str]


class Report(Verdict):
    """The health of a run."""

    run: str
    project: str
    uid: str
    attempt: int
    step: int | None
    points: int
    version: int
    detection_version: int
    state: RunState
    stale: bool
    """True when a newer version of the service judges this run, and this is its last report."""


class Counts(Answer):
    """What became of the points of a request."""

    accepted: int
    duplicates: int
    late: int
    conflicts: int


class Recorded(Counts, Report):
    """The report after the request, and what became of its points."""


class CountsOnly(Counts):
    """The answer with ?report=false."""

    run: str
    project: str
    uid: str
    attempt: int


class Run(Answer):
    """A run."""

    run: str
    project: str
    uid: str
    """New with each creation: tells a run from an earlier one of the same name."""
    attempt: int
    step: int | None
    points: int
    version: int
    detection_version: int
    state: RunState
    status: Status
    action: LoopAction
    headline: str
    context: dict[str, Any]
    created_at: datetime
    last_seen_at: datetime
    finished_at: datetime | None
    paused_until: datetime | None
    damaged: list[str]
    """What of the run's row in the database cannot be read; it was made again from the record as far as it could."""


class Runs(Answer):
    """A page of runs, newest first."""

    runs: list[Run]
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Point(Answer):
    """A point as it was sent: fields that were not measured are absent."""

    step: int
    loss: Number | None = None
    grad_norm: Number | None = None
    learning_rate: Number | None = None
    validation_loss: Number | None = None
    epoch: Number | None = None
    time: str | None = None
    layers: dict[str, Number] | None = None
    metrics: dict[str, Number] | None = None
    rank: int | None = None
    attempt: int
    superseded: bool
    """A later attempt, or a later writer, took this step over: drawn greyed, not judged."""


class Points(Answer):
    """The series of a run, or a page of it."""

    points: list[Point]
    next_cursor: str | None


class SkippedLine(Answer):
    """A line that was not understood."""

    line: int
    text: str
    reason: str


class Reading(Answer):
    """How the text was understood."""

    format: str
    points: int
    total_lines: int
    read_as: list[str]
    """Which columns or lines were read as what, in sentences."""
    doubts: list[str]
    """Where that may be wrong, and what would settle it."""
    skipped: list[SkippedLine]
    """Up to 100 of the lines that were not understood."""
    skipped_lines: int
    context: dict[str, Any]
    """What the log itself says of the job."""


class Diagnosis(Verdict):
    """The report on points that are not stored; of a text that holds several runs, on the worst of them."""

    run: str | None = None
    """What the text calls the run, where it holds several; absent otherwise."""
    attempt: int
    step: int | None
    points: int
    detection_version: int
    read: Reading | None
    """Null when the body was points in JSON."""
    reports: list[dict[str, Any]] | None = None
    """Where the text holds several runs, a report like this one on each, in the order of the text; absent otherwise."""


class Page(Answer):
    """One page of the catalogue."""

    name: str
    kind: str
    title: str
    summary: str
    url: str
    markdown: str


class PageLine(Answer):
    """One line of the catalogue's contents."""

    name: str
    title: str
    summary: str
    url: str


class Conditions(Answer):
    """Every condition, in the order in which a headline prefers them."""

    conditions: list[PageLine]


class Causes(Answer):
    """Every cause."""

    causes: list[PageLine]


class Alive(Answer):
    """The process answers."""

    status: str


class NotRunning(Answer):
    """Work in the background that is not done now."""

    name: str
    since: str
    why: str


class Ready(Answer):
    """Points are kept; `status` is `degraded` where something in the background does not run."""

    status: Literal["ok", "degraded"]
    not_running: list[NotRunning]


class Fault(Answer):
    """One bad place."""

    pointer: str
    """A JSON pointer (RFC 6901) into the body; for parameters, their name."""
    detail: str


class Problem(Answer):
    """An error (RFC 9457)."""

    type: str
    """Stable: compare this."""
    title: str
    status: int
    detail: str
    """What to change, for people."""
    instance: str | None = None
    errors: list[Fault] | None = None
    errors_total: int | None = None
    retry_after: int | None = None


class Finish(BaseModel):
    """How a run ended."""

    model_config = ConfigDict(extra="forbid")
    state: Annotated[RunState, WithJsonSchema({"type": "string", "enum": ["finished", "failed", "cancelled"]})]


class Pause(BaseModel):
    """For how long a run will not report."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    seconds: Annotated[float, Field(ge=0, le=30 * 86400, allow_inf_nan=False)]
    """0 ends the pause."""


class Mute(BaseModel):
    """For how long notifications of a finding are suppressed."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    seconds: Annotated[float | None, Field(ge=0, le=366 * 86400, allow_inf_nan=False)] = None
    """Left out or null: indefinitely. 0 ends the mute."""


ANSWERS: tuple[type[BaseModel], ...] = (
    Recorded,
    CountsOnly,
    Report,
    Run,
    Runs,
    Points,
    StoredFinding,
    Findings,
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
