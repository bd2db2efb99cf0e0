"""Tables with a header line and a separator: CSV, TSV and their kin (Keras CSVLogger, Lightning, YOLO, W&B, MLflow)."""

from __future__ import annotations

import csv
import re
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from losswatch_logs import prefixes
from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.numbers import ABSENT, MARKUP, cell, number
from losswatch_logs.roles import MAX_METRICS
from losswatch_logs.table import Mark, Table

_HEADER_WITHIN = 200
"""A header line comes within so many lines: banners and warnings may precede it."""
_SAMPLE = 20
_SURE = 3
"""So many rows with a loss make a table, whatever else the text holds."""
_NAME = 60
"""Characters of a name; a longer one is a sentence."""
_WIDEST = 20_000
"""Columns; a wider line is no header."""
_CANDIDATES = 10
"""So many lines are tried as headers, which bounds the work on a hostile text."""
_ENDS_IN_NUMBER = re.compile(r"[\s:=][-+.]?\d\S*$")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?", re.ASCII)
_NAMES = {",": "csv", "\t": "tsv", ";": "csv (semicolons)"}
_RUNS = re.compile(
    r"(?:run|experiment|exp|trial|seed|fold|model|config|variant|job|group|name|optimizer)(?:[ _]?(?:id|name|no|nr))?",
    re.IGNORECASE,
)
"""Columns that say which run a row belongs to, where the counter begins anew with them."""

_BARE_NAME = re.compile(r"[A-Za-z][\w /.-]{0,40}:?")

Split = Callable[[str], List[str]]


class _Header(NamedTuple):
    place: int
    given: List[str]
    names: List[str]
    separator: str
    split: Split


def read_table(lines: Sequence[Line], *, any_names: bool = False) -> Optional[Table]:
    """The table whose header line is found among the first lines, or None when there is none.

    Some name must be a loss or a gradient norm; with ``any_names`` none need be.
    """
    header = _find_header(lines, any_names=any_names)
    if header is None:
        return None
    table = Table(_NAMES[header.separator])
    if header.separator == "," and {"val_loss", "epoch"} <= set(header.names):
        table.by_epoch = True
    wanted = _wanted(header.names)
    run_column = next((place for place, name in enumerate(header.names) if _RUNS.fullmatch(name)), None)
    comma = header.separator in (";", "\t") and _has_decimal_commas(lines, header)
    for line in lines[: header.place]:
        table.skip(line.number, line.text, "it comes before the header line")
    for line in lines[header.place + 1 :]:
        cells = header.split(line.text)
        if [MARKUP.sub("", each).strip() for each in cells] == header.given:
            continue  # a run appended with its header
        if len(cells) > len(header.names) and any(each.strip() for each in cells[len(header.names) :]):
            table.skip(line.number, line.text, f"{len(cells)} cells where the header names {len(header.names)} columns")
            continue
        row = _row(cells, wanted, comma=comma)
        if row:
            run = cells[run_column].strip() if run_column is not None and run_column < len(cells) else None
            table.add(row, Mark(line.number), run)
        else:
            table.skip(line.number, line.text, "no numbers in the columns of the header")
    if comma:
        table.notes.append("commas within numbers as decimal points")
    following = len(lines) - header.place - 1
    if any_names:
        accurate = any(meaning(name).kind == "accuracy" for name in table.counts())
        return table if len(table.rows) >= (1 if accurate else _SURE) else None
    measured = table.names_measured()
    rows = sum(1 for row in table.rows if any(name in row for name in measured))
    return table if rows >= _SURE or (rows and len(table.rows) * 3 >= following) else None


def _row(cells: Sequence[str], wanted: Sequence[tuple[int, str]], *, comma: bool) -> Dict[str, Optional[float]]:
    row: Dict[str, Optional[float]] = {}
    for place, name in wanted:
        if place < len(cells):
            text = cells[place].strip()
            value = cell(text.replace(",", ".") if comma else text)
            if value is not None:
                row[name] = value
    return row


def read_bare(lines: Sequence[Line]) -> Optional[Table]:
    """Numbers without a header: one on each line (or separated by commas on one line), or pairs of step and loss."""
    if all(number(line.text) is not None for line in lines[:_SAMPLE]):
        return _bare_column(lines, "loss")
    name = MARKUP.sub("", lines[0].text).strip()
    if (
        len(lines) > 1
        and _BARE_NAME.fullmatch(name)
        and all(number(line.text) is not None for line in lines[1:_SAMPLE])
    ):
        return _bare_column(lines[1:], name if meaning(name).measured else "loss")
    for separator in (",", "\t", ";", ""):
        split = _splitter(separator)
        sample = [split(line.text) for line in lines[:_SAMPLE]]
        if not all(len(cells) > 1 and all(number(cell) is not None for cell in cells) for cells in sample):
            continue
        if len(lines) == 1:
            return _bare_column([Line(1, cell) for cell in sample[0]], "loss")
        if all(len(cells) == 2 for cells in sample):
            return _bare_pairs(lines, split)
        if all(len(cells) == 3 and float(cells[0]) > 1e9 for cells in sample):
            return _metric_file(lines, split)
    return None


def _bare_column(lines: Sequence[Line], name: str) -> Table:
    table = Table("numbers")
    for line in lines:
        value = number(line.text)
        if value is None:
            table.skip(line.number, line.text, "not a number")
        else:
            table.add({name: value}, Mark(line.number))
    table.notes.append("a bare list of numbers, each taken as a loss")
    return table


def _bare_pairs(lines: Sequence[Line], split: Split) -> Table:
    table = Table("numbers")
    for line in lines:
        values = [number(cell) for cell in split(line.text)]
        if len(values) == 2 and values[0] is not None and values[1] is not None:
            table.add({"step": values[0], "loss": values[1]}, Mark(line.number))
        else:
            table.skip(line.number, line.text, "not a pair of numbers")
    table.notes.append("two columns without a header, taken as step and loss")
    return table


def _metric_file(lines: Sequence[Line], split: Split) -> Table:
    """MLflow's files: a time in milliseconds, the value, the step."""
    table = Table("mlflow")
    for line in lines:
        values = [number(cell) for cell in split(line.text)]
        if len(values) == 3 and values[1] is not None and values[2] is not None:
            table.add({"loss": values[1], "step": values[2]}, Mark(line.number))
        else:
            table.skip(line.number, line.text, "not a time, a value and a step")
    table.notes.append("three columns without a header, taken as time, loss and step as MLflow writes them")
    return table


def _find_header(lines: Sequence[Line], *, any_names: bool) -> Optional[_Header]:
    tried = 0
    for place, line in enumerate(lines[:_HEADER_WITHIN]):
        if prefixes.begins(line.text):
            continue
        text = line.text.lstrip("# ") if line.text.lstrip().startswith("#") else line.text
        for separator in (",", "\t", ";"):
            if separator not in text:
                continue
            split = _splitter(separator)
            names = [MARKUP.sub("", name).strip() for name in split(text)]
            if _is_header(names, any_names=any_names):
                if _agrees(names, lines[place + 1 : place + 1 + _SAMPLE], split):
                    return _Header(place, names, _distinct(names), separator, split)
                tried += 1
        if tried >= _CANDIDATES:
            break
    return None


def _is_header(names: Sequence[str], *, any_names: bool) -> bool:
    """Some name is a loss or a gradient norm, none is a number, and few end in one (``loss: 0.5`` is no name)."""
    if len(names) > _WIDEST or any("{" in name or "[" in name or "': " in name for name in names):
        return False
    if any(number(name.rstrip(",:;%)")) is not None for name in names):
        return False
    valued = sum(
        1 for name in names if _ENDS_IN_NUMBER.search(name[-60:]) and name.rpartition(":")[0] not in names
    )  # CatBoost's further sets are RMSE:1, RMSE:2
    if any_names:
        return not valued and len(names) > 1 and all(name[:1].isalpha() and len(name) <= _NAME for name in names)
    return valued * 2 < len(names) and any(_is_measured(name) for name in names)


def _is_measured(name: str) -> bool:
    means = meaning(name)
    return (means.kind == "loss" and len(name) < 120) or means.kind == "grad_norm" or name.strip().lower() == "value"


def _agrees(names: Sequence[str], after: Sequence[Line], split: Split) -> bool:
    """Whether most of the lines that follow have as many cells, with a number among them."""
    fitting = 0
    for line in after:
        cells = [MARKUP.sub("", each).strip() for each in split(line.text)]
        if cells == list(names) or (
            len(cells) >= min(2, len(names)) and any(cell(each.replace(",", ".", 1)) is not None for each in cells)
            and all(_fits(each) for each in cells[:3])
        ):  # fmt: skip
            fitting += 1
    return fitting > 0 and fitting * 2 >= len(after)


def _fits(text: str) -> bool:
    """Whether a cell is a value and no ``name: value``, as a console line with commas has."""
    return ("loss" not in text.lower() or not any(sign in text for sign in ":=")) and (
        len(text) < 200 or text.lower() in ABSENT
    )


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
        name = name.strip().strip("\"'")
        count = seen.get(name, 0)
        seen[name] = count + 1
        distinct.append(f"{name}.{count}" if count else name)
    return distinct


def _wanted(names: Sequence[str]) -> List[tuple[int, str]]:
    """The columns worth reading: all of them, but of thousands those with a role and the first metrics."""
    if len(names) <= 4 * MAX_METRICS:
        return [(place, name) for place, name in enumerate(names) if name]
    return [
        (place, name)
        for place, name in enumerate(names)
        if place <= MAX_METRICS or meaning(name).kind not in ("metric", "nothing")
    ][: 4 * MAX_METRICS]


def _has_decimal_commas(lines: Sequence[Line], header: _Header) -> bool:
    """Sure only when some cell is a number with a comma and none has a point."""
    seen = False
    for line in lines[header.place + 1 :]:
        for each in header.split(line.text):
            if "." in each and number(each) is not None:
                return False
            seen = seen or _DECIMAL_COMMA.fullmatch(each.strip()) is not None
    return seen
