"""Every block of the README, of the documentation and of their companions does what the reader is told."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess

import pytest
import typer

from docs import parts
from docs.examples import alike, answer_of, blocks, run, without_chance
from losswatch.cli.arguments import parser
from losswatch_server.cli.commands import app

README = parts.README
REPORT = parts.PAGES / "report.md"
CLIENTS = ("shell", "r", "javascript", "julia")
OF_CLIENTS = [*(f"{client}/README.md" for client in CLIENTS), "agents/losswatch/SKILL.md"]
RUNTIMES = {"r": "Rscript", "javascript": "node"}
DOCUMENTS = [README, *sorted(parts.PAGES.glob("*.md")), *(parts.ROOT / "clients" / place for place in OF_CLIENTS)]
ALL_PROSE = [
    *DOCUMENTS,
    parts.ROOT / "CONTRIBUTING.md",
    parts.ROOT / "CHANGELOG.md",
    parts.ROOT / "deploy" / "README.md",
]
LONGEST_README = 140
"""Lines: a screen and a half, as GitHub renders them."""
OF_OTHER_PROGRAMS = {
    "--clean",
    "--data-binary",
    "--dbname",
    "--detach",
    "--file",
    "--format",
    "--if-exists",
    "--no-deps",
    "--strict",
    "--tag",
}
"""Options of curl, podman and docker, mypy, pg_dump and pg_restore."""
TARGETS = set(re.findall(r"^([a-z-]+):", (parts.ROOT / "Makefile").read_text(), re.MULTILINE))
ALL = [(path, block) for path in DOCUMENTS for block in blocks(path)]
MAKE = [(path, block) for path, block in ALL if re.match(r"make ", block.text)]
RUN = [
    (path, block)
    for path, block in ALL
    if block.language in ("python", "bash", "sh", *RUNTIMES)
    and (path, block) not in MAKE
    and "pip install" not in block.text
]


def named(pairs):
    return [pytest.param(path, block, id=f"{path.parent.name}-{path.stem}-{block.id}") for path, block in pairs]


every_document = pytest.mark.parametrize("path", ALL_PROSE, ids=lambda path: f"{path.parent.name}-{path.stem}")


def test_the_readme_is_a_screen_and_a_half():
    assert README.read_text().count("\n") <= LONGEST_README


def test_every_block_says_what_language_it_is_in():
    assert [(path.name, block.line) for path, block in ALL if not block.language] == []


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


@every_document
def test_every_option_of_the_service_that_is_named_exists(path):
    text = re.sub(r"^```text\n.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    named_options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text)) - OF_OTHER_PROGRAMS
    assert named_options - {"--help"} <= {*options_of(typer.main.get_command(app)), *options_of_the_client()}


def options_of(command):
    """The options of a command and of the commands below it."""
    yield from (option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts))
    for below in getattr(command, "commands", {}).values():
        yield from options_of(below)


def options_of_the_client():
    """The options of ``losswatch watch``, ``import`` and ``run``."""
    commands = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    for below in commands.choices.values():
        yield from (option for action in below._actions for option in action.option_strings)


@every_document
def test_every_make_command_named_in_a_sentence_is_a_target(path):
    assert set(re.findall(r"`make ([a-z-]+)[` ]", path.read_text())) <= TARGETS


@every_document
def test_every_path_that_pip_shall_install_is_a_distribution(path):
    lines = re.findall(r"pip install (.+)", path.read_text())
    for place in [place for line in lines for place in re.findall(r"(?:subdirectory=|\s|^)(\.?/?clients/\w+)", line)]:
        assert (parts.ROOT / place / "pyproject.toml").is_file(), place


@pytest.mark.parametrize("path", [README, parts.PAGES / "getting-started.md"], ids=lambda path: path.stem)
def test_the_client_is_installed_before_it_is_imported(path):
    text = path.read_text()
    assert 0 < text.index("pip install ./clients/python") < text.index("import losswatch")


@pytest.mark.slow
@pytest.mark.parametrize(("path", "block"), named(RUN))
def test_every_example_runs_as_it_stands(path, block, address, tmp_path):
    """As the reader would, at the top of the repository, with the service's address put in."""
    if block.language in RUNTIMES and shutil.which(RUNTIMES[block.language]) is None:
        pytest.skip(f"{RUNTIMES[block.language]} is not installed")
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


def answers_of_the_example(address, path, name):
    """What the document shows, and what the call above it gets."""
    call = next(block for block in blocks(path) if "/points" in block.text and block.language == "bash")
    shown = next(block for block in blocks(path) if block.language == "json")
    answer = json.loads(run_line(call.text.replace("http://127.0.0.1:8000", address).replace("keras-demo", name)))
    return json.loads(shown.text), {**answer, "run": "keras-demo"}


def test_the_report_in_the_documentation_is_what_the_call_above_it_gets(address):
    shown, answer = answers_of_the_example(address, REPORT, "again")
    assert alike(without_chance(shown), without_chance(answer)), "stale: make docs writes it anew"


def test_the_lines_in_the_readme_are_those_of_the_report_that_matter_most(address):
    shown, answer = answers_of_the_example(address, README, "once-more")
    assert alike(shown, parts.in_short(answer)), "stale: make docs writes it anew"


def test_the_report_in_the_documentation_holds_what_the_text_promises():
    (shown,) = [answer_of(block.text) for block in blocks(REPORT) if block.language == "json"]
    finding = shown["findings"][0]
    assert finding["condition"] == "diverging"
    assert finding["causes"][0]["cause"] == "learning_rate_too_high"
    assert finding["evidence"]["learning_rate_limit"] == pytest.approx(0.0069315, rel=0.05)


def test_every_field_of_the_report_is_explained():
    text = REPORT.read_text()
    (shown,) = [answer_of(block.text) for block in blocks(REPORT) if block.language == "json"]
    explained = set(re.findall(r"`(\w+)`", text))
    own = {"run", "project", "uid", "step", "points", "findings", "stale"}  # say what they are
    of_finding = {"id", "condition", "series", "attempt", "episode", "severity", "last_step", "summary"}
    assert set(shown) - own <= explained
    assert set(shown["findings"][0]) - of_finding <= explained


@pytest.mark.parametrize(
    ("path", "name"),
    [pytest.param(path, name, id=f"{path.stem}-{name}") for path in parts.WRITTEN for name in parts.WRITTEN[path]],
)
def test_the_parts_written_by_machine_are_up_to_date(path, name):
    assert parts.part(path.read_text(), name) == parts.WRITTEN[path][name](), "stale: make docs writes it anew"


def test_the_catalogue_quotes_the_results_of_the_last_benchmark():
    assert parts.FIGURES.read_text() == parts.figures_json(parts.summary_of()), "stale: make docs writes it anew"


def test_every_link_to_a_file_leads_to_one():
    command = ["git", "ls-files", "-z", "*.md", ":!tests"]
    listed = subprocess.run(command, cwd=parts.ROOT, capture_output=True, text=True, timeout=60, check=True)
    missing = [
        (name, link)
        for name in listed.stdout.split("\0")
        if name and (path := parts.ROOT / name).exists()
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
        if "://" not in link and not link.startswith("mailto:") and not (path.parent / link).exists()
    ]
    assert missing == []
