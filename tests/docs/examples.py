"""The code blocks of a markdown file, and running them as a reader would."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.parts import ROOT

CLIENT_SAYS = "losswatch: "
"""How the client's own notices begin: a headline for the person at the terminal."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text and the line on which it begins."""

    language: str
    text: str
    line: int

    @property
    def id(self) -> str:
        """For the names of tests."""
        return f"{self.language or 'plain'}-line-{self.line}"


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a markdown file."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def run(block: Block, address: str, folder: Path) -> str:
    """What a block prints, run against the service at ``address``; AssertionError when it fails.

    Nothing leaves the machine: what would go to Slack goes to a name that never resolves.
    """
    text = block.text.replace("http://127.0.0.1:8000", address).replace("hooks.slack.com", "hooks.slack.invalid")
    environment = {**os.environ, "LOSSWATCH_URL": address, "LOSSWATCH_SPOOL_DIR": str(folder), "TMPDIR": str(folder)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = {
        "python": [sys.executable, "-W", "error", "-c"],
        "javascript": ["node", "--input-type=module", "--eval"],
        "r": ["Rscript", "-e"],
    }.get(block.language, ["bash", "-euc"])
    done = subprocess.run([*command, text], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    noise = [line for line in done.stderr.splitlines() if not line.startswith(CLIENT_SAYS)]
    assert not noise, done.stderr
    return done.stdout


def without_chance(answer: Any) -> Any:
    """An answer without what is different each time, ids, or with each version of the rules."""
    if isinstance(answer, dict):
        left_out = ("uid", "id", "detection_version")
        return {key: without_chance(value) for key, value in answer.items() if key not in left_out}
    return [without_chance(item) for item in answer] if isinstance(answer, list) else answer


def alike(one: Any, other: Any) -> bool:
    """Whether two answers say the same: numbers may differ in the third digit, from machine to machine."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=5e-3)
    return bool(one == other)


def answer_of(output: str) -> Any:
    """The JSON that a block printed."""
    return json.loads(output)
