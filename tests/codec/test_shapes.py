"""What is learned of a class is learned before there are threads: at its first use by two at once it would crash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import losswatch_server

SERVICE = Path(losswatch_server.__file__).parent
CODEC = SERVICE / "codec"
ALL_AT_ONCE = """
import sys, threading
from losswatch_server.codec.contexts import context_of_text, context_text
from losswatch_server.codec.findings import finding_from_text
from losswatch_server.codec.damage import DamagedCellError

sys.setswitchinterval(1e-6)
begin = threading.Barrier(16)

def read():
    begin.wait()
    context_of_text('{"learning_rate": 0.1, "facts": {"parameters": 3}}')
    try:
        finding_from_text('{"id": 1}')
    except DamagedCellError:
        pass

threads = [threading.Thread(target=read) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.mark.slow
def test_threads_that_read_the_first_context_and_finding_of_a_process_at_the_same_time_all_read_it() -> None:
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", ALL_AT_ONCE], capture_output=True, text=True, timeout=120, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")


def test_classes_are_learned_by_msgspec_when_a_module_is_loaded() -> None:
    """A decoder of a class is made in a module, never in a function; a value is converted in one place alone."""
    lines = {
        f"{path.relative_to(SERVICE)}: {line.strip()}"
        for path in SERVICE.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"^\s+.*msgspec\.(?:convert|json\.(?:decode|Decoder))\(", line)
    }
    assert lines == {
        "codec/shapes.py: msgspec.json.Decoder(kind)",
        "codec/shapes.py: msgspec.convert(value, kind)",
    }
    made = re.compile(r"^[ \t]+.*\bshape_check\(", re.MULTILINE)
    called_in_a_function = [path.name for path in SERVICE.rglob("*.py") if made.search(path.read_text())]
    assert called_in_a_function == []
