"""Where the figures stand that the documentation quotes: ``results.json`` for programs, ``results.md`` for people.

Each benchmark (detection, calibration, repair) writes its own part and leaves the others as they are.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"
TABLES = Path(__file__).parent / "results.md"


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The two with nested mappings of names merged; what ``more`` says stands."""
    out = dict(base)
    for name, value in more.items():
        held = out.get(name)
        nested = isinstance(held, dict) and isinstance(value, dict) and "of" not in value and "interval" not in value
        out[name] = merged(held, value) if nested else value
    return out


def publish(title: str, summary: dict[str, Any], table: str) -> None:
    """Write one benchmark's figures and its table under ``## title``."""
    old = json.loads(RESULTS.read_text())["summary"] if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps({"summary": merged(old, summary)}, indent=1, sort_keys=True) + "\n")
    text = TABLES.read_text() if TABLES.is_file() else ""
    parts = dict(re.findall(r"^## (.+?)\n\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)) | {title: table + "\n"}
    TABLES.write_text("".join(f"## {name}\n\n{parts[name].rstrip()}\n\n" for name in sorted(parts)).rstrip() + "\n")
