"""Tables with a header line: CSV of every separator (Keras CSVLogger, Lightning, YOLO), and columns set with spaces."""

from __future__ import annotations

import csv
import re
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from losswatch_logs import columns
from losswatch_logs.lines import Line
from losswatch_logs.numbers import number
from losswatch_logs.table import Table

_HEADER_WITHIN = 200
"""A header line comes within so many lines: banners and warnings may precede it."""
_SAMPLE = 20
_WIDEST = 20_000
"""Columns; a wider line is no header."""
_CANDIDATES = 10
"""So many lines are tried as headers, which bounds the work on a hostile text."""
_ENDS_IN_NUMBER = re.compile(r"[\s:=][-+.]?\d\S*$")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?", re.ASCII)
_NAMES = {",": "csv", "\t": "tsv", ";": "csv (semicolons)", "|": "csv (bars)", "": "table"}

Split = Callable[[str], List[str]]


class _Header(NamedTuple):
    place: int
    names: List[str]
    separator: str
    split: Split


def read_table(lines: Sequence[Line]) -> Optional[Table]:
    """The table whose header line is found among the first lines, or None when there is none."""
    header = _find_header(lines)
    if header is None:
        return None
    table = Table(_NAMES[header.separator])
    if "val_loss" in header.names and "epoch" in header.names and header.separator == ",":
        table.by_epoch = True
    wanted = _wanted(header.names)
    comma = header.separator in (";", "\t") and _has_decimal_commas(lines, header)
    for line in lines[: header.place]:
        table.skip(line.number, line.text, "it comes before the header line")
    for line in lines[header.place + 1 :]:
        cells = header.split(line.text)
        if cells == header.names:
            continue  # a run appended with its header
        if len(cells) == len(header.names) + 1 and header.separator == "":
            cells = cells[1:]  # the row number that R and pandas print without a name
        if len(cells) > len(header.names) and any(cell.strip() for cell in cells[len(header.names) :]):
            table.skip(line.number, line.text, f"{len(cells)} cells where the header names {len(header.names)} columns")
            continue
        row: Dict[str, Optional[float]] = {}
        for place, name in wanted:
            if place < len(cells):
                cell = cells[place]
                value = number(cell.replace(",", ".") if comma else cell)
                if value is not None:
                    row[name] = value
        if row:
            table.add(row)
        else:
            table.skip(line.number, line.text, "no numbers in the columns of the header")
    if comma:
        table.notes.append("commas within numbers as decimal points")
    return table if table.rows else None


def read_bare(lines: Sequence[Line]) -> Optional[Table]:
    """Numbers without a header: one on each line (or separated by commas on one line), or pairs of step and loss."""
    if all(number(line.text) is not None for line in lines[:_SAMPLE]):
        return _bare_column(lines)
    for separator in (",", "\t", ";", ""):
        split = _splitter(separator)
        sample = [split(line.text) for line in lines[:_SAMPLE]]
        if not all(len(cells) > 1 and all(number(cell) is not None for cell in cells) for cells in sample):
            continue
        if len(lines) == 1:
            return _bare_column([Line(1, cell) for cell in sample[0]])
        if all(len(cells) == 2 for cells in sample):
            return _bare_pairs(lines, split)
    return None


def _bare_column(lines: Sequence[Line]) -> Table:
    table = Table("numbers")
    for line in lines:
        value = number(line.text)
        if value is None:
            table.skip(line.number, line.text, "not a number")
        else:
            table.add({"loss": value})
    table.notes.append("a bare list of numbers, each taken as a loss")
    return table


def _bare_pairs(lines: Sequence[Line], split: Split) -> Table:
    table = Table("numbers")
    for line in lines:
        values = [number(cell) for cell in split(line.text)]
        if len(values) == 2 and values[0] is not None and values[1] is not None:
            table.add({"step": values[0], "loss": values[1]})
        else:
            table.skip(line.number, line.text, "not a pair of numbers")
    table.notes.append("two columns without a header, taken as step and loss")
    return table


def _find_header(lines: Sequence[Line]) -> Optional[_Header]:
    tried = 0
    for place, line in enumerate(lines[:_HEADER_WITHIN]):
        text = line.text.lstrip("# ") if line.text.lstrip().startswith("#") else line.text
        for separator in (",", "\t", ";", "|", ""):
            if separator and separator not in text:
                continue
            split = _splitter(separator)
            names = [name.strip() for name in split(text)]
            if _is_header(names):
                if _agrees(names, lines[place + 1 : place + 1 + _SAMPLE], split, separator):
                    return _Header(place, _distinct(names), separator, split)
                tried += 1
        if tried >= _CANDIDATES:
            break
    return None


def _is_header(names: Sequence[str]) -> bool:
    """Some name is a loss or a gradient norm, and none is a number."""
    if len(names) > _WIDEST:
        return False
    if any(number(name.rstrip(",:;%)")) is not None or _ENDS_IN_NUMBER.search(name[-60:]) for name in names):
        return False
    return any(_is_measured(name) for name in names)


def _is_measured(name: str) -> bool:
    plain = columns.plain(name)
    return (
        columns.is_loss(name)
        or columns.is_validation_loss(name)
        or plain in columns.GRAD_NORM
        or plain in ("value", "train_rmse", "train_logloss")
    )


def _agrees(names: Sequence[str], after: Sequence[Line], split: Split, separator: str) -> bool:
    """Whether most of the lines that follow have as many cells, with a number among them."""
    fitting = 0
    for line in after:
        cells = split(line.text)
        width = len(cells) in (len(names), len(names) + 1) if separator == "" else len(cells) >= min(2, len(names))
        if [cell.strip() for cell in cells] == list(names) or (
            width and any(number(cell.replace(",", ".", 1)) is not None for cell in cells)
        ):
            fitting += 1
    return fitting > 0 and fitting * 2 >= len(after)


def _splitter(separator: str) -> Split:
    if separator == "":
        return str.split

    def split(text: str) -> List[str]:
        if '"' not in text:
            return text.split(separator)
        try:
            return next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:  # a quoted cell beyond the module's limit
            return text.split(separator)

    return split


def _distinct(names: Sequence[str]) -> List[str]:
    """Names without quotes; the second column of a name gets a number, as in pandas."""
    seen: Dict[str, int] = {}
    distinct = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        distinct.append(f"{name}.{count}" if count else name)
    return distinct


def _wanted(names: Sequence[str]) -> List[tuple[int, str]]:
    """The columns worth reading: all of them, but of thousands those with a role and the first metrics."""
    if len(names) <= 4 * columns.MAX_METRICS:
        return list(enumerate(names))
    return [
        (place, name)
        for place, name in enumerate(names)
        if place <= columns.MAX_METRICS or columns.plain(name) in columns.KNOWN or _is_measured(name)
    ][: 4 * columns.MAX_METRICS]


def _has_decimal_commas(lines: Sequence[Line], header: _Header) -> bool:
    """Sure only when some cell is a number with a comma and none has a point."""
    seen = False
    for line in lines[header.place + 1 :]:
        for cell in header.split(line.text):
            if "." in cell and number(cell) is not None:
                return False
            seen = seen or _DECIMAL_COMMA.fullmatch(cell.strip()) is not None
    return seen
