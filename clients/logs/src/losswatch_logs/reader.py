"""`read`: find out what kind of log a text is, and read it."""

from __future__ import annotations

from typing import Optional, Sequence, Union

from losswatch_logs import json_logs, lines, tabular
from losswatch_logs.assemble import assemble
from losswatch_logs.console import read_console
from losswatch_logs.dict_lines import read_dicts
from losswatch_logs.keras_console import read_keras
from losswatch_logs.lines import Line
from losswatch_logs.result import ReadLog, UnreadableLogError
from losswatch_logs.table import Table

READABLE = (
    "Readable are console output (Keras, PyTorch, Hugging Face, Lightning, nanoGPT, mmengine, detectron2), "
    "CSV or TSV with a header line, JSON lines, JSON columns, a trainer_state.json, 'key: value' lines, "
    "and a bare list of numbers."
)


def read(text: Union[str, bytes], *, name: Optional[str] = None) -> ReadLog:
    """The points of a training log, whatever framework wrote it, in time linear in its length.

    ``text`` is the whole log; ``name`` (a file's name) is used in the error alone: the kind of log is told from the
    text. Raises UnreadableLogError, whose ``detail`` says what could be read, and nothing else.
    """
    clean = lines.clean(text)
    if not clean.strip("\b \t\r\n\v\f"):
        raise UnreadableLogError(f"{_called(name)} is empty. {READABLE}")
    total = clean.count("\n") + (not clean.endswith("\n"))
    start = clean.lstrip()[:1]
    if start in "[{":
        found, document = json_logs.parse(clean)
        if found:
            table = json_logs.read_document(document)
            if table is None:
                raise UnreadableLogError(
                    f"{_called(name)} is JSON, but nothing in it is named like a loss: send "
                    '{"points": [{"step": 1, "loss": 0.7}, …]}, {"loss": [0.7, 0.6, …]}, or one object per line.'
                )
            return assemble(table, total)
    found_lines = lines.split(clean)
    table = _read_lines(found_lines) if found_lines else None
    if table is None:
        raise UnreadableLogError(f"No training log was found in {_called(name, start=False)}. {READABLE}")
    return assemble(table, total)


def _read_lines(found: Sequence[Line]) -> Optional[Table]:
    if found[0].text.lstrip().startswith("{"):
        table = json_logs.read_lines(found)
        if table is not None and len(table.rows) * 2 >= len(found):
            return table
    readers = (tabular.read_bare, tabular.read_table, read_keras, read_dicts, read_console)
    for reader in readers:
        table = reader(found)
        if table is not None:
            return table
    return None


def _called(name: Optional[str], *, start: bool = True) -> str:
    if name:
        return repr(name[:100])
    return "The text" if start else "the text"
