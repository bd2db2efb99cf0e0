"""A log's bytes as clean lines: decoded, without terminal colours, redrawn lines taken apart."""

from __future__ import annotations

import re
import zlib
from typing import List, NamedTuple, Union

from losswatch_logs.result import UnreadableLogError

# Each alternative consumes from one ESC to the next at most, so that a hostile text costs linear time.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
# What is left of colours where the escape character itself was lost in a paste: [32mINFO[0m
_MAIMED_ESCAPE = re.compile(r"(?<![\w\])])\[(?:\d{1,2};){0,3}\d{1,2}m|\[0m")
_REDRAW = re.compile(r"[\r\x08]+")
_BINARY = (b"PK\x03\x04", b"\x89PNG", b"\x89HDF", b"%PDF", b"SQLite format 3", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_GZIP = b"\x1f\x8b"
MAX_UNPACKED = 64 * 1024 * 1024
"""Bytes of text in a gzip file; no more is unpacked."""
# A number that prints as the object it is: tensor(0.53, device='cuda:0'), np.float64(0.53), array([0.53])
_MAY_WRAP = re.compile(r"ensor\(|rray\(|float\d\d\(|<tf\.Tensor")
_VALUE = r"[-+]?[\d.]{1,40}(?:e[-+]?\d{1,3})?|[-+]?nan|[-+]?inf"
_WRAPPED = re.compile(
    r"(?:\w{1,20}\.){0,2}(?:[Tt]ensor|(?:Device)?[Aa]rray|b?float\d\d)\(\s*"
    r"(?:shape=\(?\[?[\d, ]{0,20}[\])],? ?(?:dtype=\w{1,12},? ?)?value=\s*)?"
    rf"(?:\[{{1,2}}\s*({_VALUE})\s*\]{{1,2}}|({_VALUE}))"
    r"\s*(?:,[^()\[\]\n]{0,120}(?:\([^()\n]{0,60}\)[^()\n]{0,60})?)?\)"
)
_BARE_BAR = re.compile(
    r"[^=\n.\d]{0,40}(?:\d{1,6}[^=\n.\d]{1,12}){0,3}\d{1,3}%\|[^|]{0,400}\|"
    r"\s*[\w.?]{1,20}/[\w.?]{1,20}\s*(?:\[[\w:?<,./% ]{0,80}\]\s*)?"
)
_BARE_KERAS_BAR = re.compile(r"\s*\d+/\d+ \[[=>.]*\]( - (ETA: )?[\d:]+m?s( \d+[mu]?s/(step|epoch))?)?\s*")
_FENCE = re.compile(r"\s*(?:```|~~~)\w*\s*|\s*\.\.\.\s*")
_QUOTE = re.compile(r"\s{0,3}>{1,3} ?")


class Line(NamedTuple):
    """A line as it was on the screen at some moment; a redrawn line gives several of one number."""

    number: int
    text: str
    redrawn: bool = False


def decode(data: bytes) -> str:
    """The text of a file: UTF-8 or, by their byte order mark or zeros, UTF-16; what is neither is taken as Latin-1.

    A gzip file is unpacked. Raises UnreadableLogError for another binary file and for more than MAX_UNPACKED bytes.
    """
    if data.startswith(_GZIP):
        data = _unpacked(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if data[:64].count(0) * 3 > len(data[:64]) and len(data) > 3:
        data = data.lstrip(b"\0")  # a log that was cut while a process wrote on begins with zeros
        if data[1::2][:2000].count(0) * 10 > 9 * len(data[1::2][:2000]):  # UTF-16, of either order
            return (data + b"\0" * (len(data) % 2)).decode("utf-16-le", errors="replace")
    if data.startswith(_BINARY) or (data[:4096].count(0) > len(data[:4096]) // 10 and not _is_text_with_gaps(data)):
        raise UnreadableLogError(
            "This is a binary file; send the text of a log: console output, CSV, JSON lines or a trainer state file."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _is_text_with_gaps(data: bytes) -> bool:
    """Whether the zeros stand in few runs between whole lines: a process wrote on in a file that was cut meanwhile."""
    bare = data.replace(b"\0", b"")[:8192]
    runs = sum(1 for run in re.finditer(rb"\0+", data[:65536]))
    controls = sum(bare.count(byte) for byte in range(1, 32) if byte not in b"\t\n\r\b\x1b\f")
    return runs * 20 < bare.count(b"\n") + 20 and controls * 100 < len(bare)


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, MAX_UNPACKED)
    except zlib.error as error:
        raise UnreadableLogError(f"This is a gzip file that cannot be unpacked: {error}.") from error
    if unpacker.unconsumed_tail:
        raise UnreadableLogError(f"The gzip file unpacks to more than {MAX_UNPACKED >> 20} MiB; thin the log first.")
    return text


def clean(text: Union[str, bytes]) -> str:
    """The text with uniform line ends and without a byte order mark, NULs and escape sequences."""
    if not isinstance(text, str):
        text = decode(bytes(text))
    text = text.lstrip("\ufeff\0").replace("\0", "").replace("\u00a0", " ")
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    if "[0m" in text:
        text = _MAIMED_ESCAPE.sub("", text)
    if "(" in text and _MAY_WRAP.search(text):
        text = _WRAPPED.sub(r"\1\2", text)
    return text.replace("\r\n", "\n") if "\r\n" in text else text


def split(text: str) -> List[Line]:
    """The lines that are not blank. Carriage returns and backspaces begin the line anew, with the same number.

    Markup around a pasted log (fences, the marks of a quoted mail) and bars that carry no values are left out.
    """
    redrawn = "\r" in text or "\x08" in text
    quoted = text.startswith(">") and text.count("\n>") * 10 >= text.count("\n") * 8
    lines: List[Line] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if quoted:
            line = _QUOTE.sub("", line, count=1)
        if redrawn and ("\r" in line or "\x08" in line):
            lines.extend(
                Line(number, state, True)
                for state in _REDRAW.split(line)
                if state and not state.isspace() and not is_bare_bar(state)
            )
        elif line and not line.isspace() and not is_bare_bar(line) and not is_fence(line):
            lines.append(Line(number, line))
    return lines


def is_fence(line: str) -> bool:
    """Whether a line is nothing but the mark of a code block, or dots for what was left out."""
    return ("```" in line or "~~~" in line or "..." in line) and _FENCE.fullmatch(line) is not None


def is_bare_bar(line: str) -> bool:
    """Whether a line is a progress bar without a value in it."""
    if "%|" in line:
        return _BARE_BAR.fullmatch(line) is not None
    return "/" in line and "[" in line and _BARE_KERAS_BAR.fullmatch(line) is not None
