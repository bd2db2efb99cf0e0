"""Faults of our own, as values: a rule, a cause or a sentence that fails costs itself alone.

The monitor goes on without what failed, remembers it for the report's notes, and hands it to the shell, which logs
and counts. What is remembered is part of a run's state: it depends on the points alone, as a finding does.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

T = TypeVar("T")

Part = Literal["rule", "memory", "forecast", "sentence", "causes", "advice", "explanation", "comparison", "snapshot"]
KINDS = 32
"""Kinds of faults that are told apart in one run; later ones are dropped."""
LONGEST = 200
"""Characters of an error's text that are kept."""

_CALLED: dict[Part, str] = {
    "rule": "the rule of {of}",
    "memory": "the memory of its series",
    "forecast": "the forecast",
    "sentence": "the sentence on {of}",
    "causes": "the ranking of the causes of {of}",
    "advice": "the advice on {of}",
    "explanation": "the explanation of {of}",
    "comparison": "the comparison with its siblings",
    "snapshot": "the snapshot of its state",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of error in one part, as often as it was met. ``of``: the condition and series that it concerns.

    ``step`` and ``last_step`` are where it was met first and last. ``traceback`` is that of the first, and empty for
    what comes from a snapshot.
    """

    part: Part
    of: str
    error: str
    """The exception's class."""
    message: str
    step: int
    last_step: int
    count: int = 1
    traceback: str = field(default="", compare=False)

    @property
    def note(self) -> str:
        """What the report says of it."""
        where = f"at step {self.step:,}"
        if self.count > 1:
            where = f"{self.count} times from step {self.step:,} to step {self.last_step:,}"
        told = f"{self.error}: {self.message}" if self.message else self.error
        return (
            f"A fault of Losswatch, not of this run: {_CALLED[self.part].format(of=self.of)} failed {where} ({told}). "
            "The points are stored, and everything else was judged."
        )


FIELDS = ("part", "of", "error", "message", "step", "last_step", "count")
"""Those of a fault that a run's state keeps."""


class Faults:
    """Collects faults by part and kind: all that a run had, and those since they were last drained."""

    __slots__ = ("_fresh", "_known")

    def __init__(self, known: Iterable[Fault] = ()) -> None:
        self._known = {_key(fault): fault for fault in known}
        self._fresh: dict[tuple[str, str, str], Fault] = {}

    def add(self, part: Part, of: str, step: int, error: Exception) -> None:
        """Remember an error that was met at ``step``."""
        kind = type(error).__name__
        key = (part, of, kind)
        if key not in self._known and len(self._known) >= KINDS:
            return
        fault = Fault(part=part, of=of, error=kind, message=str(error)[:LONGEST], step=step, last_step=step)
        self._known[key] = _again(self._known.get(key), fault)
        if key not in self._fresh:
            fault = replace(fault, traceback="".join(traceback.format_exception(error)))
        self._fresh[key] = _again(self._fresh.get(key), fault)

    def shield(self, part: Part, of: str, step: int, work: Callable[[], T], otherwise: T) -> T:
        """What ``work`` gives, or ``otherwise`` where it fails."""
        try:
            return work()
        except MemoryError:  # the machine's trouble: nothing that is so again when the points are folded again
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the run
            self.add(part, of, step, error)
            return otherwise

    def known(self) -> tuple[Fault, ...]:
        """Every fault so far, in the order in which they were first met; without tracebacks."""
        return tuple(self._known.values())

    def tell(self, faults: Iterable[Fault]) -> None:
        """Give these out at the next ``drain``: they were met elsewhere, and are known there."""
        self._fresh |= {_key(fault): fault for fault in faults}

    def drain(self) -> list[Fault]:
        """The faults since the last call, with tracebacks."""
        if not self._fresh:  # at every point
            return []
        fresh, self._fresh = list(self._fresh.values()), {}
        return fresh


def _key(fault: Fault) -> tuple[str, str, str]:
    return fault.part, fault.of, fault.error


def _again(before: Fault | None, fault: Fault) -> Fault:
    return fault if before is None else replace(before, last_step=fault.step, count=before.count + 1)
