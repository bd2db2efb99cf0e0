"""What can be changed about the monitor: numeric parameters of its rules, and rows of its evidence.

Both are found, not listed: a *rule* is a dataclass instance with a ``condition`` and a ``step``, held in a module-level
collection of the monitor; a row of *evidence* is a mapping from causes to numbers, wherever in such a collection.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import losswatch_server.monitor as package
from losswatch_server.monitor.diagnosis import engine
from losswatch_server.monitor.diagnosis.evidence.row import Evidence, Grade
from losswatch_server.monitor.vocabulary import CauseName

_CAUSES = frozenset(cause.value for cause in CauseName)
PRIORS_READ = "PRIORS"
"""Read wherever causes are ranked."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    ``words`` occur in the tests that should notice it, which are run first; ``read`` is the number or the row itself
    (``reach``): a test that reads it nowhere cannot notice. ``file`` is where it is written.
    """

    name: str
    words: tuple[str, ...]
    read: str
    file: Path
    _make: Callable[[], Callable[[], None]]

    @contextmanager
    def made(self) -> Iterator[None]:
        """The change, made and taken back."""
        undo = self._make()
        try:
            yield
        finally:
            undo()


def mutants() -> list[Mutant]:
    """Every change, in a fixed order."""
    return [*_of_rules(), *_of_evidence()]


def _modules() -> Iterator[ModuleType]:
    """Every module of the monitor, by name."""
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    yield from (importlib.import_module(info.name) for info in sorted(found, key=lambda info: info.name))


# --- rules ------------------------------------------------------------------------------------------------------------


def rules() -> list[Any]:
    """Every registered rule, once."""
    held = (item for module in _modules() for value in vars(module).values() for item in _items(value))
    return list({id(item): item for item in held if _is_rule(item)}.values())


def _items(value: object) -> Iterator[object]:
    if isinstance(value, tuple | list):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.values()


def _is_rule(item: object) -> bool:
    named = hasattr(item, "condition") and callable(getattr(item, "step", None))
    return named and is_dataclass(item) and not isinstance(item, type)


def parameters() -> dict[tuple[type, str], list[Any]]:
    """Every parameter, by the class that defines it and its name, with the rules that have it."""
    sharing: dict[tuple[type, str], list[Any]] = {}
    for rule in rules():
        for parameter in fields(rule):
            owner = next(base for base in reversed(type(rule).__mro__) if parameter.name in _own_fields(base))
            sharing.setdefault((owner, parameter.name), []).append(rule)
    return sharing


def _of_rules() -> Iterator[Mutant]:
    """Rules that inherit a parameter share it (one table decides all flat conditions): it is changed in all at once."""
    for (owner, name), of in parameters().items():
        title = owner.__name__
        value = getattr(of[0], name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        half = value // 2 if isinstance(value, int) else value / 2
        words = (title, *(f"{rule.condition}" for rule in of))
        for changed in (half, 2 * value):
            if changed != value:
                change, of_class = f"{title}.{name}: {value:g} -> {changed:g}", _file(sys.modules[owner.__module__])
                yield Mutant(change, words, f"{title}.{name}", of_class, _parameter(of, name, changed))


def _own_fields(base: type) -> set[str]:
    return set(vars(base).get("__annotations__", {})) if is_dataclass(base) else set()


def _parameter(of: list[Any], name: str, changed: float) -> Callable[[], Callable[[], None]]:
    def make() -> Callable[[], None]:
        before = getattr(of[0], name)
        # tests make rules of their own too: a default that was the same value changes along
        defaults = [type(rule).__init__.__kwdefaults__ or {} for rule in of]
        shared = [known for known in defaults if known.get(name) == before]

        def put(value: float) -> None:
            for rule in of:
                object.__setattr__(rule, name, value)
            for known in shared:
                known[name] = value

        put(changed)
        return lambda: put(before)

    return make


# --- evidence ---------------------------------------------------------------------------------------------------------


def _file(module: ModuleType) -> Path:
    return Path(str(module.__file__))


def _files_of_rows() -> dict[str, Path]:
    """Where each row of evidence is written, by its name: the tuple of its module holds it."""
    found: dict[str, Path] = {}
    for module in _modules():
        if not hasattr(module, "__path__") and ".evidence." in module.__name__:
            rows = (row for value in vars(module).values() if isinstance(value, tuple) for row in value)
            found |= {row.name: _file(module) for row in rows if isinstance(row, Evidence)}
    return found


def _of_evidence() -> Iterator[Mutant]:
    seen: set[int] = set()
    files = _files_of_rows()
    for module in _modules():
        for variable, value in list(vars(module).items()):
            if not isinstance(value, ModuleType | type) and not variable.startswith("__"):
                for mutant in _rows(value, module.__name__.rsplit(".", 1)[1] + "." + variable, seen):
                    yield replace(mutant, file=files.get(mutant.words[0], _file(module)))


def _rows(value: object, path: str, seen: set[int]) -> Iterator[Mutant]:
    if id(value) in seen or isinstance(value, str | bytes):
        return
    if isinstance(value, Mapping):
        seen.add(id(value))
        if _is_row(value):
            name = path.rsplit("[", 1)[-1].split("]")[0].strip("'")
            read = PRIORS_READ if ".PRIORS" in path else name
            yield Mutant(f"{path}: dropped", (name,), read, Path(), _dropped(value, path))
            return
        for key, inner in value.items():
            yield from _rows(inner, f"{path}[{str(key)!r}]", seen)
    elif isinstance(value, tuple | list):
        for place, inner in enumerate(value):
            yield from _rows(inner, f"{path}[{getattr(inner, 'name', place)!r}]", seen)
    elif is_dataclass(value) and not isinstance(value, type):
        seen.add(id(value))
        for part in fields(value):
            yield from _rows(getattr(value, part.name, None), f"{path}.{part.name}", seen)


def _is_row(value: Mapping[Any, Any]) -> bool:
    numbers = all(isinstance(weight, int | float | Grade) and not isinstance(weight, bool) for weight in value.values())
    return bool(value) and numbers and all(isinstance(key, str) and key in _CAUSES for key in value)


def _dropped(row: Mapping[Any, Any], path: str) -> Callable[[], Callable[[], None]]:
    def make() -> Callable[[], None]:
        if not isinstance(row, MutableMapping):
            raise TypeError(f"{path} is a {type(row).__name__}, which cannot be emptied")
        before, ranked = dict(row), dict(engine.ABOUT)
        row.clear()
        engine.ABOUT.update(engine.about_each_cause())

        def undo() -> None:
            row.update(before)
            engine.ABOUT.update(ranked)

        return undo

    return make
