"""Tables as they stand on a screen: columns set with spaces or bars, headers over two lines, several tables by turns.

Ultralytics, MATLAB, fastai, spaCy, Stan, R, pandas, scikit-learn. A table begins with a header that names a loss and
is followed by a row that fits. A second header in the text begins another table, whose rows add to the last point.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.numbers import ABSENT, MARKUP, cell
from losswatch_logs.table import Mark, Row, Table

_BAR = re.compile(r":?\s*(?<![\d.])\d{1,3}%(?:\||\s*[\u2500-\u259f]).*$")
_MEASURED = re.compile(r"loss|norm|cost|entrop|nll|elbo|mse|mae|ppl|perpl|likeli|box|obj|devian|err", re.IGNORECASE)
_VALUE = re.compile(r"(?:^|[\s:=\[(/|])[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|nan|inf)(?=$|[\s,;%)\]|])", re.IGNORECASE)
_WIDE = re.compile(r"\s{2,}|\t")
_RULE = re.compile(r"[\s|+=_─━═\-–—:╪╞╡┼├┤~*]+")
_COUNT = re.compile(r"(\d{1,12})/(\d{1,12})")
_LOOK_AHEAD = 8
_LEAST_ROWS = 3
_FIRST_WORDS = frozenset(
    [
        "training",
        "train",
        "validation",
        "valid",
        "val",
        "test",
        "eval",
        "learning",
        "remaining",
        "mini-batch",
        "base",
        "grad",
        "gradient",
        "best",
        "time",
        "oob",
        "mean",
        "average",
        "avg",
        "total",
    ]
)
_OLD_DETECTION = {
    "box": "box_loss",
    "obj": "obj_loss",
    "cls": "cls_loss",
    "dfl": "dfl_loss",
    "seg": "seg_loss",
    "total": "total_loss",
}
"""Column names of YOLOv5's first versions, whose header has gpu_mem."""


_EMPTY_AT_END = ("notes", "note", "comment", "remarks")


class _Header(NamedTuple):
    names: List[str]
    bars: bool
    main: bool
    lines: int


def read_screen(lines: Sequence[Line], *, any_names: bool = False) -> Optional[Table]:
    """The rows of the tables in a text, or None where no header of a table with a loss is found.

    With ``any_names`` the first header will do, whatever it names.
    """
    first = 0 if any_names else _first_header(lines)
    if first is None:
        return None
    table = Table("table")
    header: Optional[_Header] = None
    main: Optional[_Header] = None
    found_main = any_names
    fresh = False
    for line in lines[:first]:
        table.skip(line.number, line.text, "no row of a table")
    place = first
    while place < len(lines):
        line = lines[place]
        text = _BAR.sub("", line.text) if "%" in line.text else line.text
        if len(text) > 4000 or _RULE.fullmatch(text):
            place += 1
            continue
        begun = _begin(lines, place, text, found_main)
        if begun is not None:
            header, main = begun, begun if begun.main else main
            found_main = found_main or begun.main
            fresh = True
            place += begun.lines
            if "GPU_mem" in begun.names or "gpu_mem" in begun.names:
                table.context["framework"] = "ultralytics"
            continue
        row = _row(header, text, table) if header is not None and (header.main or fresh or any_names) else None
        if not row and main is not header:
            row = _counted(_row(main, text, table))  # its header was not printed again
        if row:
            drawn = line.redrawn or text is not line.text
            if drawn and table.rows and table.marks[-1].bar and _same_counts(row, table.rows[-1]):
                table.rows[-1] = row  # the same bar, further on
            else:
                table.add(row, Mark(line.number, bar=drawn))
            fresh = False
        else:
            table.skip(line.number, line.text, "no row of a table")
        place += 1
    return table if found_main and len(table.rows) >= (_LEAST_ROWS if any_names else 1) else None


def _first_header(lines: Sequence[Line]) -> Optional[int]:
    """The place of the first header of a table with a loss."""
    for place, line in enumerate(lines):
        text = line.text
        if len(text) <= 4000 and not (text[-1:].isdigit() and text[-20:].split(" ")[-1][:1] in "-.0123456789"):
            text = _BAR.sub("", text) if "%" in text else text
            if not _RULE.fullmatch(text) and _begin(lines, place, text, False) is not None:
                return place
    return None


def _counted(row: Optional[Dict[str, Optional[float]]]) -> Optional[Dict[str, Optional[float]]]:
    """The row, where it counts epochs or steps."""
    return row if row and any(meaning(name).kind in ("step", "epoch") for name in row) else None


def _same_counts(row: Row, last: Row) -> bool:
    if row.keys() != last.keys():
        return False
    counters = [name for name in row if meaning(name).kind in ("step", "epoch", "batch")]
    return bool(counters) and all(row[name] == last[name] for name in counters)


def _begin(lines: Sequence[Line], place: int, text: str, found_main: bool) -> Optional[_Header]:
    """The header that begins at a line: its names, perhaps over two lines, fit a row that follows soon."""
    if "=" in text or not (found_main or "|" in text or _MEASURED.search(text)) or not _may_be_header(text):
        return None
    after = [_BAR.sub("", line.text) for line in lines[place + 1 : place + 1 + _LOOK_AHEAD]]
    rows = [line for line in after if not _RULE.fullmatch(line)]
    if not rows:
        return None
    if "|" in text:
        names = [MARKUP.sub("", name) for name in _cells(text, bars=True)]
        used = 1
        while rows and "|" in rows[0] and _may_be_header(rows[0]) and len(_cells(rows[0], bars=True)) == len(names):
            names = [f"{name} {more}".strip() for name, more in zip(names, _cells(rows[0], bars=True))]
            rows, used = rows[1:], used + 1
        return _fitting(names, rows, bars=True, found_main=found_main, used=used)
    for names in _splits(text):
        header = _fitting(names, rows, bars=False, found_main=found_main, used=1)
        if header is not None:
            return header
    return None


def _may_be_header(text: str) -> bool:
    if _VALUE.search(text):
        return False
    words = text.replace("|", " ").split()
    if not 2 <= len(words) <= 200 or not any(word.lstrip("*`<")[:1].isalpha() for word in words):
        return False
    return "=" not in text and "{" not in text


def _splits(text: str) -> List[List[str]]:
    """The ways to cut a header into names: at wide gaps, at every gap, with words like "Training" kept to the next."""
    text = (
        text.strip().lstrip("#").strip().rstrip(":")
        if text.strip().startswith("#") and text.count("#") == 1 and (text.strip()[1:2] == " " and "  #" not in text)
        else text.strip().rstrip(":")
    )
    wide = [name.strip() for name in _WIDE.split(text) if name.strip()]
    words = text.split()
    joined: List[str] = []
    for word in words:
        if joined and joined[-1].split(" ")[-1].lower() in _FIRST_WORDS:
            joined[-1] = f"{joined[-1]} {word}"
        else:
            joined.append(word)
    ways: List[List[str]] = []
    for way in (wide, words, joined):
        if len(way) > 1 and way not in ways:
            ways.append(way)
    return ways


def _fitting(names: List[str], rows: Sequence[str], *, bars: bool, found_main: bool, used: int) -> Optional[_Header]:
    names = [_balanced(name.strip()) for name in names]
    if {"gpu_mem", "GPU_mem"} & set(names):
        names = [_OLD_DETECTION.get(name, name) for name in names]
    main = any(meaning(name).measured for name in names)
    if not main and (not found_main or len(names) < 3):
        return None
    header = _Header(names, bars, main, used)
    for row in rows[:3] if main else rows[:1]:
        cells = _fit(header, row)
        numbers = sum(_value(each)[0] is not None for each in cells) if cells else 0
        if cells is not None and numbers >= 2 and numbers * 2 >= len(cells) - 1:
            return header
    return None


def _balanced(name: str) -> str:
    """``Box(P`` and ``mAP50-95)`` are P and mAP50-95 of boxes, set apart by spaces."""
    return name.split("(")[-1].strip("():,") if name.count("(") != name.count(")") else name


def _cells(text: str, *, bars: bool) -> List[str]:
    return [each.strip() for each in text.strip().strip("|").split("|")] if bars else text.split()


def _fit(header: _Header, text: str) -> Optional[List[str]]:
    """The cells of a row under a header; a row number in front, as R and pandas print it, is left out."""
    width = len(header.names)
    if header.bars and "|" not in text:
        return None
    if header.names[-1].lower() in _EMPTY_AT_END and not header.bars and len(text.split()) == width - 1:
        return [*text.split(), ""]
    ways = (
        [_cells(text, bars=True)] if header.bars else [text.replace("No log", "NA").split(), _WIDE.split(text.strip())]
    )
    for cells in ways:
        if len(cells) == width:
            return cells
    for cells in ways:
        if len(cells) == width + 1 and (cells[0].isdigit() or cells[-1].endswith(":")):
            return cells[1:] if cells[0].isdigit() else cells[:-1]
    if not header.bars and ways[0] and ways[0][-1].endswith(":") and len(ways[0]) == width:
        return ways[0]
    return None


def _value(text: str) -> Tuple[Optional[float], Optional[float]]:
    """A cell's value, and the total behind its slash."""
    text = text.strip().rstrip(":")
    count = _COUNT.fullmatch(text)
    if count:
        return float(count[1]), float(count[2])
    return cell(text), None


def _row(header: Optional[_Header], text: str, table: Table) -> Optional[Dict[str, Optional[float]]]:
    cells = _fit(header, text) if header is not None else None
    if header is None or cells is None:
        return None
    row: Dict[str, Optional[float]] = {}
    known = 0
    for name, each in zip(header.names, cells):
        value, total = _value(each)
        known += value is not None or each.lower() in ABSENT
        if value is not None:
            row[name] = value
            if total is not None:
                table.totals[name] = total
    return row if known >= 2 and known * 2 >= len(cells) - 1 else None
