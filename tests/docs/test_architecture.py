"""The shape of the code, and that nothing in it is undocumented."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from docs.parts import PAGES, ROOT
from losswatch_server.cli.commands import app
from losswatch_server.settings import Settings

LONGEST = 400
FORBIDDEN = {
    "a path in somebody's home folder": r"(?<![\w.~/])/(?:" + r"home|Users)/(?!(?:you|me|user)\b)\w+",
    "a promise in place of the thing": r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}


CALLED_BY_A_LIBRARY = {
    "collect",
    "field_title_should_be_set",
    "format_options",
    "get_route_handler",
    "handle_async_request",
    "on_headers_complete",
    "send_400_response",
}
STILL_UNUSED = {"expected_at", "mad_scale"}
"""Of the monitor, and named by its tests alone. It only shrinks."""


def tracked() -> list[Path]:
    """Every text file under version control that exists."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def test_imports_run_one_way():
    program = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout[-3000:]


def test_no_module_is_longer_than_a_person_reads_at_once():
    lengths = {path.relative_to(ROOT): path.read_text().count("\n") for path in tracked() if path.suffix == ".py"}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.slow
def test_nothing_is_defined_that_the_server_never_names_again():
    """Functions and classes without a decorator, which hands them to somebody."""
    files = list((ROOT / "service" / "losswatch_server").rglob("*.py"))
    named = Counter(word for path in files for word in re.findall(r"\w+", path.read_text()))
    defined = {
        node.name
        for path in files
        if path.parent.name != "versions"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.decorator_list
    }
    unused = {name for name in defined if named[name] == 1 and not name.startswith("__")}
    assert unused - CALLED_BY_A_LIBRARY <= STILL_UNUSED


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = {path.relative_to(ROOT): match[0] for path in tracked() if (match := pattern.search(path.read_text()))}
    assert found == {}


def test_every_setting_is_documented():
    text = (PAGES / "configuration.md").read_text()
    assert [row.variable for row in Settings.table() if f"`{row.variable}`" not in text] == []


def test_every_command_is_documented():
    text = (PAGES / "configuration.md").read_text()
    names = [command.name or command.callback.__name__ for command in app.registered_commands if not command.hidden]
    names += [group.typer_instance.info.name for group in app.registered_groups]
    assert len(names) > len(app.registered_groups) > 0
    assert [name for name in names if f"`losswatch-server {name}" not in text] == []


def test_every_endpoint_is_documented():
    text = (PAGES / "http-api.md").read_text()
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"]
    calls = [f"`{method.upper()} {path}`" for path, item in paths.items() for method in item if method != "parameters"]
    assert calls
    assert [call for call in calls if call not in text] == []


def test_every_make_target_says_what_it_does():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):(.*)$", makefile, re.MULTILINE)
    assert [name for name, rest in targets if "## " not in rest] == []
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    assert phony == {name for name, _ in targets}


def test_every_package_says_what_it_is():
    for path in (ROOT / "service").rglob("*/__init__.py"):
        if path.parent.name not in ("versions",) and path.stat().st_size:
            assert path.read_text().startswith('"""'), path
