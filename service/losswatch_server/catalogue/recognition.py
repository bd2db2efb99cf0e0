"""What the pages quote of the diagnosis: ``{{recognition}}`` is what speaks for and against a cause, ``{{check}}`` its
check, both of the rows and words that the engine itself uses.
"""

from __future__ import annotations

from collections.abc import Iterator

from losswatch_server.monitor.diagnosis.checks import separating_check
from losswatch_server.monitor.diagnosis.evidence import ROWS, Evidence
from losswatch_server.monitor.diagnosis.evidence.row import Grade
from losswatch_server.monitor.known import Need, any_of
from losswatch_server.monitor.vocabulary import CauseName

_WORDS = {Grade.FACT: "a stated fact", Grade.STRONG: "strong", Grade.PLAIN: "plain", Grade.WEAK: "weak"}
_ORDER = list(_WORDS)


def resolve(text: str, cause: CauseName) -> str:
    """``text`` with the lists of what speaks for and against ``cause``, and with its check."""
    return text.replace("{{recognition}}", recognition(cause)).replace("{{check}}", separating_check(cause, None))


def recognition(cause: CauseName) -> str:
    """Two lists, strongest first, each with how much it tells, and what has to be known for that."""
    told = [(row, *row.grades[cause]) for row in ROWS if cause in row.grades]
    for_ = list(_lines([(row, grade) for row, sign, grade in told if sign > 0]))
    against = list(_lines([(row, grade) for row, sign, grade in told if sign < 0]))
    return "\n".join(["For it:", "", *for_, "", "Against it:", "", *(against or ["- nothing that can be measured"])])


def _lines(rows: list[tuple[Evidence, Grade]]) -> Iterator[str]:
    for row, grade in sorted(rows, key=lambda pair: _ORDER.index(pair[1])):
        needed = [" or ".join(map(str, any_of(need))) for need in row.needs if need is not Need.FACT]
        yield f"- {row.means} ({'; needs '.join([_WORDS[grade], *([', '.join(needed)] if needed else [])])})"
