"""The examples of pasted-logs.md: what the page says is read is what is read."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from losswatch_logs import UnreadableLogError, read
from losswatch_server.runs.offline import doubt_sentence

PAGE = resources.files("losswatch_server.docs").joinpath("pasted-logs.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## ([^\n]+)\n\n```text\n(.+?)```\n\n(.+?)\n(?=\n## |\Z)", PAGE, re.MULTILINE | re.DOTALL)


def told(text: str) -> str:
    """What is read of a log, as the page says it."""
    try:
        log = read(text)
    except UnreadableLogError as refusal:
        return f"Refused: {refusal.detail}"
    lines = [f"- {sentence}" for sentence in log.read_as]
    lines += [f"- in doubt: {doubt_sentence(doubt)}" for doubt in log.doubts]
    steps = ", ".join(str(point.step) for point in log.points)
    lines.append(f"- steps {steps}; losses {', '.join(f'{point.loss:g}' for point in log.points)}")
    if log.context:
        lines.append(f"- of the job: {', '.join(f'`{name}` {value}' for name, value in log.context.items())}")
    return "\n".join(lines)


@pytest.mark.parametrize(("title", "text", "said"), EXAMPLES)
def test_a_pasted_log_is_read_as_the_page_says(title: str, text: str, said: str) -> None:
    assert told(text) == re.sub(r"\n +|\n(?!- )", " ", said), title


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) >= 8
