"""What it takes to add a rule, a condition, a cause or a channel: the files that one has to write or change by hand.

Each is added to a copy of the server, and works there: the count is of what was needed, and nothing else was touched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from docs.parts import ROOT

PACKAGE = "losswatch_server"
RULE = '''
"""{condition}: the loss is the same number to the last bit for many points. For a test of what an addition takes."""

from __future__ import annotations

from dataclasses import dataclass
from collections.abc import Mapping
from typing import ClassVar

from losswatch_server.monitor.known import Needs
from losswatch_server.monitor.rules.base import QUIET, Alarm, Test, Verdict, View
from losswatch_server.monitor.vocabulary import Condition, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """As many equal losses in a row."""

    condition: ClassVar[Condition] = Condition.{member}
    series: ClassVar[str] = "metric"
    every_point: ClassVar[bool] = False
    needs: ClassVar[Mapping[str, Needs]] = {{"frozen": ()}}
    equal: int = 20

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        recent = view.memory.loss.recent
        if not view.holds("frozen", [Test("equal losses", len(recent) / len(set(recent)), self.equal)]):
            return QUIET
        return Alarm(onset_step=0, confidence=0.9, severity=Severity.WARNING, evidence={{"level": recent[-1]}})
'''
FOLD = """
from losswatch_server import catalogue
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import assess

monitor = Monitor("run")
for step in range(400):
    monitor.see(Point(step, loss={curve}))
found = {finding.series: finding for finding in assess(monitor).findings}["metric"]
"""
FALLS_AND_STOPS = FOLD.replace("{curve}", "max(2 * 0.9**step, 0.001)")
STANDS = FOLD.replace("{curve}", "0.5").replace('["metric"]', '["loss"]')


@dataclass(frozen=True, kw_only=True)
class Addition:
    """Files with their text, passages that are replaced in others, and a program that uses what was added."""

    new: dict[str, str] = field(default_factory=dict)
    changed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    works: str
    most: int


IMPORT = "from losswatch_server.monitor.rules.diverging import Diverging\n"
PAGE = """---
title: The loss is frozen
summary: The loss is the same number to the last bit.
severity: warning
---
## The rule, exactly

From {{parameter:equal}} equal losses on. {{life}}
"""
CAUSE_PAGE = """---
title: A frozen clock
summary: Time stands still.
---
## How Losswatch recognises it

{{recognition}}

## What to do

- {{action:check_labels}}
"""

ADDITIONS = {
    "a rule": Addition(
        new={"monitor/rules/frozen.py": RULE.format(condition="plateau", member="PLATEAU")},
        changed={
            "monitor/conditions.py": [
                (IMPORT, IMPORT + "from losswatch_server.monitor.rules.frozen import Frozen\n"),
                ("rules=(Plateau(),),", "rules=(Plateau(), Frozen()),"),
            ],
            "catalogue/conditions/plateau.md": [
                ("## When it does not fire", "Or {{parameter:equal}} equal losses.\n\n## When it does not fire")
            ],
        },
        works=FALLS_AND_STOPS + "assert found.condition == 'plateau', found\n"
        "assert '20 equal losses' in catalogue.page('condition', 'plateau').markdown\n",
        most=3,
    ),
    "a condition": Addition(
        new={
            "monitor/rules/frozen.py": RULE.format(condition="frozen", member="FROZEN"),
            "catalogue/conditions/frozen.md": PAGE,
        },
        changed={
            "monitor/vocabulary.py": [('    SILENT = "silent"\n', '    FROZEN = "frozen"\n    SILENT = "silent"\n')],
            "monitor/conditions.py": [
                (IMPORT, IMPORT + "from losswatch_server.monitor.rules.frozen import Frozen\n"),
                (
                    "    C.SILENT: Traits(",
                    "    C.FROZEN: Traits(rules=(Frozen(),), sentence=sentences.frozen, phrase='frozen'),\n"
                    "    C.SILENT: Traits(",
                ),
            ],
            "monitor/diagnosis/priors.py": [
                (
                    "PRIORS: dict[Condition, Weights] = {",
                    "PRIORS: dict[Condition, Weights] = {\n    Condition.FROZEN: {NOT_UPDATED: 0.0},",
                )
            ],
            "monitor/sentences.py": [
                (
                    "def silent(",
                    "def frozen(f: Finding, e: Facts) -> str:\n"
                    "    return f'The loss is frozen at {number(e[\"level\"])}.'"
                    "\n\n\ndef silent(",
                )
            ],
            "api/description/evidence.py": [
                (
                    "class SilentEvidence",
                    'class FrozenEvidence(Evidence):\n    """`frozen`."""\n\n    level: Number\n    """The loss."""\n'
                    "\n\nclass SilentEvidence",
                ),
                ("    Condition.SILENT:", "    Condition.FROZEN: FrozenEvidence,\n    Condition.SILENT:"),
            ],
        },
        works=FALLS_AND_STOPS
        + "assert (found.condition, found.summary) == ('frozen', 'The loss is frozen at 0.001.'), found\n"
        "assert found.causes[0].cause == 'parameters_not_updated', found\n"
        "assert 'From 20 equal losses' in catalogue.page('condition', 'frozen').markdown\n"
        "from losswatch_server.alerts.wording import IS\n"
        "assert IS['frozen'] == 'frozen'\n"
        "from losswatch_server.app import create_app\n"
        "from losswatch_server.settings import Settings\n"
        "assert 'FrozenEvidence' in create_app(Settings()).openapi()['components']['schemas']\n",
        most=7,
    ),
    "a cause": Addition(
        new={"catalogue/causes/frozen_clock.md": CAUSE_PAGE},
        changed={
            "monitor/vocabulary.py": [
                ('    MOMENTUM_TOO_HIGH = "', '    FROZEN_CLOCK = "frozen_clock"\n    MOMENTUM_TOO_HIGH = "')
            ],
            "monitor/diagnosis/priors.py": [
                ("_STUCK: Weights = {", "_STUCK: Weights = {\n    CauseName.FROZEN_CLOCK: 1.0,")
            ],
            "monitor/diagnosis/checks.py": [
                ("_CHECKS: dict[C, str] = {", "_CHECKS: dict[C, str] = {\n    C.FROZEN_CLOCK: 'Look at a clock.',")
            ],
            "monitor/diagnosis/evidence/events.py": [
                (
                    "EVENTS: tuple[Evidence, ...] = (",
                    "from losswatch_server.monitor.vocabulary import CauseName\n"
                    "EVENTS: tuple[Evidence, ...] = (\n    Evidence(name='clock', group='clock', "
                    "when=holds(lambda seen: seen.measured.loss is not None and seen.measured.loss.first == 0.5), "
                    "means='The loss is one half', says=lambda seen: 'The loss is one half', "
                    "for_={CauseName.FROZEN_CLOCK: STRONG}),",
                )
            ],
            "monitor/advice/remedies.py": [
                (
                    "REMEDIES: dict[CauseName, Remedy] = {",
                    "def _frozen_clock(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:\n"
                    "    yield Advice(action='check_labels', value=None, summary='Wind the clock.')\n\n\n"
                    "REMEDIES: dict[CauseName, Remedy] = {\n    CauseName.FROZEN_CLOCK: _frozen_clock,",
                )
            ],
        },
        works=STANDS + "assert found.causes[0].cause == 'frozen_clock', found\n"
        "assert found.causes[0].because == ('The loss is one half',), found\n"
        "assert found.advice[0].summary == 'Wind the clock.', found\n"
        "assert 'loss is one half' in catalogue.page('cause', 'frozen_clock').markdown\n",
        most=6,
    ),
    "a channel": Addition(
        new={
            "alerts/channels/pager.py": '"""A pager."""\n\n'
            "from losswatch_server.alerts.channels.webhook import CHANNEL as WEBHOOK\n"
            "from dataclasses import replace\n\nCHANNEL = replace(WEBHOOK, kind='pager')\n"
        },
        changed={
            "alerts/channels/__init__.py": [
                ("    pagerduty,\n", "    pager,\n    pagerduty,\n"),
                ("    pagerduty.CHANNEL,\n", "    pager.CHANNEL,\n    pagerduty.CHANNEL,\n"),
            ],
            "api/description/alert_schemas.py": [('"pagerduty", ', '"pager", "pagerduty", ')],
        },
        works="from losswatch_server.alerts.channels import BY_KIND\n"
        "assert BY_KIND['pager'].kind == 'pager'\n"
        "from losswatch_server.api.description.alert_schemas import NewTarget\n"
        "assert NewTarget(kind='pager', url='https://pager.example/x').kind == 'pager'\n",
        most=3,
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The server, where it may be changed."""
    source = ROOT / "service" / PACKAGE
    shutil.copytree(source, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("what", ADDITIONS)
def test_adding_one_touches_so_many_files(what: str, copy: Path) -> None:
    addition = ADDITIONS[what]
    for name, text in addition.new.items():
        (copy / PACKAGE / name).write_text(text.lstrip(), encoding="utf-8")
    for name, passages in addition.changed.items():
        text = (copy / PACKAGE / name).read_text(encoding="utf-8")
        for before, after in passages:
            assert before in text, (name, before)
            text = text.replace(before, after)
        (copy / PACKAGE / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", addition.works]
    subprocess.run(command, cwd=copy, env={"PYTHONPATH": str(copy)}, check=True, timeout=120)
    assert len(addition.new) + len(addition.changed) <= addition.most
