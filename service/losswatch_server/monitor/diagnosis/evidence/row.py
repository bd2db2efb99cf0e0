"""An evidence row: what is measured, from where on it counts, the sentence that says it, and how much it tells.

A measure that is not known (None) is no evidence, neither for nor against. Grades are how much a row that is plainly
there tells of a cause, in log-odds: weak makes it twice as likely, plain four times, strong twelve times. A stated
fact outweighs whatever a curve suggests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.known import Needs, met
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import CauseName


class Grade(StrEnum):
    """How much a row tells of a cause."""

    WEAK = "weak"
    PLAIN = "plain"
    STRONG = "strong"
    FACT = "fact"

    @property
    def log_odds(self) -> float:
        """What the grade is worth before anything is fitted."""
        return _WORTH[self]


_WORTH = {Grade.WEAK: 0.7, Grade.PLAIN: 1.5, Grade.STRONG: 2.5, Grade.FACT: 12.0}
WEAK, PLAIN, STRONG, FACT = Grade


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a row may look at: the finding, what was measured of the run, and what the client said of the job."""

    finding: Finding
    measured: Measured
    context: Context

    @property
    def facts(self) -> ModelFacts:
        """What the client states of model, data and optimiser; every field None where it states nothing."""
        return self.context.facts or NO_FACTS


NO_FACTS = ModelFacts()


Measure = Callable[[Seen], float | None]


@dataclass(frozen=True, slots=True)
class Limit:
    """From where on a measure counts: half at ``centre``, plainly one ``width`` beyond it (a negative one: below)."""

    measure: Measure
    centre: float
    width: float

    def strength(self, seen: Seen) -> float | None:
        """0 (not there) to 1 (plain); None where the measure is not known."""
        value = self.measure(seen)
        if value is None or math.isnan(value):
            return None
        distance = (value - self.centre) / self.width
        return 1 / (1 + math.exp(-min(max(distance, -50.0), 50.0)))


def above(measure: Measure, centre: float, width: float) -> tuple[Limit, ...]:
    """Counts above ``centre``."""
    return (Limit(measure, centre, width),)


def below(measure: Measure, centre: float, width: float) -> tuple[Limit, ...]:
    """Counts below ``centre``."""
    return (Limit(measure, centre, -width),)


def within(measure: Measure, low: float, high: float, width: float) -> tuple[Limit, ...]:
    """Counts between two values."""
    return Limit(measure, low, width), Limit(measure, high, -width)


def holds(test: Callable[[Seen], bool | None]) -> tuple[Limit, ...]:
    """Counts where the test says so; None: not known."""

    def measure(seen: Seen) -> float | None:
        answer = test(seen)
        return None if answer is None else float(answer)

    return (Limit(measure, 0.5, 0.02),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One row. Strength is the product of its limits; what is not known makes the whole row unknown."""

    name: str
    group: str
    """Rows of a group see one thing from several sides: what they say together is capped."""
    when: tuple[Limit, ...]
    means: str
    """For the pages: what is seen where the row counts."""
    says: Callable[[Seen], str]
    """For a report: the same with its numbers."""
    needs: Needs = ()
    """What is to be known of the run, beside the finding itself. A test takes each away, and finds the row silent; and
    finds none silent for want of what it does not name."""
    for_: Mapping[CauseName, Grade] = field(default_factory=dict)
    against: Mapping[CauseName, Grade] = field(default_factory=dict)

    def strength(self, seen: Seen) -> float:
        """0 where it is not there, or not known, to 1 where it is plain."""
        if not met(self.needs, seen.measured.has):
            return 0.0
        product = 1.0
        for limit in self.when:
            strength = limit.strength(seen)
            if strength is None:
                return 0.0
            product *= strength
        return product

    @property
    def grades(self) -> Mapping[CauseName, tuple[int, Grade]]:
        """Each cause that it tells of, with its sign (+1, -1) and grade."""
        return {c: (1, g) for c, g in self.for_.items()} | {c: (-1, g) for c, g in self.against.items()}


def times(ratio: float) -> str:
    """A ratio above 1 as "x35"."""
    return f"x{number(ratio)}"


def decades(value: float) -> float:
    """log10, with a floor for 0."""
    return math.log10(max(abs(value), 1e-30))
