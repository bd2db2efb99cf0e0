"""The two halves of the zoo, in units that are trained and kept together: one family at one seed.

The halves share the machinery and nothing else: other tasks, architectures, optimisers, schedules and strengths.
The develop half also has the perceptrons of ``zoo`` and the older models in PyTorch, on which rules were tuned before.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.programs.runs import runs_of
from benchmarks.detection.zoo import runs_on
from benchmarks.detection.zoo.bases import BASES

HERE = Path(__file__).parent
HALVES = ("develop", "test")
FORMAT = b"1"
"""Raised when a kept file is written in another way."""
PERCEPTRONS, PROGRAM, GAMES, TORCH = "perceptrons", "program", "games", "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One family at one seed; ``kind`` says which machinery trains it."""

    half: str
    kind: str
    name: str
    seed: int

    @property
    def stem(self) -> str:
        """The beginning of its file's name."""
        return f"{self.kind}-{self.name}-{self.seed}"

    def runs(self, left_out: Counter[str]) -> Iterator[LabelledRun]:
        """Train everything of it; what is left out is counted by reason."""
        if self.kind == PERCEPTRONS:
            return runs_on(self.name, self.seed, left_out)
        if self.kind == TORCH:
            from benchmarks.detection.torch_zoo import runs_on as torch_runs_on

            return torch_runs_on(self.half, self.name, self.seed, left_out)
        package = importlib.import_module(f"benchmarks.detection.{self.half}_half")
        if self.kind == GAMES:
            games: Iterator[LabelledRun] = package.games(self.seed)
            return games
        program = next(p for p in package.PROGRAMS if p.__name__ == self.name)
        return runs_of(program, self.seed, self.half, left_out)

    def key(self) -> str:
        """A hash of the code that decides its runs: twelve hex digits."""
        return code_key(self.half, self.kind, self.name)


@cache
def code_key(half: str, kind: str, name: str) -> str:
    """See ``Unit.key``."""
    files = sorted((HERE / "zoo").glob("*.py"))
    if kind == TORCH:
        files += [f for f in sorted(HERE.glob("torch_*.py")) if half == "test" or f.name != "torch_test_half.py"]
    elif kind != PERCEPTRONS:
        files += sorted((HERE / "programs").glob("*.py"))
        package = importlib.import_module(f"benchmarks.detection.{half}_half")
        if kind == GAMES:
            files += sorted((HERE / f"{half}_half").glob("*.py"))
        else:
            program = next(p for p in package.PROGRAMS if p.__name__ == name)
            files += sorted({Path(inspect.getfile(c)) for c in program.__mro__ if "_half" in c.__module__})
    digest = hashlib.sha256(FORMAT)
    for file in files:
        digest.update(file.name.encode() + meaning(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:12]


def meaning(code: str) -> str:
    """What of a module decides what it does: its syntax tree without imports and docstrings.

    So a comment, a line break or another place of an imported module does not train everything anew.
    """
    tree = ast.parse(code)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [inner for inner in body if not said_only(inner)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def said_only(node: ast.AST) -> bool:
    """An import, or a string that stands alone."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return text or isinstance(node, ast.Import | ast.ImportFrom)


def units(half: str, size: int, *, torch: bool = True) -> list[Unit]:
    """Every unit of a half; ``size`` is how many seeds each family of programs has."""
    package = importlib.import_module(f"benchmarks.detection.{half}_half")
    names = [(PROGRAM, program.__name__) for program in package.PROGRAMS] + [(GAMES, "games")]
    if half == "develop":
        names += [(PERCEPTRONS, base) for base in BASES]
    found = [Unit(half=half, kind=kind, name=name, seed=seed) for seed in range(size) for kind, name in names]
    if torch:
        found += [Unit(half=half, kind=TORCH, name=name, seed=0) for name in TORCH_BASES[half]]
    return found


TORCH_BASES = {
    "develop": ("mlp-sgd", "mlp-adam", "table-adam", "cnn-sgd", "cnn-adam", "transformer-adam", "gru-adam", "rnn-sgd"),
    "test": ("lstm-nesterov", "pointer-adam", "counting-adam", "residual-rmsprop"),
}
"""Named here and not read from ``torch_zoo``, which cannot be imported where torch is not installed."""
