"""How often the test half was looked at, and why: one line a look, in the repository, without a date."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import losswatch_server
from losswatch_server import monitor
from losswatch_server.monitor.vocabulary import DETECTION_VERSION

LOOKS = Path(__file__).parent / "looks.md"
_HEAD = """# Looks at the test half

`make bench-test-half WHY="…"` writes a line here. The test half is there to be published, not to be designed on: the
more often it is looked at between changes of the rules, the less its figures mean.

| look | version | rules | detection version | runs | false alarms | macro recall | cause first | why |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def rules_key(folder: Path | None = None) -> str:
    """A hash of the monitor's code: eight hex digits."""
    digest = hashlib.sha256()
    root = folder or Path(monitor.__path__[0])
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def share(value: Any) -> str:
    """A share as a percentage."""
    return "-" if value["share"] is None else f"{100 * value['share']:.1f} %"


def note(why: str, summary: dict[str, Any], file: Path = LOOKS) -> None:
    """Append one line. ValueError for an empty reason."""
    reason = " ".join(why.split()).replace("|", "/")
    if not reason:
        raise ValueError('say why the test half is looked at: make bench-test-half WHY="…"')
    text = file.read_text(encoding="utf-8") if file.is_file() else _HEAD
    number = 1 + sum(line.startswith("| ") and line[2].isdigit() for line in text.splitlines())
    cells = (
        number,
        losswatch_server.__version__,
        rules_key(),
        DETECTION_VERSION,
        summary["runs"],
        share(summary["false_alarm_rate"]),
        share(summary["recall_macro"]),
        share(summary["cause_at_1"]),
        reason,
    )
    file.write_text(text + "| " + " | ".join(map(str, cells)) + " |\n", encoding="utf-8")
