"""A log's bytes as clean lines: decoded, without terminal colours, redrawn lines taken apart."""

from __future__ import annotations

import re
from typing import List, NamedTuple, Union

from losswatch_logs.result import UnreadableLogError

# Each alternative consumes from one ESC to the next at most, so that a hostile text costs linear time.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_REDRAW = re.compile(r"[\r\x08]+")
_BINARY = (b"PK\x03\x04", b"\x1f\x8b", b"\x89PNG", b"\x89HDF", b"%PDF", b"SQLite format 3")


class Line(NamedTuple):
    """A line as it was on the screen at some moment; a redrawn line gives several of one number."""

    number: int
    text: str


def decode(data: bytes) -> str:
    """The text of a file: UTF-8 or, by their byte order mark, UTF-16; what is neither is taken as Latin-1.

    Raises UnreadableLogError for a binary file.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if data.startswith(_BINARY) or data[:4096].count(b"\0") > len(data[:4096]) // 10:
        raise UnreadableLogError(
            "This is a binary file; send the text of a log: console output, CSV, JSON lines or a trainer state file."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def clean(text: Union[str, bytes]) -> str:
    """The text with uniform line ends and without a byte order mark, NULs and escape sequences."""
    if not isinstance(text, str):
        text = decode(bytes(text))
    text = text.lstrip("\ufeff").replace("\0", "")
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return text.replace("\r\n", "\n") if "\r\n" in text else text


def split(text: str) -> List[Line]:
    """The lines that are not blank. Carriage returns and backspaces begin the line anew, with the same number."""
    redrawn = "\r" in text or "\x08" in text
    lines: List[Line] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if redrawn and ("\r" in line or "\x08" in line):
            lines.extend(Line(number, state) for state in _REDRAW.split(line) if state and not state.isspace())
        elif line and not line.isspace():
            lines.append(Line(number, line))
    return lines
