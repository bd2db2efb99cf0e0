"""What explanations and comparisons look like, for the API's description, and their examples."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from losswatch_server.api.description.finding_schemas import SeriesName
from losswatch_server.api.description.types import Answer, Number
from losswatch_server.monitor.vocabulary import Condition


class Judgement(Answer):
    """One point at which the rule judged."""

    step: int
    """The step of the point."""
    value: Number | None
    """Of the series, as it was sent; null where it was not measured."""
    statistic: Number
    """The statistic there."""
    threshold: Number | None
    """The threshold at that point; null where the rule could not alarm."""
    failed: str | None
    """The name of the first test of the rule that did not pass there; null where all did."""


class RuleTest(Answer):
    """One of the tests that must all pass for the rule to alarm, as of the opening."""

    name: str
    """What is measured."""
    value: Number
    """Its value where the finding opened."""
    threshold: Number
    """What the value was held against."""
    alarms: Literal["above", "below"]
    """On which side of its threshold it passes."""
    unit: str
    """Of both."""


class UsedPoints(Answer):
    """The first and the last step that the judgement was made from."""

    from_step: int
    """The first."""
    to_step: int
    """The last."""


class Explanation(Answer):
    """The statistic behind a finding over time, its threshold, and the points it used."""

    finding: str
    """The finding's id."""
    condition: Condition
    """What is wrong."""
    series: SeriesName
    """The series that shows it."""
    rule: str
    """One sentence, with the parameters of the rule in it."""
    statistic: str
    """What the statistic is."""
    unit: str
    """The unit of the statistic and its threshold."""
    alarms: Literal["above", "below"]
    """On which side of its threshold the statistic alarms."""
    threshold: Number | None
    """The one in force where the finding opened."""
    values: list[Judgement]
    """At most 500, by ascending step: all around onset and opening, else the extremes of each stretch."""
    tests: list[RuleTest]
    """All tests of the rule as of the opening; ``statistic`` is the one that passed last."""
    used_points: UsedPoints
    """What the finding was opened from."""
    onset_step: int
    """When it began."""
    opened_step: int
    """When that could be said."""


class Quantiles(Answer):
    """Of the losses of the siblings. Infinity stands for a loss that was not finite."""

    lowest: Number
    """The best one."""
    lower_quartile: Number
    """A quarter of them are below."""
    median: Number
    """Half of them are below."""
    upper_quartile: Number
    """Three quarters of them are below."""
    highest: Number
    """The worst one."""


class Sibling(Answer):
    """Another run of the group, or an earlier attempt of the same run."""

    run: str
    """Its name."""
    uid: str
    """Its uid."""
    attempt: int
    """Which of its attempts."""
    loss: Number
    """At the compared step: the median of its last five points until there. Infinity where it was not finite."""
    earlier: bool
    """Whether it was started before the run that is compared."""


class Siblings(Answer):
    """Where a run stands among its siblings. Informative only."""

    run: str
    """The run's name."""
    project: str
    """The project that it belongs to."""
    uid: str
    """The run's uid."""
    group: str | None
    """The group of its context; null where it has none."""
    sentence: str
    """How it compares, for people."""
    step: int | None
    """The latest step that the run and at least half of its siblings have come to; null where there are none."""
    loss: Number | None
    """Of the run at that step, taken as those of its siblings are."""
    rank: int | None
    """1 is the lowest loss."""
    compared: int
    """With how many siblings it is compared."""
    worse_than: int
    """How many siblings have a lower loss there."""
    better_than: int
    """How many siblings have a higher loss there."""
    not_reached: int
    """Siblings that never came to that step."""
    quantiles: Quantiles | None
    """Null where there are no siblings."""
    siblings: list[Sibling]
    """By ascending loss."""


class ProjectRuns(Answer):
    """A project."""

    project: str
    """Its name."""
    runs: int
    """How many runs it has."""
    status: dict[str, int]
    """How many of them have which status."""
    state: dict[str, int]
    """How many of them are in which state."""


class Projects(Answer):
    """All projects that have runs."""

    projects: list[ProjectRuns]
    """By name."""


INSIGHTS: tuple[type[BaseModel], ...] = (Explanation, Siblings, Projects)

EXPLANATION: dict[str, Any] = {
    "finding": "f_8c1d3f2a9b7e4d5061a2",
    "condition": "diverging",
    "series": "loss",
    "rule": (
        "It alarms when all of these hold (the numbers as of the opening): rise above the highest earlier loss at "
        "least 0.5 of that loss."
    ),
    "statistic": "rise above the highest earlier loss",
    "unit": "of that loss",
    "alarms": "above",
    "threshold": 0.5,
    "values": [
        {"step": 5, "value": 207.2, "statistic": 158.4, "threshold": 0.5, "failed": None},
        {"step": 6, "value": "Infinity", "statistic": "Infinity", "threshold": 0.5, "failed": None},
    ],
    "tests": [
        {
            "name": "rise above the highest earlier loss",
            "value": 158.4,
            "threshold": 0.5,
            "alarms": "above",
            "unit": "of that loss",
        }
    ],
    "used_points": {"from_step": 1, "to_step": 5},
    "onset_step": 1,
    "opened_step": 5,
}
PROJECTS: dict[str, Any] = {
    "projects": [
        {
            "project": "default",
            "runs": 3,
            "status": {"waiting": 0, "healthy": 2, "warning": 0, "critical": 1},
            "state": {"running": 1, "silent": 0, "finished": 2, "failed": 0, "cancelled": 0},
        }
    ]
}
SIBLINGS: dict[str, Any] = {
    "run": "keras-demo",
    "project": "default",
    "uid": "01jd8w5c7v3k9m2n4p6q8r0s1t",
    "group": "sweep-7",
    "sentence": "The loss at step 400 (0.52) is worse than that of 2 of 2 earlier runs.",
    "step": 400,
    "loss": 0.52,
    "rank": 3,
    "compared": 2,
    "worse_than": 2,
    "better_than": 0,
    "not_reached": 0,
    "quantiles": {"lowest": 0.31, "lower_quartile": 0.31, "median": 0.31, "upper_quartile": 0.35, "highest": 0.35},
    "siblings": [
        {"run": "keras-demo-1", "uid": "01jd8w5c7v3k9m2n4p6q8r0s1u", "attempt": 1, "loss": 0.31, "earlier": True},
        {"run": "keras-demo-2", "uid": "01jd8w5c7v3k9m2n4p6q8r0s1v", "attempt": 1, "loss": 0.35, "earlier": True},
    ],
}
