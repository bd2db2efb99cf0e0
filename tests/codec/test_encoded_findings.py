"""A report that keeps what it has encoded is the report encoded anew, to the byte."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.codec.encoding import dumps_plain
from losswatch_server.codec.findings import EncodedFindings, finding_json
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.vocabulary import CauseName, Condition, Severity

WORDS = st.sampled_from(["", "plain", 'quoted "text"', "ünï", "lone \ud800", "line\nbreak"])
NUMBERS = st.one_of(st.floats(), st.integers(0, 2**70), st.none())
CAUSES = st.lists(
    st.builds(
        Cause, cause=st.sampled_from(CauseName), probability=st.floats(0, 1), because=st.tuples(WORDS), check=WORDS
    ),
    max_size=2,
).map(tuple)
ADVICE = st.lists(
    st.builds(Advice, action=WORDS, summary=WORDS, value=NUMBERS, cause=st.sampled_from([None, *CauseName])), max_size=2
).map(tuple)
MOVES = st.fixed_dictionaries(
    {},
    optional={
        "causes": CAUSES,
        "advice": ADVICE,
        "evidence": st.dictionaries(WORDS, NUMBERS, max_size=3),
        "summary": WORDS,
        "last_step": st.integers(0, 2**53),
    },
)
FINDING = Finding(
    id="",
    condition=Condition.DIVERGING,
    series="loss",
    attempt=1,
    episode=1,
    severity=Severity.CRITICAL,
    confidence=0.999,
    onset_step=3,
    opened_step=5,
    last_step=9,
)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), MOVES), max_size=4), min_size=1, max_size=6))
def test_what_is_kept_never_shows(reports: list[list[tuple[str, dict[str, object]]]]) -> None:
    """Findings come, change in any part, and go again from report to report."""
    kept, known = EncodedFindings(), dict[str, Finding]()
    for moves in reports:
        for name, changed in moves:
            known[name] = replace(known.get(name, replace(FINDING, id=name)), **changed)  # type: ignore[arg-type]
        listed = [known[name] for name in sorted({name for name, _ in moves})]
        told = [bytes(one) for one in kept.encode(listed)]
        assert told == [_anew(finding) for finding in listed]


def _anew(finding: Finding) -> bytes:
    return dumps_plain(finding_json(finding))


def test_a_finding_that_did_not_change_is_not_encoded_again() -> None:
    kept = EncodedFindings()
    finding = replace(FINDING, causes=(Cause(cause=CauseName.BAD_BATCH, probability=0.5),))
    (first,) = kept.encode([finding])
    (again,) = kept.encode([finding])
    assert again is first
    (moved,) = kept.encode([replace(finding, last_step=10)])
    assert moved is not first
