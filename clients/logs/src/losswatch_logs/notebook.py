"""Jupyter notebooks: the text that their cells printed, in order."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, List, Mapping, Optional

_ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL | re.IGNORECASE)
_CELL = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,400}>")


def is_notebook(document: Any) -> bool:
    """Whether a JSON document is a notebook."""
    return isinstance(document, dict) and isinstance(document.get("cells"), list) and "nbformat" in document


def outputs(document: Mapping[str, Any]) -> str:
    """What the cells of a notebook printed; tables that they showed as HTML become lines of tabs."""
    texts: List[str] = []
    for each in document["cells"]:
        for output in (each.get("outputs") or []) if isinstance(each, dict) else []:
            text = _text(output) if isinstance(output, dict) else None
            if text:
                texts.append(text if text.endswith("\n") else text + "\n")
    return "".join(texts)


def _text(output: Mapping[str, Any]) -> Optional[str]:
    if "text" in output:
        return _joined(output["text"])
    data = output.get("data")
    if not isinstance(data, dict):
        return None
    html = _joined(data.get("text/html"))
    if html and "<table" in html:
        return table_lines(html)
    return _joined(data.get("text/plain"))


def _joined(text: Any) -> str:
    if isinstance(text, list):
        return "".join(part for part in text if isinstance(part, str))
    return text if isinstance(text, str) else ""


def table_lines(html: str) -> str:
    """The rows of an HTML table as lines of cells with tabs between."""
    rows = (_CELL.findall(row) for row in _ROW.findall(html))
    return "".join("\t".join(unescape(_TAG.sub("", cell)).strip() for cell in row) + "\n" for row in rows if row)
