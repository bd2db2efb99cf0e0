"""The small logs of formats/: each file's first line is JSON that says what the rest must be read as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FORMATS = Path(__file__).parent / "formats"
NAMES = sorted(path.stem for path in FORMATS.glob("*.txt"))


def sample(name: str) -> tuple[dict[str, Any], bytes]:
    """What is wanted, and the log."""
    first, _, rest = (FORMATS / f"{name}.txt").read_bytes().partition(b"\n")
    return json.loads(first), rest
