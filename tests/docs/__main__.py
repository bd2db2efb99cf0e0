"""``make docs``: write the documentation's pictures, figures, tables and the example answer anew."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pictures.__main__ import draw_all
from docs import parts
from docs.examples import answer_of, blocks, run
from docs.service import running_service


def main() -> None:
    """Everything that is written by machine; with ``--tables`` only what needs no service."""
    if "--tables" in sys.argv[1:]:
        write_tables()
        return
    parts.FIGURES.write_text(parts.figures_json(parts.summary_of()), encoding="utf-8")
    draw_all()
    write_tables()
    answer = example_answer()
    for path, shown in ((parts.README, parts.in_short(answer)), (parts.PAGES / "report.md", answer)):
        write(path, "answer", f"```json\n{parts.folded_json(shown)}\n```\n")


def write_tables() -> None:
    """The tables and figures, which need no service."""
    for path, contents in parts.WRITTEN.items():
        for name, content in contents.items():
            write(path, name, content())


def write(path: Path, name: str, content: str) -> None:
    """One part of one document."""
    path.write_text(parts.with_part(path.read_text(encoding="utf-8"), name, content), encoding="utf-8")


def example_answer() -> Mapping[str, Any]:
    """What the README's curl call gets."""
    call = next(block for block in blocks(parts.README) if "/points" in block.text and block.language == "bash")
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder) / "data") as address:
        answer: Mapping[str, Any] = answer_of(run(call, address, Path(folder)))
    return answer


if __name__ == "__main__":
    main()
