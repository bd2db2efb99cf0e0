"""What every detector is: a frozen set of parameters with ``start`` and ``step``.

A rule is a conjunction of named tests: a value, held against a threshold. It alarms where all of them pass, and nowhere
else, so a finding is explained by folding the run once more and writing the tests down (``explain``). ``step`` updates
its small state in place and returns a verdict. Opening, updating, resolving and hysteresis are not its business: they
live once, in ``lifecycle.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import NoneType
from typing import Any, ClassVar, NamedTuple, Protocol

from losswatch_server.monitor.diagnosis.stated_faults import stated_causes
from losswatch_server.monitor.known import Known, Needed, Needs, any_of, has, known, met
from losswatch_server.monitor.loss_kind import NO_KIND, LossKind
from losswatch_server.monitor.loss_summary import Shape, shape_of
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point
from losswatch_server.monitor.stats.quality import QualityVerdict, quality_verdict
from losswatch_server.monitor.stats.trend import median
from losswatch_server.monitor.vocabulary import CauseName, Condition, Severity

LEAST_NORMS = 5
GONE = 1e-4
"""Share of the first gradient norms at which a gradient is gone."""


class Test(NamedTuple):
    """One condition of a rule: a value and what it is held against."""

    name: str
    """What is measured, in words: it stands in explanations."""
    value: float
    threshold: float
    above: bool = True
    """Whether it passes at or above the threshold, else below it."""
    unit: str = ""
    from_step: int | None = None
    """The first step that the value was made from; None: the whole run."""

    @property
    def passes(self) -> bool:
        """Whether the value is on the side of the condition; NaN is on neither."""
        return self.value >= self.threshold if self.above else self.value < self.threshold

    @property
    def is_switch(self) -> bool:
        """Whether it is a yes (1) or no (0), held against a half."""
        return self.threshold == 0.5 and self.value in (0.0, 1.0)


@dataclass(slots=True)
class Record:
    """Writes down the tests of detectors while a run is folded again."""

    asked: str = ""
    """Condition and series of the detector that is being asked."""
    asks: int = 0
    """Points at which detectors were asked."""
    rows: dict[str, list[tuple[str, Test]]] = field(default_factory=dict)
    """Rule and test by detector, of the point at hand."""

    def begin(self) -> None:
        """The next point."""
        self.asks += 1
        self.rows = {}

    def add(self, rule: str, test: Test) -> None:
        """A test of the detector that is being asked."""
        self.rows.setdefault(self.asked, []).append((rule, test))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Too little seen to judge: ``needed`` more points."""

    needed: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """Judged, and nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The condition has ended, and the detector has waited long enough to say so: its finding closes at once."""

    since_step: int
    """The first step of those that it waited."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """Joins that of the finding."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """No judgement at this point: what is open stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The condition is there."""

    onset_step: int
    confidence: float
    severity: Severity
    evidence: dict[str, Any] = field(default_factory=dict)


NO_POINT = Point(-1)
Verdict = Waiting | Quiet | Unsure | Over | Alarm
QUIET = Quiet()
UNSURE = Unsure()


@dataclass(slots=True)
class View:
    """What a detector sees at one point: the point, and the memory as it stands with it."""

    point: Point = NO_POINT
    memory: Memory = field(default_factory=Memory)
    context: Context = EMPTY_CONTEXT
    points: int = 0
    review: bool = False
    """Whether this point's count is one at which slow conditions are judged."""
    troubled: frozenset[Condition] = frozenset()
    """Conditions with an open finding of severity warning or above, as of the point before."""
    kind: LossKind = NO_KIND
    record: Record | None = None
    """Where tests are written down while a finding is being explained; None in every other fold."""
    _shape: Shape | None = None
    _known: Known | None = None
    _quality: QualityVerdict | None = None
    flat: tuple[Any] | None = None
    """What ``rules.flat`` decided of this point, once it was asked."""
    _stated: tuple[Context, bool, frozenset[CauseName]] | None = None

    @property
    def shape(self) -> Shape:
        """The summary of the loss so far; computed once per point, and only where asked for."""
        if self._shape is None:
            self._shape = shape_of(self.memory, self.context, self.kind)
        return self._shape

    @property
    def known(self) -> Known:
        """What can be known of the run so far; computed once per point, and only where asked for."""
        if self._known is None:
            self._known = known(self.memory, self.context, self.shape.chance if self.memory.loss.n else None)
        return self._known

    @property
    def quality(self) -> QualityVerdict:
        """What accuracy and its like say; computed once per point, and only where asked for."""
        if self._quality is None:
            self._quality = quality_verdict(self.memory.quality, self.context.num_classes)
        return self._quality

    @property
    def stated(self) -> frozenset[CauseName]:
        """The causes that the client's facts name; computed once for a context."""
        held, norms = self._stated, self.memory.grad_norm
        at_rest = norms.n >= LEAST_NORMS and norms.recent[-1] <= GONE * median(norms.head[:LEAST_NORMS])
        if held is None or held[0] is not self.context or held[1] != at_rest:
            self._stated = held = (self.context, at_rest, stated_causes(self.context, at_rest=at_rest))
        return held[2]

    @property
    def chance(self) -> float | None:
        """Chance level of this run's loss; None where it is not known."""
        return self.known.chance

    @property
    def answers(self) -> bool:
        """Whether a share of right answers was sent."""
        return self.quality.share is not None

    def has(self, need: Needed) -> bool:
        """Whether a need is met."""
        return has(self, need)

    def meets(self, needs: Needs) -> bool:
        """Whether all of them are met."""
        return met(needs, self.has)

    def needed(self, needs: Needs) -> Iterable[Test]:
        """A test for each need of a rule."""
        for need in needs:
            enough = any_of(need)
            yield Test(" or ".join(map(str, enough)) + " is known", float(any(map(self.has, enough))), 0.5)

    def holds(self, rule: str, tests: Iterable[Test], needs: Needs = ()) -> bool:
        """Whether the needs of a rule are met and all its tests pass. Tests that follow one that failed are made for
        an explanation alone, so making them must change nothing."""
        if self.record is None:
            return self.meets(needs) and all(test.passes for test in tests)
        passed = True
        for test in chain(self.needed(needs), tests):
            passed &= test.passes
            self.record.add(rule, test)
        return passed

    @property
    def explains(self) -> bool:
        """Whether rules that need not be asked should write down their tests all the same."""
        return self.record is not None

    def forget_shape(self) -> None:
        """A new point has come."""
        self._shape = self._known = self._quality = self.flat = None


def checked(verdict: Verdict) -> Verdict:
    """The verdict itself. Raises TypeError or ValueError for one that could not be kept, or sent as JSON."""
    if not isinstance(verdict, Alarm):
        if type(verdict) not in _NO_ALARM:
            raise TypeError(f"no verdict: {verdict!r}")
        if isinstance(verdict, Over):
            _check_evidence(verdict.evidence)
        return verdict
    if type(verdict.onset_step) is not int or not isinstance(verdict.severity, Severity):
        raise TypeError(f"an alarm with onset step {verdict.onset_step!r} and severity {verdict.severity!r}")
    if not 0 <= verdict.confidence <= 1:
        raise ValueError(f"an alarm with confidence {verdict.confidence!r}")
    _check_evidence(verdict.evidence)
    return verdict


def _check_evidence(evidence: Mapping[str, Any]) -> None:
    for name, value in evidence.items():
        if not all(isinstance(part, _PLAIN) for part in (value if isinstance(value, tuple) else (value,))):
            raise TypeError(f"evidence {name} is {value!r}")


_NO_ALARM = frozenset({Quiet, Waiting, Unsure, Over})
_PLAIN = (int, float, str, NoneType)


class Detector(Protocol):
    """One condition's rule. ``every_point`` False: only asked at reviews.

    A rule that raises, or gives a verdict that cannot be kept, has said nothing at that point, and its state begins
    anew: half a change might never heal. That depends on the points alone, so a fold that is repeated, or goes on
    from a snapshot, comes to the same.
    """

    condition: ClassVar[Condition]
    series: ClassVar[str]
    every_point: ClassVar[bool]
    needs: ClassVar[Mapping[str, Needs]]
    """Of every rule, by name: also of those that need nothing but the loss itself. Most are asked for where a rule is
    (``View.holds``); that a loss is minimised before any is, and the noise by the least points of a rule. A test takes
    each need away from runs with an alarm, and sees the rule silent."""

    def start(self) -> Any:
        """A fresh state: a dataclass of scalars and short lists, or None."""

    def step(self, state: Any, view: View) -> Verdict:
        """Judge the run as of this point."""


class PassingDetector(Detector, Protocol):
    """A detector of every point that need not be asked at each: a stretch of points in which nothing happens costs it
    no more than a look. One without ``pass_over`` is asked point by point, with the same result.
    """

    def calm(self, state: Any, view: View, point: Point) -> bool:
        """Whether nothing can come of asking it at a point that is in the memory already, has a finite loss, neither
        validation loss nor metrics, and is no review; its finding is not open.

        ``state`` is then what ``step`` would have made of it; where it is False, it is as it was. Nothing is read of
        the view but context and memory, and of that nothing of layers.
        """

    def pass_over(self, state: Any, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        """The first place from ``place`` on, at most ``stretch.end``, at which it must be asked.

        ``state`` is brought to what ``step`` would have made of it at the places before, at each of which the verdict
        is no alarm; where its finding is ``opened`` it is Unsure or Waiting. The memory in ``view`` ends just before
        ``place``. Nothing is read of the view but memory, context and kind, and nothing of other detectors.
        """
