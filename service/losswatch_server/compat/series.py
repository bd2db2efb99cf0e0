"""Numbers of foreign clients, each with its own name and step (or none), as points of a run. Pure.

Other tools let a step come twice, begin again with every epoch, or be left out (MLflow then says 0), and draw what they
get. Here a loss that contradicts the one that stands begins a new attempt, so a series whose steps do not go up is
numbered by the order in which its values were measured, from then on; only where the run was taken up again do steps
that go back mean what they mean to Losswatch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from losswatch.metric_names import Naming
from losswatch.names import plain
from losswatch_server.codec.points import MAX_METRICS
from losswatch_server.monitor.points import MAX_STEP, Point

REMEMBERED = 2048
"""Values of a run that are known again when they are sent again: twice what an MLflow client sends at a time."""
TRAINING = ("loss", "grad_norm")
"""Fields that begin an attempt where they contradict what stands."""


class Logged(NamedTuple):
    """A number as it was logged. ``step`` None: without one. ``at_ms``: when, in milliseconds since 1970; None: now."""

    name: str
    value: float
    step: int | None
    at_ms: int | None


class Placed(NamedTuple):
    """Where a number goes: to a step, as a field or (``field`` empty) a metric of its name. ``is_late``: a training is
    past that step, as with a client that sends from several threads, and was not taken up again."""

    step: int
    field: str
    name: str
    value: float
    at_ms: int | None
    is_late: bool = False


@dataclass(slots=True)
class Series:
    """The values of one name so far: the last step that was given, the last one taken, when, and what it was."""

    given: int = -1
    taken: int = -1
    at_ms: int = -1
    value: float | None = None
    counted: bool = False
    """Steps are numbered here; what was given does not count any more."""


@dataclass(slots=True)
class RunSeries:
    """All series of one run, and what of it a later process must know (``notes``)."""

    naming: Naming
    series: dict[str, Series] = field(default_factory=dict)
    top: int = -1
    """The highest step of the run."""
    trained: int = -1
    """The last step of the training since it began or was taken up again."""
    stride: int = 1
    """The most steps that the training has gone at once."""
    seen: dict[int, tuple[int, str, bool]] = field(default_factory=dict)
    """By the hash of a value with all that came with it, the step and the field to which it went, and whether late."""
    order: deque[int] = field(default_factory=deque)

    def resume(self) -> None:
        """Somebody takes the run up again: the steps of each series may begin anew, once."""
        self.trained = self.top = -1
        for one in self.series.values():
            if not one.counted:
                one.given = one.at_ms = -1

    def place(self, logged: Sequence[Logged], *, steps_count: bool = False) -> list[Placed]:
        """Where each of some numbers that came together goes; what came before goes where it went then.

        ``steps_count``: a step that is given is right, whatever came before it.
        """
        in_time = sorted(logged, key=lambda one: -1 if one.at_ms is None else one.at_ms)
        fields = self.naming.fields(dict.fromkeys(one.name for one in in_time))
        return [self._place(one, fields.get(one.name, ""), steps_count) for one in in_time]

    def _place(self, one: Logged, known: str, steps_count: bool) -> Placed:
        known = "" if known == "step" else known
        word = one.value if one.value == one.value else "NaN"
        key = hash((one.name, one.step, one.at_ms, word))
        if key in self.seen and (one.at_ms is not None or one.step is not None):
            step, known, is_late = self.seen[key]
            return Placed(step, known, one.name, one.value, one.at_ms, is_late)
        series = self.series.setdefault(one.name, Series())
        step, passed = self._step(series, one, steps_count)
        if known not in TRAINING and not steps_count and 0 <= self.trained < step - self.stride:
            step = self.trained  # it counts otherwise (tokens): past it no loss would be the next one
        is_late = known in TRAINING and not steps_count and (passed or step < self.top) and self.trained >= 0
        if not passed:
            self.top = max(self.top, step)
            series.taken = step
            series.at_ms = series.at_ms if one.at_ms is None else max(series.at_ms, one.at_ms)
            series.value = one.value
        if known in TRAINING:
            self._trained_at(step)
        self._remember(key, (step, known, is_late))
        return Placed(step, known, one.name, one.value, one.at_ms, is_late)

    def _trained_at(self, step: int) -> None:
        if step > self.trained:
            self.stride = max(self.stride, step - max(self.trained, 0))
            self.trained = step

    def _step(self, series: Series, one: Logged, steps_count: bool) -> tuple[int, bool]:
        """The step of a value that is new, and whether the series has passed it."""
        step = one.step
        if step is None or not 0 <= step <= MAX_STEP:
            series.counted = True
        elif steps_count or (step > series.given and not series.counted):
            series.given = step
            return step, False
        elif series.counted:
            pass
        elif one.at_ms is not None and (one.at_ms, step) < (series.at_ms, series.given):
            return step, True
        elif step == series.given and step > 0 and _same(series.value, one.value):
            return step, False
        else:
            series.counted = True
        return min(max(series.taken + 1, self.top), MAX_STEP), False

    def _remember(self, key: int, place: tuple[int, str, bool]) -> None:
        if len(self.order) >= REMEMBERED:
            self.seen.pop(self.order.popleft(), None)
        self.seen[key] = place
        self.order.append(key)

    def notes(self) -> dict[str, Any]:
        """What a process that does not remember needs to know of the run, as hyper-parameters of its context."""
        named = sorted(f"{known}={name}" for known, name in self.naming.taken.items() if known not in (name, "step"))
        counted = sorted(plain(name) for name, one in self.series.items() if one.counted)[:64]
        given = {LOGGED_AS: tuple(text for text in named if len(text) <= 1024)[:64], NUMBERED: tuple(counted)}
        return {name: value for name, value in given.items() if value}


LOGGED_AS, NUMBERED = "metrics_logged_as", "metrics_numbered"
"""Hyper-parameters of a run: ``("loss=train_loss",)``; and the names whose steps did not go up."""


def remembered(notes: Mapping[str, Any], rules: Mapping[str, str], points: Iterable[Point]) -> RunSeries:
    """The series of a run of which the record alone is known: its notes, and its last points by ascending step."""
    taken = dict(text.split("=", 1) for text in _texts(notes.get(LOGGED_AS)) if "=" in text)
    run = RunSeries(Naming(rules, taken))
    at_ms = -1
    for point in points:
        run.top = max(run.top, point.step)
        if point.loss is not None or point.grad_norm is not None:
            run._trained_at(point.step)
        if point.time is not None:
            at_ms = max(at_ms, int(datetime.fromisoformat(point.time).timestamp() * 1000))
        for known in ("loss", "grad_norm", "learning_rate", "validation_loss", "epoch"):
            if (value := getattr(point, known)) is not None:
                name = run.naming.taken.setdefault(known, known)
                run.series[name] = Series(point.step, point.step, -1, value)
        for name, value in (point.metrics or {}).items():
            run.series[name] = Series(point.step, point.step, -1, value)
    for one in run.series.values():
        one.at_ms = at_ms
    for name in _texts(notes.get(NUMBERED)):
        run.series.setdefault(name, Series()).counted = True
    return run


def points_of(placed: Sequence[Placed]) -> list[list[Point]]:
    """The numbers as points, in as many requests as it takes for none to have more metrics than a point may have."""
    requests: list[dict[int, dict[str, Any]]] = []
    for one in placed:
        for request in requests:
            point = request.setdefault(one.step, {"metrics": {}})
            if one.field or len(point["metrics"]) < MAX_METRICS:
                break
        else:
            point = {"metrics": {}}
            requests.append({one.step: point})
        if one.field:
            point.setdefault(one.field, one.value)
        else:
            point["metrics"].setdefault(plain(one.name), one.value)
        if one.field == "loss" and one.at_ms is not None:
            point.setdefault("time", moment(one.at_ms))
    return [
        [Point(step, **{**request[step], "metrics": request[step]["metrics"] or None}) for step in sorted(request)]
        for request in requests
    ]


def moment(at_ms: int) -> str | None:
    """Milliseconds since 1970 as RFC 3339; None where no calendar has them."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def _same(first: float | None, second: float) -> bool:
    return first == second or (first != first and second != second)


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, tuple | list) else []
