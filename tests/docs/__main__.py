"""``make docs``: write the documentation's pictures, figures, tables and the example answer anew."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.pictures.__main__ import draw_all
from docs import parts
from docs.examples import answer_of, blocks, run
from docs.service import running_service


def main() -> None:
    """Everything that is written by machine."""
    summary = parts.summary_of()
    parts.FIGURES.write_text(parts.figures_json(summary), encoding="utf-8")
    draw_all()
    openapi = json.loads((parts.ROOT / "openapi.json").read_text(encoding="utf-8"))
    text = parts.README.read_text(encoding="utf-8")
    for name, content in {
        "detection": parts.detection(summary),
        "performance": parts.performance(),
        "conditions": parts.conditions(),
        "settings": parts.settings(),
        "endpoints": parts.endpoints(openapi),
        "answer": example_answer(),
    }.items():
        text = parts.with_part(text, name, content)
    parts.README.write_text(text, encoding="utf-8")


def example_answer() -> str:
    """What the README's first curl call gets, as a fenced block."""
    call = next(block for block in blocks(parts.README) if "/points" in block.text and block.language == "bash")
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder) / "data") as address:
        answer = answer_of(run(call, address, Path(folder)))
    return f"```json\n{parts.folded_json(answer)}\n```\n"


if __name__ == "__main__":
    main()
