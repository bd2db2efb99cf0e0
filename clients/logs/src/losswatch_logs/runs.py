"""Several runs in one text: a column that names them, columns of several runs, headings between them."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from losswatch_logs import job
from losswatch_logs import words as w
from losswatch_logs.names import meaning
from losswatch_logs.table import Mark, Row, Table

_LEAST_ROWS = 2
_MOST = 50
"""So many runs are told apart; a text with more is a database, not a log."""
_DIGITS = re.compile(r"\d+(?:[.,]\d+)?(?:e-?\d+)?")
_BOUNDS = re.compile(r"__(?:MIN|MAX|STEP)$|_(?:min|max)$")


def parts(table: Table) -> List[Table]:
    """The table, or one for each run in it."""
    for tell in (_by_run_column, _by_wide_columns, _by_headings):
        found = tell(table)
        if found and 1 < len(found) <= _MOST:
            return found
    return [table]


def _by_run_column(table: Table) -> Optional[List[Table]]:
    """Rows that say which run they belong to, where a counter begins anew from one run to the next."""
    if len(table.runs) != len(table.rows):
        return None
    places: Dict[str, List[int]] = {}
    for place, run in enumerate(table.runs):
        places.setdefault(run, []).append(place)
    if not 1 < len(places) <= _MOST or min(map(len, places.values())) < _LEAST_ROWS:
        return None
    counter = _counter(table)
    if counter is None:
        return None
    firsts = [
        next((table.rows[place][counter] for place in group if counter in table.rows[place]), None)
        for group in places.values()
    ]
    lasts = [
        next((table.rows[place][counter] for place in reversed(group) if counter in table.rows[place]), None)
        for group in places.values()
    ]
    overlap = any(first is not None and last is not None and first <= last for first, last in zip(firsts[1:], lasts))
    return [table.part(group, run) for run, group in places.items()] if overlap else None


def _by_wide_columns(table: Table) -> Optional[List[Table]]:
    """``run-7 - train/loss``, ``run-8 - train/loss``: a chart's download, a column per run; or JSON by run."""
    wide = table.format.startswith(("csv", "tsv"))
    mark = " - " if wide else "/"
    if not wide and not table.format.startswith("json-columns"):
        return None
    groups: Dict[str, Dict[str, str]] = {}
    common: Dict[str, str] = {}
    for name in table.counts():
        run, found, series = name.rpartition(mark) if wide else name.partition(mark)
        if not found:
            common[name] = name
        elif not _BOUNDS.search(series):
            groups.setdefault(run, {})[name] = series
    measured = {run: names for run, names in groups.items() if any(_is_loss(series) for series in names.values())}
    if len(measured) < 2 or (not wide and any(_says_split(run) for run in measured)):
        return None
    return [table_of for run, names in measured.items() if (table_of := _narrow(table, run, {**common, **names})).rows]


def _is_loss(series: str) -> bool:
    means = meaning(series)
    return means.kind == "loss" and not means.held_out


def _says_split(run: str) -> bool:
    said = {word for word in re.split(r"[^a-z]+", run.lower()) if word}
    return bool(said & (w.TRAINING | w.HELD_OUT | w.ADVERSARIAL | w.REINFORCEMENT)) or said <= {
        "history",
        "metrics",
        "logs",
    }


def _narrow(table: Table, run: str, names: Dict[str, str]) -> Table:
    narrow = table.part([], run)
    for row, mark in zip(table.rows, table.marks):
        kept: Row = {names[name]: value for name, value in row.items() if name in names}
        if any(meaning(name).measured for name in kept):
            narrow.add(kept, Mark(mark.line))
    return narrow


def _by_headings(table: Table) -> Optional[List[Table]]:
    """Headings of one kind before the first rows and wherever the counters begin anew."""
    kinds: Dict[str, List[Tuple[int, str]]] = {}
    for place, text in table.headings:
        kinds.setdefault(_kind(text), []).append((place, text))
    for heads in sorted(kinds.values(), key=len):
        starts = [heads[0]]
        for head in heads[1:]:
            if head[0] > starts[-1][0]:
                starts.append(head)
            else:
                starts[-1] = head  # two in a row: the one next to the rows
        starts = [start for start in starts if start[0] < len(table.rows)]
        if not 1 < len(starts) <= _MOST or starts[0][0] != 0:
            continue
        ends = [start for start, _ in starts[1:]] + [len(table.rows)]
        spans = [(start, end, text) for (start, text), end in zip(starts, ends)]
        measured = table.names_measured()
        if all(_rows(table, measured, start, end) >= _LEAST_ROWS for start, end, _ in spans) and _begins_anew(
            table, spans
        ):
            names = _distinct([text.strip(" :#=*-~\t") for _, _, text in spans])
            found = [table.part(list(range(start, end)), name) for (start, end, _), name in zip(spans, names)]
            for part in found:
                part.context.update(job.of_heading(part.run or ""))
            return found
    return None


def _rows(table: Table, measured: Tuple[str, ...], start: int, end: int) -> int:
    return sum(any(name in table.rows[place] for name in measured) for place in range(start, end))


def _kind(text: str) -> str:
    """Headings of one kind: the same words but for the numbers, or a colon at the end of words that begin alike."""
    bare = _DIGITS.sub("0", text.lower()).strip()
    if "0" in bare and not bare.endswith(":"):
        return bare
    return f"{bare.split()[0] if bare.split() else ''} …{bare[-1:]}"


def _begins_anew(table: Table, spans: List[Tuple[int, int, str]]) -> bool:
    counter = _counter(table)
    if counter is None:
        return True
    for (start, end, _), (_, after, _) in zip(spans, spans[1:]):
        before = [table.rows[place][counter] for place in range(start, end) if counter in table.rows[place]]
        following = [table.rows[place][counter] for place in range(end, after) if counter in table.rows[place]]
        if before and following and (following[0] or 0.0) >= max(value or 0.0 for value in before):
            return False
    return True


def _counter(table: Table) -> Optional[str]:
    """The column by which a run's beginning shows: its steps, else its epochs."""
    counts = table.counts()
    ranked = [
        (meaning(table.spelled(name)).kind == "step", meaning(table.spelled(name)).score, name)
        for name, count in counts.items()
        if meaning(table.spelled(name)).kind in ("step", "epoch") and count * 2 > len(table.rows)
    ]
    return max(ranked)[2] if ranked else None


def _distinct(names: List[str]) -> List[str]:
    seen: Dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct
