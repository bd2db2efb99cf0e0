"""Which numbers and rows each test reads, and how long it takes: a test that reads one nowhere cannot notice it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.mutation.mutants import PRIORS_READ, parameters
from benchmarks.mutation.trial import first_failure, silence
from losswatch_server.monitor.diagnosis import engine


@dataclass(frozen=True, slots=True)
class Reach:
    """What one test reads, and its seconds of processor time."""

    seconds: float
    reads: frozenset[str]


class _Noted:
    """A field whose reading is noted, in place of the field of a class with slots."""

    def __init__(self, field: Any, name: str, reads: set[str]) -> None:
        self._field, self._name, self._reads = field, name, reads

    def __get__(self, rule: object, owner: type | None = None) -> Any:
        if rule is None:
            return self
        self._reads.add(self._name)
        return self._field.__get__(rule, owner)

    def __set__(self, rule: object, value: object) -> None:
        self._field.__set__(rule, value)


@contextmanager
def noted() -> Iterator[set[str]]:
    """What is read inside: parameters of the rules, and rows of evidence that are there where causes are ranked."""
    reads: set[str] = set()
    fields = {(owner, name): vars(owner)[name] for owner, name in parameters()}
    for (owner, name), field in fields.items():
        setattr(owner, name, _Noted(field, f"{owner.__name__}.{name}", reads))
    scored = engine._score

    def score(cause: Any, prior: float, found: Mapping[str, float], *others: Any) -> Any:
        reads.update(found, (PRIORS_READ,))
        return scored(cause, prior, found, *others)

    engine._score = score
    try:
        yield reads
    finally:
        engine._score = scored
        for (owner, name), field in fields.items():
            setattr(owner, name, field)


def reached(items: Sequence[pytest.Item]) -> dict[str, Reach] | str:
    """What each test reads; or the name of one that fails. Only for a process that then ends.

    Where a module remembers what it once worked out, whoever asks first reads for all: each of its tests counts as
    reading what any does.
    """
    silence()
    found: dict[str, Reach] = {}
    with noted() as reads:
        for item in items:
            reads.clear()
            began = time.process_time()
            if failed := first_failure([item]):
                return failed
            found[item.nodeid] = Reach(time.process_time() - began, frozenset(reads))
    together: dict[str, frozenset[str]] = {}
    for item in items:
        file = item.nodeid.split("::")[0]
        if any(hasattr(value, "cache_clear") for value in vars(sys.modules[item.module.__name__]).values()):
            together[file] = together.get(file, frozenset()) | found[item.nodeid].reads
    return {node: Reach(reach.seconds, together.get(node.split("::")[0], reach.reads)) for node, reach in found.items()}
