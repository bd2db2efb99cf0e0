"""`read_all` and `read`: find out what kind of log a text is, and read it."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Sequence, Union

from losswatch_logs import (
    arrays,
    boxes,
    console,
    endings,
    formats,
    job,
    json_documents,
    lines,
    notebook,
    points,
    prefixes,
    reflow,
    refusals,
    runs,
    screen,
    tabular,
)  # fmt: skip
from losswatch_logs.keras_console import read_keras
from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.result import NO_COLUMNS, Columns, Doubt, ReadLog, UnreadableLogError
from losswatch_logs.table import Table

_COMMA = re.compile(r"(?<![\d:.,])\d+,\d+(?![\d.]|,\d)")
_POINT = re.compile(r"(?<![\d:.,])\d+\.\d+(?![\d.])")
_DECIMAL = re.compile(r"(?<![\d:.,])(\d+),(\d+)(?![\d.]|,\d)")
_SAMPLE = 60_000


def read(text: Union[str, bytes], *, name: Optional[str] = None, columns: Columns = NO_COLUMNS) -> ReadLog:
    """The points of a training log; of several runs in one text the last, which says so in its doubts.

    As `read_all`.
    """
    logs = read_all(text, name=name, columns=columns)
    if len(logs) == 1:
        return logs[0]
    last = logs[-1]
    others = ", ".join(repr(log.run) for log in logs[:-1])
    last.doubts.append(Doubt(f"the text holds {len(logs)} runs; {last.run!r} was read, {others} left out"))
    return last


def read_all(text: Union[str, bytes], *, name: Optional[str] = None, columns: Columns = NO_COLUMNS) -> List[ReadLog]:
    """The runs in a text, whatever framework wrote it, in time linear in its length: mostly one.

    ``text`` is the whole log; ``name`` (a file's name) is used in the error alone: the kind of log is told from the
    text. ``columns``: what a person says of them. Raises UnreadableLogError, whose ``detail`` says why nothing was
    read and what could be, and nothing else.
    """
    clean = lines.clean(text)
    if not clean.strip("\b \t\r\n\v\f"):
        raise UnreadableLogError(f"{_called(name, start=True)} is empty. {refusals.READABLE}")
    total = clean.count("\n") + (not clean.endswith("\n"))
    document: Any = None
    if clean.lstrip()[:1] in ("[", "{"):
        found, document = json_documents.parse(clean)
        if found and notebook.is_notebook(document):
            clean = lines.clean(notebook.outputs(document))
            if not clean.strip():
                raise UnreadableLogError(f"{_called(name, start=True)} is a notebook whose cells have printed nothing.")
            table = _text(clean, name, columns)
            table.notes.append("the outputs of a notebook's cells")
            return _assembled(table, clean, total, columns)
        elif found:
            return _assembled(_document(document, name), clean, total, columns)
    return _assembled(_text(clean, name, columns), clean, total, columns)


def _document(document: Any, name: Optional[str]) -> Table:
    table = json_documents.read_document(document) or json_documents.read_loosely(document)
    if table is None:
        raise UnreadableLogError(
            f"{_called(name, start=True)} is JSON, but nothing in it is named like a loss: send "
            '{"points": [{"step": 1, "loss": 0.7}, …]}, {"loss": [0.7, 0.6, …]}, or one object per line.'
        )
    return table


def _text(clean: str, name: Optional[str], columns: Columns) -> Table:
    if _has_decimal_commas(clean):
        clean = _DECIMAL.sub(r"\1.\2", clean)
    given = lines.split(clean)
    table = _lines(given, clean, columns) if given else None
    if table is None:
        raise UnreadableLogError(refusals.nothing_found(given, _called(name)))
    return table


def _lines(given: Sequence[Line], clean: str, columns: Columns) -> Optional[Table]:
    table = json_documents.read_lines(given) if given[0].text.lstrip().startswith("{") else None
    if table is not None and len(table.rows) * 2 >= len(given):
        return table
    for reader in (tabular.read_bare, tabular.read_table):
        table = reader(given)
        if table is not None:
            return table
    stripped = prefixes.strip(reflow.reflow(given))
    table = _stripped_lines(stripped.lines, clean, columns)
    if table is None:
        table = tabular.read_table(given, any_names=True) or _by_any_names(stripped.lines)
    if table is not None and stripped.note:
        table.doubts.append(Doubt(stripped.note))
    return table


def _by_any_names(found: Sequence[Line]) -> Optional[Table]:
    """A table in which nothing is named like a loss: for the names that a person may choose from."""
    return tabular.read_table(found, any_names=True) or screen.read_screen(found, any_names=True)


def _stripped_lines(found: Sequence[Line], clean: str, columns: Columns) -> Optional[Table]:
    if not found:
        return None
    if found[0].text.lstrip().startswith('{"'):
        table = json_documents.read_lines(found)
        if table is not None and len(table.rows) * 2 >= len(found):
            return table
    special = formats.rewrite(found)
    if special is not None:
        table = console.read_console(special.lines)
        if table is not None:
            return _as_format(table, special.format)
    readers = (tabular.read_bare, tabular.read_table, screen.read_screen, boxes.read_boxes, read_keras)
    for reader in readers:
        table = reader(found)
        if table is not None:
            return table
    printed = console.read_console(found, columns)
    listed = arrays.read_lists(clean)
    if listed is not None and (printed is None or arrays.longest(listed) >= console.values_of_best(printed)):
        return listed
    if printed is not None and console.values_of_best(printed) < 2 and refusals.newlines_lost(found):
        return None
    if printed is not None and len(found) > 1 and console.values_of_best(printed) and _is_prose(printed):
        raise UnreadableLogError(refusals.prose("the text"))
    return printed


def _is_prose(table: Table) -> bool:
    return console.values_of_best(table) < 2 and not console.counted(table)


def _as_format(table: Table, told: formats.Format) -> Table:
    table.format = told.name
    if told.note:
        table.notes.append(told.note)
    if told.framework:
        table.context["framework"] = told.framework
    return table


def _assembled(table: Table, clean: str, total: int, columns: Columns) -> List[ReadLog]:
    for key, value in job.job(clean).items():
        table.context.setdefault(key, value)
    if not any(meaning(table.spelled(name)).kind == "learning_rate" for name in table.counts()):
        for key, rate in job.learning_rate(clean).items():
            table.context.setdefault(key, rate)
    logs: List[ReadLog] = []
    refused: Optional[UnreadableLogError] = None
    parts = runs.parts(table)
    parts[-1].said = endings.said(clean)
    for part in parts:
        try:
            logs.append(points.assemble(part, total, columns))
        except UnreadableLogError as error:
            refused = error
    if not logs and refused is not None:
        raise refused
    return logs


def _has_decimal_commas(text: str) -> bool:
    """Whether numbers have decimal commas: many ``0,82`` and hardly a ``0.82``; a table with commas between is none."""
    head = text[:_SAMPLE]
    commas = len(_COMMA.findall(head))
    if commas < 3 or len(_POINT.findall(head)) * 5 > commas:
        return False
    first = next((line for line in head.split("\n") if line.strip()), "")
    return ";" in first or "\t" in first or not re.fullmatch(r"[^:=\d]*,[^:=\d]*", first.strip())


def _called(name: Optional[str], *, start: bool = False) -> str:
    if name:
        return repr(name[:100])
    return "The text" if start else "the text"
