"""``losswatch-server demo``: real trainings with real faults, posted step by step, caught and explained."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

import losswatch
from losswatch_server.cli.render import MOST_CAUSES, STATUS_STYLES, finding_lines, headline
from losswatch_server.demo.cases import CASES, Case, linear_model

SECONDS_PER_CASE = 1.8
FIRST_STEPS = 15
FIRST_SHARE = 0.4
"""The first steps take 40 % of the time: what goes wrong at once would else be over before it is seen."""
ANSWER_S = 20.0
"""How long an answer is waited for. What the first steps say is, too, so that it is heard however fast the rest is
trained, or however slow the machine is."""
FRAME_S = 0.1
START_TIMEOUT_S = 30.0


class DemoError(Exception):
    """The demonstration cannot go on; the message says why."""


@dataclass(slots=True)
class CaseRow:
    """One line of the table."""

    case: Case
    step: int = 0
    loss: float = float("nan")
    status: str = "waiting"
    found: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    """The causes that were shown with what was found."""

    @property
    def is_right(self) -> bool:
        """Whether a true cause was shown of a faulty training, or a sound one was left alone."""
        if not self.case.is_faulty:
            return not self.found
        return bool(self.shown & set(self.case.causes))


def run_demo(
    cases: Sequence[Case] = CASES, *, fast: bool = False, keep: bool = False, console: Console | None = None
) -> list[CaseRow]:
    """Starts a service on a free port with a temporary store, trains the cases against it, and tells the story.

    The first case is trained once more with the learning rate that is advised for it. ``fast`` leaves out the pauses
    that make it watchable, ``keep`` waits for Ctrl-C at the end. Raises DemoError.
    """
    console = console or Console(highlight=False)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="losswatch-demo-") as folder, service(Path(folder)) as url:
        console.print(f"[bold]Losswatch[/] answers on {url} [dim](temporary data)[/]")
        console.print(f"look: {url}/ [dim]while it trains[/]")
        show = _Show(console, url, 0.0 if fast else SECONDS_PER_CASE)
        for case in cases:
            show.play(case)
        advised = _advised_rate(show.reports.get(cases[0].name))
        if advised is not None:
            show.play(
                linear_model(
                    advised,
                    "keras-linear-mended",
                    f"The first, learning rate {advised:.3g}",
                    "Does it train with the learning rate that was advised?",
                )
            )
        show.end(time.monotonic() - began)
        if keep:
            console.print(f"\nlook: {url}/ [dim](Ctrl-C ends it)[/]")
            _wait_for_interrupt()
        else:
            console.print("[dim]make demo KEEP=1 (or losswatch-server demo --keep) leaves the dashboard up.[/]")
    return show.rows


class _Show:
    """The table, live on a terminal and left out elsewhere, and what is printed above it."""

    def __init__(self, console: Console, url: str, seconds: float) -> None:
        self.rows: list[CaseRow] = []
        self.reports: dict[str, Mapping[str, Any]] = {}
        self._console = console
        self._url = url
        self._seconds = seconds
        self._live: Live | None = None
        self._points = 0

    def play(self, case: Case) -> None:
        """Trains one case with the client, as a user's script would, and tells what was found when it was found."""
        row = CaseRow(case)
        self.rows.append(row)
        self._console.print()
        self._console.print(Rule(Text(case.title, style="bold"), align="left", style="dim"))
        self._console.print(Text(f"“{case.question}”" if case.is_faulty else case.question, style="italic"))
        with (
            Live(self._drawn(), console=self._console, refresh_per_second=10, transient=True) as live,
            losswatch.Run(
                case.name,
                url=self._url,
                quiet=True,
                flush_interval=0.05,
                spool_dir=tempfile.gettempdir(),
                **case.context,
            ) as run,
        ):
            stopped = self._train(case, run, row, live)
            if not run.flush(ANSWER_S):
                raise DemoError(f"the service at {self._url} does not answer any more")
            self._look(row, run)
            live.update(self._drawn())
        self._points += row.step
        self.reports[case.name] = run.report or {}
        ending = f"stopped by run.should_stop at step {row.step} of {case.steps}" if stopped else f"{row.step} steps"
        self._console.print(Text(f"  {ending}, loss {row.loss:.4g}", style="dim"))
        if not row.found and run.report is not None:
            self._console.print(Padding(headline(run.report), (0, 0, 0, 2), expand=False))

    def _train(self, case: Case, run: losswatch.Run, row: CaseRow, live: Live) -> bool:
        began = frame = time.monotonic()
        for done, measured in enumerate(case.train(), 1):
            run.log(
                measured.step,
                loss=measured.loss,
                grad_norm=measured.grad_norm,
                validation_loss=measured.validation_loss,
            )
            row.step, row.loss = measured.step, measured.loss
            if done == FIRST_STEPS:
                run.flush(ANSWER_S)
                self._look(row, run)
            if run.should_stop:
                return True
            slow_start = FIRST_SHARE * min(done / FIRST_STEPS, 1.0)
            ahead = began + self._seconds * (slow_start + (1 - FIRST_SHARE) * done / case.steps) - time.monotonic()
            if ahead > 0.002:
                time.sleep(ahead)
            if time.monotonic() - frame > FRAME_S:
                frame = time.monotonic()
                self._look(row, run)
                live.update(self._drawn())
        return False

    def _look(self, row: CaseRow, run: losswatch.Run) -> None:
        report = run.report
        if report is None:
            return
        found = _worst(report)
        said = "healthy" if found is None or found["severity"] == "info" else found["severity"]
        row.status = max(row.status, run.status, said if report["points"] else "waiting", key=list(STATUS_STYLES).index)
        if found is None or found["condition"] in row.found:
            return
        row.found.append(found["condition"])
        open_now = found["closed_by"] is None
        told = headline(report) if open_now else Text(f"{found['summary']}", style="bold")
        self._console.print(Padding(told, (0, 0, 0, 2), expand=False))
        row.shown |= {str(cause["cause"]) for cause in found["causes"][:MOST_CAUSES]}
        lines = finding_lines(found, told=report["headline"] if open_now else found["summary"], brief=True)
        self._console.print(Padding(lines, (0, 0, 0, 4), expand=False))

    def _drawn(self) -> Table | Text:
        if not self._console.is_terminal:
            return Text("", end="")
        return _table(self.rows)

    def end(self, seconds: float) -> None:
        """The table once more, and the sum."""
        self._console.print()
        self._console.print(Rule(style="dim"))
        self._console.print(_table(self.rows))
        faulty = [row for row in self.rows if row.case.is_faulty]
        sound = [row for row in self.rows if not row.case.is_faulty]
        caught = sum(row.is_right for row in faulty)
        quiet = sum(row.is_right for row in sound)
        self._console.print(
            f"\n[bold]{caught} of {len(faulty)} faults caught, {quiet} of {len(sound)} sound trainings left alone[/]"
            f" [dim]({self._points:,} points over HTTP, {seconds:.0f} s)[/]"
        )


def _table(rows: list[CaseRow]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("training", "step", "loss", "status", "found"):
        table.add_column(name, justify="right" if name in ("step", "loss") else "left")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: CaseRow) -> tuple[Text, ...]:
    return (
        Text(row.case.title),
        Text(str(row.step)),
        Text(f"{row.loss:.4g}"),
        Text(row.status, style=STATUS_STYLES.get(row.status, "")),
        Text(" → ".join(row.found).replace("_", " ")),
    )


def _worst(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the headline speaks of, or else a trouble that has passed."""
    ranks = ("critical", "warning")
    troubles = [f for f in report["findings"] if f["severity"] in ranks and f["closed_by"] in (None, "resolved")]
    troubles.sort(key=lambda f: (f["summary"] != report["headline"], f["closed_by"] or "", ranks.index(f["severity"])))
    return troubles[0] if troubles else None


def _advised_rate(report: Mapping[str, Any] | None) -> float | None:
    for finding in (report or {}).get("findings", ()):
        for advice in finding["advice"]:
            if advice["action"] == "set_learning_rate" and isinstance(advice["value"], (int, float)):
                return float(advice["value"])
    return None


@contextmanager
def service(data: Path) -> Iterator[str]:
    """A service of its own, as its users start it: another process, a free port. Raises DemoError.

    It ends with this process, however that ends.
    """
    command = [sys.executable, "-m", "losswatch_server.cli.dependent", "serve", "--port", "0", "--data", str(data)]
    with (data / "service.log").open("w+") as errors, _ended_by_signals():
        process = subprocess.Popen(
            [*command, "--log-level", "warning"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if "http://" not in line:
                errors.seek(0)
                raise DemoError(f"the service did not start: {errors.read().strip() or 'it said nothing'}")
            yield line[line.index("http://") :].split()[0]
        finally:
            process.terminate()
            try:
                process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end what is inside as an error does, so that it is cleared away, and not this process at once.

    Where SIGINT is ignored, as of what a shell starts in the background, it stays so.
    """
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    before = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
