"""What loggers and launchers put before a line: times, levels, sources, ranks. The log is read without it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from losswatch_logs.lines import Line

_SAMPLE = 400
_LONGEST = 300
"""Characters in which a prefix ends."""
_TIME = r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?"
_DATE = (
    r"(?:\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}/\d{1,2}"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* +\d{1,2}(?:,? \d{4})?)"
)
_LEVEL = r"(?:INFO|DEBUG|WARNING|WARN|ERROR|NOTICE|I|W)"
_ITEMS = (
    r"[IWEF]\d{4} " + _TIME + r" +\d+ [\w./-]+:\d+\]",
    r"\[" + _DATE + r"[ T]" + _TIME + r"[^\]\n]{0,60}\]:?",
    _DATE + r"[ T]" + _TIME + r"(?: (?:AM|PM|UTC))?(?=[\s|,:;-])",
    r"\[" + _TIME + r"\]",
    _TIME + r"(?=[\s|])",
    r"\((?:[\w:]+ )?pid=\d+(?:, ip=[^)\s]+)?\)",
    r"\[\d+,\d+\]<std(?:out|err)>:",
    r"\[default\d+\]:",
    r"\[?(?i:rank)[ :_=]{0,2}\d+\]?(?:\s*[:|]|(?=\s*[\[(])|(?<=\])(?=\s))",
    r"\[" + _LEVEL + r"(?:[^\]\n]{0,60})?\]",
    _LEVEL + r":(?!\d)[\w.]{1,40}:",
    r"(?:[\w.]{1,60} - |[\w.]{1,60} \| )?" + _LEVEL + r"(?=\s*[-|:])(?:\s*:)?",
    r"(?:[\w.]{1,60} )?" + _LEVEL + r"(?=\s)",
    r"\[[\w./-]+\.\w{1,4}:\d+(?::\w+)?\]",
    r"[\w./-]+\.py(?:\[line:\d+\]|:\d+|\(\d+\))(?:[:\]])?",
    r"\([\w./-]+\.py[: ]\d+\):?",
    r"\[titan\]",
    r"(?:root|__main__|tensorflow|mmengine|mmdet|mmseg|mmcls|mmcv)(?=\s*[-:|])",
    r"[\w.-]{1,40}-\d+\s+\|(?= )",
)
_PREFIX = re.compile(r"\s*(?:(?:" + "|".join(_ITEMS) + r")(?:\s*[-|:–](?=\s)|\s)*)+")
_RANK = re.compile(r"(?i:rank)[ :_=]{0,2}(\d+)|\[\d+,(\d+)\]<std|\[default(\d+)\]|pid=(\d+)")
_LEADING = re.compile(r"\s*(?:\[(?=\d+\]))?(\d{1,4})\]?:(?!\d) ?")


class Stripped(NamedTuple):
    """The lines without their prefixes, and a sentence where lines of further ranks were left out."""

    lines: List[Line]
    note: Optional[str]


def strip(lines: Sequence[Line]) -> Stripped:
    """The lines without the prefixes that most of them share, of the first rank alone."""
    lines, note = _of_one_rank(lines)
    sample = lines[:_SAMPLE]
    if sum(_PREFIX.match(line.text, 0, _LONGEST) is not None for line in sample) * 2 >= len(sample) > 0:
        lines = [_without(line) for line in lines]
        lines = [line for line in lines if line.text and not line.text.isspace()]
    return Stripped(list(lines), note)


def begins(text: str) -> bool:
    """Whether a line begins as loggers and launchers begin one."""
    return _PREFIX.match(text, 0, _LONGEST) is not None or _LEADING.match(text) is not None


def _without(line: Line) -> Line:
    found = _PREFIX.match(line.text, 0, _LONGEST)
    return line._replace(text=line.text[found.end() :]) if found else line


def _of_one_rank(lines: Sequence[Line]) -> Tuple[Sequence[Line], Optional[str]]:
    """Where several processes write into one log, what the first of them says."""
    ranks = [_rank(line.text) for line in lines]
    told = Counter(rank for rank in ranks if rank is not None)
    if len(told) >= 2 and sum(told.values()) * 2 >= len(lines):
        return _kept(lines, ranks, told)
    leading = [_LEADING.match(line.text) for line in lines]
    numbers = [int(found[1]) for found in leading if found]
    if len(numbers) * 10 < len(lines) * 8 or len(numbers) < 5:
        return lines, None
    told = Counter(numbers)
    back = sum(after < before for before, after in zip(numbers, numbers[1:]))
    if len(told) > 1 and (len(told) * 3 > len(numbers) or back * 5 < len(numbers)):
        return lines, None  # it counts
    bare = [line._replace(text=line.text[found.end() :]) if found else line for line, found in zip(lines, leading)]
    return _kept(bare, [int(found[1]) if found else None for found in leading], told)


def _kept(
    lines: Sequence[Line], ranks: Sequence[Optional[int]], told: Dict[int, int]
) -> Tuple[List[Line], Optional[str]]:
    first = min(rank for rank, count in told.items() if count * 2 >= max(told.values()))
    kept = [line for line, rank in zip(lines, ranks) if rank is None or rank == first]
    if len(told) == 1:
        return kept, None
    return kept, f"{len(lines) - len(kept)} lines of other processes than {first} were left out"


def _rank(text: str) -> Optional[int]:
    head = text[:120]
    if (
        "ank" not in head
        and "pid=" not in head
        and "<std" not in head
        and "[default" not in head
        and "RANK" not in head
    ):
        return None
    prefix = _PREFIX.match(head)
    found = _RANK.search(prefix[0]) if prefix else None
    return int(next(group for group in found.groups() if group)) if found else None
