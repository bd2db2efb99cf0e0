"""Numbers as programs print them: exact float64, and every spelling of NaN and infinity."""

from __future__ import annotations

import re
from typing import Dict, Optional

NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
"""A plain number or NaN or infinity within a line of text; to be compiled with re.IGNORECASE and re.ASCII."""

_NUMBER = re.compile(NUMBER, re.IGNORECASE | re.ASCII)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_WRAPPED = re.compile(r"(?:[\w.]{1,40}\()\[?\s*(" + NUMBER + r")(?=[\s,)\]]).*", re.IGNORECASE | re.ASCII | re.DOTALL)
_NAN, _INF = float("nan"), float("inf")
# C runtimes on Windows, R, Fortran and spreadsheets have their own words.
_WORDS: Dict[str, float] = {
    "nan(ind)": _NAN,
    "-nan(ind)": _NAN,
    "nan(snan)": _NAN,
    "-nan(snan)": _NAN,
    "1.#qnan": _NAN,
    "-1.#qnan": _NAN,
    "1.#snan": _NAN,
    "1.#ind": _NAN,
    "-1.#ind": _NAN,
    "1.#inf": _INF,
    "+1.#inf": _INF,
    "-1.#inf": -_INF,
    "#num!": _NAN,
    "∞": _INF,
    "+∞": _INF,
    "-∞": -_INF,
}
MARKUP = re.compile(r"</?\w[^<>]{0,80}>|\*\*|`")
"""Tags, and the marks of bold type and of code, around a name or a value."""
ABSENT = frozenset(("", "na", "n/a", "null", "none", "nil", "-", "--", ".", "missing", "<na>", "no log"))
"""Cells that mean "not measured", in lower case."""


def number(text: str) -> Optional[float]:
    """The float64 that ``text`` spells, or None where it spells none (also ``1_0``, ``0x1p3``, ``true``)."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    lower = text.lower()
    if lower in _WORDS:
        return _WORDS[lower]
    if lower.startswith(("1.#", "-1.#")):  # the runtime pads with the precision: 1.#INF00, -1.#IND000
        return _WORDS.get(lower.rstrip("0"))
    return None


def cell(text: str) -> Optional[float]:
    """The number in a cell of a table: also ``71.00%``, ``1,250``, ``tensor(3.13, device='cuda:0')``, ``[0.5]``."""
    text = text.strip().strip("'\"*`")
    value = number(text)
    if value is not None or not text:
        return value
    if text.endswith("%"):
        return number(text[:-1])
    if "," in text and _THOUSANDS.fullmatch(text):
        return float(text.replace(",", ""))
    if text.startswith("[") and text.endswith("]"):
        return number(text[1:-1])
    wrapped = _WRAPPED.fullmatch(text) if "(" in text else None
    return float(wrapped[1]) if wrapped else None


def spelled_out(line: str) -> str:
    """``line`` with the spellings of Windows' C runtime, and PaddleOCR's ``nanxxx``, made plain: ``nan``, ``inf``."""
    if "#" in line:
        line = re.sub(r"1\.#INF0*", "inf", line, flags=re.IGNORECASE)
        line = re.sub(r"1\.#(?:QNAN|SNAN|IND)0*", "nan", line, flags=re.IGNORECASE)
    if "nanxx" in line:
        line = re.sub(r"\bnanxx+", "nan", line)
    if "(ind)" in line or "(snan)" in line:
        line = line.replace("nan(ind)", "nan").replace("nan(snan)", "nan")
    return line
