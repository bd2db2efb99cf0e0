"""What a watched run's report keeps between points: the causes and the advice of each of its findings.

They cost two milliseconds and change slowly, so they are worked out only at some places of the record: at counts of
points that grow by a sixteenth, and wherever a finding opens, closes or worsens or the context changes while there are
findings. These places, and what is worked out there, are a property of the record alone: a run that is told in other
pieces, or goes on from a snapshot, has the same. Headline, sentences and evidence are of the last point.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, NamedTuple

from losswatch_server.monitor import advice
from losswatch_server.monitor.conditions import summary
from losswatch_server.monitor.diagnosis import engine
from losswatch_server.monitor.diagnosis.measures import Measured, gather, with_onset
from losswatch_server.monitor.faults import FIELDS, Fault, Faults
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import plainly
from losswatch_server.monitor.vocabulary import CauseName

NOTHING_MEASURED = Measured()
NO_CAUSES: tuple[Cause, ...] = ()
NO_ADVICE: tuple[Advice, ...] = ()
MOST_BYTES = 1 << 20
"""Of the packed form, unpacked: that of twenty findings has 60 KB."""

SHARE = 16
"""Causes and advice are worked out at counts of points that grow by a sixteenth."""


def next_count(count: int, points: int) -> int:
    """The first count above ``points`` at which causes are worked out; ``count`` is any of them."""
    while count <= points:
        count += max(1, count // SHARE)
    return count


def last_count(count: int, points: int) -> int:
    """The last such count that is at most ``points``, from ``count`` on; 0 where there is none."""
    last = 0
    while count <= points:
        last = count
        count += max(1, count // SHARE)
    return last


class FindingDiagnosis(NamedTuple):
    """Why a finding may be there, and what to do about it."""

    causes: tuple[Cause, ...] = NO_CAUSES
    advice: tuple[Advice, ...] = NO_ADVICE


NOT_DIAGNOSED = FindingDiagnosis()


@dataclass(slots=True)
class Diagnoses:
    """The diagnoses of all findings of a run as of one place in its record, by the finding's id; what failed then."""

    of: Mapping[str, FindingDiagnosis]
    faults: Faults
    _packed: bytes | None = None
    _told: dict[str, tuple[Finding, Finding]] = field(default_factory=dict)

    def tell(self, finding: Finding, step: int, faults: Faults) -> Finding:
        """The finding with its sentence, causes and advice: the same object again while the finding is the same."""
        kept = self._told.get(finding.id)
        if kept is not None and kept[0] is finding:
            return kept[1]
        diagnosis, of = self.of.get(finding.id, NOT_DIAGNOSED), f"{finding.condition}/{finding.series}"
        sentence = faults.shield("sentence", of, step, partial(summary, finding), "")
        told = replace(finding, summary=sentence, causes=diagnosis.causes, advice=diagnosis.advice)
        if not sentence:  # it failed, and does so again at the next report: that has to say so, too
            return replace(told, summary=plainly(finding))
        self._told[finding.id] = finding, told
        return told

    def pack(self) -> bytes:
        """As a snapshot keeps it; worked out once."""
        if self._packed is None:
            state = {
                "of": {key: [[*map(_values, d.causes)], [*map(_values, d.advice)]] for key, d in self.of.items()},
                "faults": [[getattr(fault, name) for name in FIELDS] for fault in self.faults.known()],
            }
            self._packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1) if self.of else b""
        return self._packed


def no_diagnoses() -> Diagnoses:
    """Of a run without findings."""
    return Diagnoses({}, Faults(), b"")


def diagnose_findings(findings: Iterable[Finding], memory: Memory, context: Context, step: int) -> Diagnoses:
    """All of them, as the run stands at ``step``. Costs 0.9 ms, and 0.8 ms for each finding."""
    findings = tuple(findings)
    if not findings:
        return no_diagnoses()
    faults = Faults()
    facts = faults.shield("causes", "this run", step, partial(gather, memory, context), NOTHING_MEASURED)
    return Diagnoses({f.id: _diagnosed(f, facts, memory, context, step, faults) for f in findings}, faults)


def _diagnosed(
    finding: Finding, gathered: Measured, memory: Memory, context: Context, step: int, faults: Faults
) -> FindingDiagnosis:
    of = f"{finding.condition}/{finding.series}"
    facts = faults.shield("causes", of, step, partial(with_onset, gathered, memory, finding.onset_step), gathered)
    ranked = faults.shield("causes", of, step, partial(engine.rank, finding, facts, context), NO_CAUSES)
    advised = faults.shield("advice", of, step, partial(advice.advise, finding, ranked, facts, context), NO_ADVICE)
    return FindingDiagnosis(ranked, advised)


_CAUSE_FIELDS = tuple(f.name for f in fields(Cause))
_ADVICE_FIELDS = tuple(f.name for f in fields(Advice))


def _values(told: Cause | Advice) -> list[Any]:
    return [getattr(told, f) for f in (_CAUSE_FIELDS if isinstance(told, Cause) else _ADVICE_FIELDS)]


def unpack(data: bytes) -> Diagnoses:
    """The inverse of ``Diagnoses.pack``. Raises what damaged bytes make of zlib, json and dictionaries."""
    if not data:
        return no_diagnoses()
    reader = zlib.decompressobj()
    state = json.loads(reader.decompress(data, MOST_BYTES))
    if not reader.eof or reader.unused_data:
        raise ValueError("the causes are cut short")
    of = {
        key: FindingDiagnosis(tuple(map(_cause, causes)), tuple(map(_advice, advised)))
        for key, (causes, advised) in state["of"].items()
    }
    faults = Faults(Fault(**dict(zip(FIELDS, fault, strict=True))) for fault in state["faults"])
    return Diagnoses(of, faults, data)


def _cause(values: list[Any]) -> Cause:
    given = dict(zip(_CAUSE_FIELDS, values, strict=True))
    because, against = tuple(given["because"]), tuple(given["against"])
    return Cause(**{**given, "cause": CauseName(given["cause"]), "because": because, "against": against})


def _advice(values: list[Any]) -> Advice:
    given = dict(zip(_ADVICE_FIELDS, values, strict=True))
    return Advice(**{**given, "cause": None if given["cause"] is None else CauseName(given["cause"])})
