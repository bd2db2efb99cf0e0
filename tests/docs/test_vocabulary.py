"""One word for one thing: the table of words in CONTRIBUTING.md, held against the documentation and the code."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.parts import PAGES, ROOT
from losswatch_server import catalogue
from losswatch_server.cli.commands import app
from losswatch_server.settings import Settings

SERVER = ROOT / "service" / "losswatch_server"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = CONTRIBUTING.split("## Words")[1].split("\n## ")[0]
TABLE = re.findall(r"^\| ([^|]+) \| ([^|]+) \|([^|]*)\|$", SECTION, re.MULTILINE)[2:]
WORDS = [word for _, _, retired in TABLE for word in re.findall(r'"([^"]+)"', retired)]
NAMES = {name for _, _, retired in TABLE for name in re.findall(r"`(\w+)`", retired)}

STILL_NAMED = {"Shape"}
"""Names of the table that still stand in the server. It only shrinks: rename one, and take it out."""

DIFFERENT = {"Answer", "Fault", "Reading", "Runs"}
"""Schemas with the name of a type that they do not describe."""

STILL_TWICE = DIFFERENT | {"Entry"}
"""Names that two classes have which are not the same thing. It only shrinks."""

WORDED_BY_THE_MONITOR = re.compile(r"^## (?:The rule, exactly|How Losswatch recognises it)\n.*?(?=^## )", re.M | re.S)
"""The sections of the catalogue that quote the rules and the rows of evidence."""

DESCRIBED = SERVER / "api" / "description"
"""The schemas of the interface's description, which have the name of the type that they describe."""


def documents() -> dict[str, str]:
    """Every text that a user reads, by where it stands; without code blocks, and without what quotes the table."""
    words = CONTRIBUTING.split("## Words")
    texts = {"CONTRIBUTING.md": words[0] + words[1].split("\n## ", 1)[1]}
    files = [*ROOT.glob("*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("clients/*/README.md"), *PAGES.glob("*.md")]
    texts |= {str(f.relative_to(ROOT)): f.read_text("utf-8") for f in files if f.name != "CONTRIBUTING.md"}
    for page in (*catalogue.conditions(), *catalogue.causes()):
        texts[page.url] = WORDED_BY_THE_MONITOR.sub("", page.markdown)
    texts["openapi.json"] = "\n".join(described(json.loads((ROOT / "openapi.json").read_text("utf-8"))))
    texts["settings"] = "\n".join(row.help for row in Settings.table())
    texts["command line"] = "\n".join(helps(typer.main.get_command(app)))
    return {where: re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S) for where, text in texts.items()}


def described(value: Any) -> Iterator[str]:
    """The summaries and descriptions in openapi.json; examples are an answer's words, which the rules choose."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in ("summary", "description", "title") and isinstance(item, str):
                yield item
            elif name not in ("example", "examples"):
                yield from described(item)
    elif isinstance(value, list):
        for item in value:
            yield from described(item)


def helps(command: Any) -> Iterator[str]:
    """The help of a command, of its options, and of the commands below it."""
    yield command.help or ""
    yield from (getattr(option, "help", None) or "" for option in command.params)
    for below in getattr(command, "commands", {}).values():
        yield from helps(below)


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SERVER.rglob("*.py")}


def names_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield name


def test_the_table_has_a_meaning_for_every_word():
    assert len(TABLE) > 15
    assert len(WORDS) > 8
    assert len(NAMES) > 8
    said = [word for say, _, _ in TABLE for word in say.split(", ")]
    assert len(said) == len(set(said)), "one row for one word"
    assert not set(said) & set(WORDS)


@pytest.mark.parametrize("word", WORDS)
def test_no_text_for_users_has_the_word(word):
    pattern = re.compile(rf"\b{re.escape(word)}(?:s|ed|ing)?\b", re.IGNORECASE)
    assert {where: found[0] for where, text in documents().items() if (found := pattern.search(text))} == {}


@pytest.mark.slow
def test_no_name_that_was_given_up_comes_back():
    standing = {name: path for path, tree in modules().items() for name in names_of(tree) if name in NAMES}
    assert {name: str(path) for name, path in standing.items() if name not in STILL_NAMED} == {}
    assert STILL_NAMED <= NAMES


def test_no_two_classes_have_the_same_name():
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path)
    twice = {name: places for name, places in found.items() if len(places) > 1 and not is_described(name, places)}
    new = {name: [str(place.relative_to(SERVER)) for place in places] for name, places in twice.items()}
    assert {name: places for name, places in new.items() if name not in STILL_TWICE} == {}


def is_described(name: str, places: list[Path]) -> bool:
    """Whether one of two classes is the schema of the other; those that only look so are in ``DIFFERENT``."""
    return name not in DIFFERENT and len(places) == 2 and sum(DESCRIBED in place.parents for place in places) == 1
