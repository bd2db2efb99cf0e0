"""What findings look like, with their causes and advice, for the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from losswatch_server.api.description.evidence import EVIDENCE
from losswatch_server.api.description.types import Answer, Number, Probability, reference
from losswatch_server.monitor.advice.actions import ACTIONS
from losswatch_server.monitor.vocabulary import CauseName, ClosedBy, Condition, Severity

SeriesName = Literal["loss", "grad_norm", "validation_loss", "validation_metric", "clock", "unknown"]
Action = Annotated[
    str,
    WithJsonSchema({"type": "string", "enum": list(ACTIONS)}),
    Field(
        description="For machines: what to do.\n"
        + "".join(f"\n- `{name}`: {meaning}" for name, meaning in ACTIONS.items())
    ),
]

_EVIDENCE: dict[str, Any] = {"anyOf": [*(reference(model.__name__) for model in EVIDENCE.values()), {"type": "object"}]}
_BY_CONDITION: list[JsonValue] = [
    {
        "if": {"properties": {"condition": {"const": str(condition)}, "evidence": {"minProperties": 1}}},
        "then": {"properties": {"evidence": reference(model.__name__)}},
    }
    for condition, model in EVIDENCE.items()
]
"""Which evidence belongs to which condition. A damaged finding has none."""


class Cause(Answer):
    """A possible reason of a finding."""

    cause: CauseName
    """`docs` of the finding and `GET /v1/causes/{name}` explain each."""
    probability: Probability
    """How probable it is that this is the reason, given the finding. Fitted on benchmark trainings, whole families left
    out in turn, where stated and true shares still differed by about a tenth. Several reasons can hold at once, and not
    all are listed: no sum is promised."""
    because: list[str]
    """The evidence for it."""
    against: list[str]
    """The evidence against it."""
    check: str
    """The one check that would tell it from the other causes."""


class Advice(Answer):
    """What to do about a finding."""

    action: Action
    value: Number | str | None
    """What the action is done with, where that can be computed: a number, or the name of a scheme or function."""
    current: Number | str | None
    """The same as it is now, where that is known."""
    summary: str
    """The advice in one sentence, for people."""
    reference: str | None
    """Where the reasoning comes from: a paper or a book."""
    cause: CauseName | None
    """The cause that it helps against; null for advice that does not depend on one."""


class Suspicion(Answer):
    """A condition that is likely but not beyond doubt."""

    condition: Condition
    """What may be wrong."""
    probability: Probability
    """How probable that is: an estimate set by judgement, not yet calibrated."""
    summary: str
    """The evidence for it, in one sentence."""
    causes: list[Cause]
    """Why it may be so, the most probable first."""
    advice: list[Advice]
    """What to do, the most promising first."""
    docs: str
    """The page on the condition."""


class Finding(Answer):
    """One condition in one attempt of a run. Steps are the client's own."""

    model_config = ConfigDict(json_schema_extra={"allOf": _BY_CONDITION})
    id: str
    """The same whenever the run is judged again: made of the run's `uid`, attempt, condition, series and episode."""
    condition: Condition
    """What is wrong."""
    series: SeriesName
    """The series that shows it; `clock` for a run that stopped reporting, `unknown` for a damaged finding."""
    attempt: int
    """The attempt of the run that it belongs to; a resume from an earlier checkpoint begins a new attempt."""
    episode: int
    """Counts the times that the condition came back in this attempt."""
    severity: Severity
    """Of `warning` and above, notifications are sent; `info` is for reading."""
    confidence: Probability
    """How sure it is that the condition is really there: set for each rule by judgement, not yet its measured
    precision. Says nothing of the causes."""
    onset_step: int
    """When it began."""
    opened_step: int
    """When that could be said."""
    last_step: int
    """The last step at which it was seen."""
    resolved_step: int | None
    """When it was over; null while it is open."""
    closed_by: ClosedBy | None
    """Why it is closed: `resolved` (it went away), `superseded` (its attempt was replaced), `rule_changed` (a newer
    version of the rules no longer finds it), `lapsed` (nobody waits for the silent run any more); null while it is
    open."""
    summary: str
    """One sentence, for people."""
    evidence: Annotated[dict[str, Any], WithJsonSchema(_EVIDENCE)]
    """The numbers behind the sentence. Which there are depends on `condition`."""
    causes: list[Cause]
    """The most probable causes, most probable first."""
    advice: list[Advice]
    """What to do, most promising first."""
    docs: str
    """The path of the page that explains the condition."""


class StoredFinding(Finding):
    """A finding with its times, and what people have done about it."""

    opened_at: datetime
    """When the service received the point that showed it."""
    closed_at: datetime | None
    """When it was closed; null while it is open."""
    acknowledged_at: datetime | None
    """When somebody acknowledged it; null while nobody has."""
    muted_until: datetime | None
    """The end of the year 9999 when it is muted indefinitely; null where it never was."""


class RunFinding(StoredFinding):
    """A finding with the run that it belongs to."""

    run: str
    """The run's name."""
    project: str
    """The project of the run."""
    uid: str
    """The run's uid."""


class ProjectFindings(Answer):
    """A page of the findings of all runs of a project, the one that opened last first."""

    findings: list[RunFinding]
    """The one that opened last first."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Findings(Answer):
    """The history of a run's findings, in the order in which they opened."""

    findings: list[StoredFinding]
    """In the order in which they opened."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Mute(BaseModel):
    """For how long notifications of a finding are suppressed."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    seconds: Annotated[float | None, Field(ge=0, le=366 * 86400, allow_inf_nan=False)] = None
    """Left out or null: indefinitely. 0 ends the mute."""
