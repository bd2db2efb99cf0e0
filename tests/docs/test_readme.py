"""Every block of the README and of its companions does what the reader is told."""

from __future__ import annotations

import json
import re
import subprocess
from typing import get_type_hints

import pytest

from docs import parts
from docs.examples import alike, answer_of, blocks, run, without_chance
from losswatch_server.cli.commands import app

README = parts.README
CURL_OPTIONS = ("--data-binary",)
DOCUMENTS = [README, parts.ROOT / "clients" / "shell" / "README.md"]
TARGETS = set(re.findall(r"^([a-z-]+):", (parts.ROOT / "Makefile").read_text(), re.MULTILINE))
ALL = [(path, block) for path in DOCUMENTS for block in blocks(path)]
MAKE = [(path, block) for path, block in ALL if re.match(r"make ", block.text)]
RUN = [
    (path, block)
    for path, block in ALL
    if block.language in ("python", "bash", "sh") and (path, block) not in MAKE and "pip install" not in block.text
]


def named(pairs):
    return [pytest.param(path, block, id=f"{path.parent.name}-{block.id}") for path, block in pairs]


def test_every_block_says_what_language_it_is_in():
    assert [block.line for _, block in ALL if not block.language] == []


@pytest.mark.parametrize(("path", "block"), named(MAKE))
def test_every_make_command_is_a_target_that_make_can_run(path, block):
    for line in block.text.splitlines():
        words = line.split("#")[0].split()
        assert words[0] == "make", line
        assert set(words[1:]) <= TARGETS, line
        done = subprocess.run(
            ["make", "-n", *words[1:]], cwd=parts.ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


def test_every_option_of_the_service_that_is_named_exists():
    named_options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", README.read_text())) - set(CURL_OPTIONS)
    known = {option for command in app.registered_commands for option in options_of(command.callback)}
    assert named_options <= known


def options_of(function):
    """The long options that typer gives a command: those it declares, and the names of the rest."""
    for name, hint in get_type_hints(function, include_extras=True).items():
        declared = [d for extra in getattr(hint, "__metadata__", ()) for d in getattr(extra, "param_decls", None) or ()]
        yield from declared or [f"--{name.replace('_', '-')}"]


@pytest.mark.parametrize("path", [*DOCUMENTS, parts.ROOT / "CONTRIBUTING.md", parts.ROOT / "deploy" / "README.md"])
def test_every_make_command_named_in_a_sentence_is_a_target(path):
    assert set(re.findall(r"`make ([a-z-]+)`", path.read_text())) <= TARGETS


@pytest.mark.parametrize(("path", "block"), named(RUN))
def test_every_example_runs_as_it_stands(path, block, address, tmp_path):
    """As the reader would: in a shell or in Python, at the top of the repository, with the service's address put in."""
    run(block, address, tmp_path)


def test_the_training_loop_of_the_readme_is_told_to_stop(address, tmp_path):
    (loop,) = [block for block in blocks(README) if block.language == "python"]
    run(loop, address, tmp_path)
    report = json.loads(run_line(f"curl -sS {address}/v1/runs/first-run/report"))
    assert report["status"] == "critical"
    assert report["action"] == "stop"
    assert "diverging" in [finding["condition"] for finding in report["findings"]]
    assert 4 <= report["step"] <= 10


def run_line(line: str) -> str:
    return subprocess.run(["bash", "-euc", line], capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_json_in_the_readme_is_what_the_call_above_it_gets(address, tmp_path):
    call = next(block for block in blocks(README) if "/points" in block.text and block.language == "bash")
    shown = next(block for block in blocks(README) if block.language == "json")
    answer = json.loads(run_line(call.text.replace("http://127.0.0.1:8000", address).replace("keras-demo", "again")))
    expected = {**without_chance(answer), "run": "keras-demo"}
    assert alike(without_chance(json.loads(shown.text)), expected), "stale: make docs writes it anew"


def test_the_answer_in_the_readme_holds_what_the_text_promises():
    (shown,) = [answer_of(block.text) for block in blocks(README) if block.language == "json"]
    finding = shown["findings"][0]
    assert finding["condition"] == "diverging"
    assert finding["causes"][0]["cause"] == "learning_rate_too_high"
    assert finding["evidence"]["learning_rate_limit"] == pytest.approx(0.0069315, rel=0.05)


@pytest.mark.parametrize("name", ["detection", "performance", "conditions", "settings", "endpoints"])
def test_the_parts_written_by_machine_are_up_to_date(name):
    written = {
        "detection": lambda: parts.detection(parts.summary_of()),
        "performance": parts.performance,
        "conditions": parts.conditions,
        "settings": parts.settings,
        "endpoints": lambda: parts.endpoints(json.loads((parts.ROOT / "openapi.json").read_text())),
    }
    assert parts.part(README.read_text(), name) == written[name](), "stale: make docs writes it anew"


def test_the_catalogue_quotes_the_results_of_the_last_benchmark():
    assert parts.FIGURES.read_text() == parts.figures_json(parts.summary_of()), "stale: make docs writes it anew"


@pytest.mark.parametrize("path", [*DOCUMENTS, parts.ROOT / "CONTRIBUTING.md", parts.ROOT / "deploy" / "README.md"])
def test_every_link_to_a_file_leads_to_one(path):
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []
