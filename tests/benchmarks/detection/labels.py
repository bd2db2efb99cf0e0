"""A labelled run: its points, its context and what a good monitor should say; read from the zoo or from a corpus file.

A corpus file is a ``.jsonl`` or ``.jsonl.gz`` of one run a line: ``{"id", "context", "series": {"step", "loss",
"grad_norm"?, "learning_rate"?, "layers"?, "metrics"?}, "validation": {"step", "loss"}?, "label": {"condition",
"also_ok", "onset_step", "cause", "cause_also_ok", "why"}}``; null means "not measured", "NaN" and "Infinity" are
strings. Runs of the zoo have besides ``full_context`` (all that a diligent client would have sent), ``facts`` (pairs
of the step from which they are known and the facts) and ``sent`` (how much of both the context holds).
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import CONTEXT_FIELDS, Context, Point

HEALTHY = "healthy"
COLUMNS = ("loss", "grad_norm", "learning_rate", "epoch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a good monitor says of a run. ``onset_step`` is None and ``cause`` None for a healthy run."""

    condition: str
    also_ok: tuple[str, ...] = ()
    onset_step: int | None = None
    cause: str | None = None
    cause_also_ok: tuple[str, ...] = ()
    why: str = ""

    @property
    def healthy(self) -> bool:
        """Nothing of warning or above should be said, but for what stands in ``also_ok``."""
        return self.condition == HEALTHY

    @property
    def right(self) -> frozenset[str]:
        """The conditions that are a fair report."""
        return frozenset({self.condition, *self.also_ok}) - {HEALTHY}

    @property
    def right_causes(self) -> frozenset[str]:
        """The causes that are a fair explanation."""
        return frozenset(c for c in (self.cause, *self.cause_also_ok) if c)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRun:
    """A run and its label; ``family`` names the kind of fault or of healthy run it stands for."""

    id: str
    points: tuple[Point, ...]
    context: Context
    label: Label
    family: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    full_context: Mapping[str, Any] | None = None
    """All that a diligent client would have sent; None: not known."""
    facts: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    """What an integration sees, and the step from which it is known."""
    sent: str = "full"
    """How much of it the context holds: facts, full, some, little, nothing."""

    def contexts(self) -> Iterator[tuple[int, Context]]:
        """The context as it was sent, and as it was sent anew when there were more facts: (step, context)."""
        if self.sent != "facts" or not self.facts:
            yield self.first_step, self.context
            return
        known: dict[str, Any] = {}
        for step, facts in self.facts:
            known |= facts
            yield step, context_of({**(self.full_context or {}), "facts": dict(known)})

    @property
    def first_step(self) -> int:
        """The step of the first point."""
        return self.points[0].step

    @property
    def last_step(self) -> int:
        """The step of the last point."""
        return self.points[-1].step


def context_of(given: Mapping[str, Any]) -> Context:
    """A Context of a plain mapping; names that it has no field for are kept as extras."""
    known = {name: value for name, value in given.items() if name in CONTEXT_FIELDS and name != "extra"}
    if isinstance(known.get("layer_order"), list):
        known["layer_order"] = tuple(known["layer_order"])
    if isinstance(known.get("facts"), Mapping):
        known["facts"] = ModelFacts.of(known["facts"])
    return Context(**known, extra={name: value for name, value in given.items() if name not in known})


def points_of(series: Mapping[str, Any], validation: Mapping[str, Any] | None) -> tuple[Point, ...]:
    """The columns of a run as points of ascending step; of two rows of one step the later one stands."""
    points: dict[int, Point] = {}
    layers, numbers = series.get("layers") or {}, series.get("metrics") or {}
    for i, step in enumerate(series["step"]):
        measured = {name: number(series[name][i]) for name in COLUMNS if series.get(name) is not None}
        norms = {name: float(value) for name, values in layers.items() if (value := number(values[i])) is not None}
        known = {name: float(value) for name, values in numbers.items() if (value := number(values[i])) is not None}
        points[int(step)] = Point(step=int(step), layers=norms or None, metrics=known or None, **measured)
    if validation:
        for step, loss in zip(validation["step"], validation["loss"], strict=True):
            if loss is not None:
                point = points.get(int(step), Point(step=int(step)))
                points[int(step)] = point._replace(validation_loss=number(loss))
    return tuple(points[step] for step in sorted(points))


def number(value: Any) -> float | None:
    """A number, or a non-finite one written as a string; None stays None."""
    return None if value is None else float(value)


def read_corpus(path: Path) -> Iterator[LabelledRun]:
    """The runs of a corpus file, in the file's order; lines that are no runs are passed over."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if line.strip() and "label" in (run := json.loads(line)):
                yield run_of(run)


def run_of(run: Mapping[str, Any]) -> LabelledRun:
    """The run that a line of a corpus file describes."""
    label = run["label"]
    return LabelledRun(
        id=run["id"],
        points=points_of(run["series"], run.get("validation")),
        context=context_of(run.get("context") or {}),
        label=Label(
            condition=label["condition"],
            also_ok=tuple(label.get("also_ok") or ()),
            onset_step=label.get("onset_step"),
            cause=label.get("cause"),
            cause_also_ok=tuple(label.get("cause_also_ok") or ()),
            why=label.get("why", ""),
        ),
        family=run.get("source", ""),
        full_context=run.get("full_context"),
        facts=tuple((step, {n: measured(v) for n, v in facts.items()}) for step, facts in run.get("facts") or ()),
        sent=run.get("sent", "full"),
    )


def prefixes(run: LabelledRun, shares: Sequence[float]) -> Iterator[LabelledRun]:
    """The run as it stood after each share of its points (at least one point)."""
    for share in shares:
        yield replace(run, points=run.points[: max(1, round(share * len(run.points)))])


def write_corpus(path: Path, runs: Iterable[LabelledRun]) -> None:
    """The runs as a corpus file that ``read_corpus`` reads back (the context's plain fields, the points' series)."""
    with gzip.open(path, "wt", compresslevel=3) if path.suffix == ".gz" else path.open("w") as lines:
        for run in runs:
            lines.write(json.dumps(run_json(run)) + "\n")


def run_json(run: LabelledRun) -> dict[str, Any]:
    """One run as a line of a corpus file."""
    names = sorted({name for point in run.points for name in point.layers or ()})
    series: dict[str, Any] = {"step": [p.step for p in run.points]}
    for column in COLUMNS:
        values = [plain(getattr(point, column)) for point in run.points]
        if any(value is not None for value in values):
            series[column] = values
    if names:
        series["layers"] = {name: [plain((p.layers or {}).get(name)) for p in run.points] for name in names}
    numbers = sorted({name for point in run.points for name in point.metrics or ()})
    if numbers:
        series["metrics"] = {name: [plain((p.metrics or {}).get(name)) for p in run.points] for name in numbers}
    held = [(p.step, plain(p.validation_loss)) for p in run.points if p.validation_loss is not None]
    label = run.label
    return {
        "id": run.id,
        "source": run.family,
        "context": context_json(run.context),
        "series": series,
        "validation": {"step": [step for step, _ in held], "loss": [loss for _, loss in held]} if held else None,
        "label": {
            "condition": label.condition,
            "also_ok": list(label.also_ok),
            "onset_step": label.onset_step,
            "cause": label.cause,
            "cause_also_ok": list(label.cause_also_ok),
            "why": label.why,
        },
        "full_context": run.full_context,
        "facts": [[step, {name: strict(value) for name, value in facts.items()}] for step, facts in run.facts],
        "sent": run.sent,
    }


def context_json(context: Context) -> dict[str, Any]:
    """The fields that were given, as ``context_of`` reads them back; without tags."""
    given = {n: getattr(context, n) for n in CONTEXT_FIELDS if n not in ("tags", "extra")}
    if context.facts is not None:
        given["facts"] = {name: strict(value) for name, value in context.facts.given().items()}
    return {name: value for name, value in given.items() if value is not None} | dict(context.extra)


def measured(value: Any) -> Any:
    """A fact back from strict JSON."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def strict(value: Any) -> Any:
    """A fact as strict JSON has it."""
    return plain(value) if isinstance(value, float) else value


def plain(value: float | None) -> float | str | None:
    """A number as strict JSON has it: NaN and infinities as strings."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
