"""Reading a Containerfile, so that a test can do in a plain folder what an image build would do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """The instructions of one ``FROM``, in order, as (word, rest of the line)."""

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        """The rests of all instructions that begin with this word."""
        return [rest for found, rest in self.instructions if found == word]

    def command(self, word: str) -> list[str]:
        """The exec form (a JSON list) that an ENTRYPOINT, CMD or HEALTHCHECK gives."""
        (rest,) = self.of(word)
        command: list[str] = json.loads(rest[rest.index("[") :])
        return command


def read(path: Path) -> list[Stage]:
    """The stages of a Containerfile; comments are dropped and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stages.append(Stage(name=rest.split(" AS ")[1] if " AS " in rest else ""))
        else:
            stages[-1].instructions.append((word, re.sub(r"\s+", " ", rest)))
    return stages
