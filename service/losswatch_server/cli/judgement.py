"""What ``diagnose`` does: read, judge, draw, tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from losswatch_logs import Columns, UnreadableLogError
from losswatch_server import codec
from losswatch_server.cli.exits import EXIT_OF_STATUS, UNREADABLE, fail
from losswatch_server.cli.plot import Mark, draw
from losswatch_server.cli.render import report_lines
from losswatch_server.runs.offline import Diagnosis, answer_json, diagnose_bytes, doubt_sentence
from losswatch_server.runs.points.merge import PointsRefusedError

MOST_MARKS = 3
MOST_SKIPPED = 5
LARGE = 2_000_000
"""Bytes that take more than a second to read and judge."""


def judge_file(
    file: Path, known: Mapping[str, Any], columns: Mapping[str, str | None], *, as_json: bool, plot: bool, explain: bool
) -> int:
    """Prints the report on ``file`` (``-``: standard input), given what is ``known`` of the job; the exit status.

    ``columns``: what the person says of the log's columns. ``explain``: the numbers behind each finding too, in JSON
    as ``explanations``.

    Ends the command with a sentence where the file cannot be read; raises BadParameter for a bad context.
    """
    try:
        context = codec.read_context(dict(known), strict=True)
    except codec.BodyRefusedError as refusal:
        option = refusal.problems[0].pointer.strip("/").replace("_", "-")
        raise typer.BadParameter(refusal.problems[0].detail, param_hint=f"--{option}") from refusal
    name = "standard input" if _is_stdin(file) else str(file)
    try:
        raw = _content(file)
        with _patience(raw):
            diagnosis = diagnose_bytes(raw, context, name=name, explain=explain, columns=Columns(**columns))
    except OSError as error:
        fail(f"cannot read {name}: {error.strerror or error}", UNREADABLE)
    except UnreadableLogError as error:
        fail(error.detail, UNREADABLE)
    except (codec.BodyRefusedError, PointsRefusedError) as error:
        fail(f"{name}: {error}", UNREADABLE)
    if as_json:
        _write_json(diagnosis, explain=explain)
    else:
        console = Console(highlight=False)
        for run in diagnosis.runs or (diagnosis,):
            if run.log is not None and run.log.run is not None:
                console.print(Text(f"\n{run.log.run}", style="bold underline"))
            show(console, run, _curve(raw, run) if plot else [], codec.assessment_json(run.assessment))
    return EXIT_OF_STATUS[diagnosis.assessment.status]


def _write_json(diagnosis: Diagnosis, *, explain: bool) -> None:
    report = answer_json(diagnosis)
    if explain:
        from losswatch_server.codec.explanations import explanation_json

        report["explanations"] = [explanation_json(told) for told in diagnosis.explanations]
    sys.stdout.buffer.write(codec.dumps(report) + b"\n")


@contextmanager
def _patience(raw: bytes) -> Iterator[None]:
    """A sign of life on a terminal, where the text is large enough to take seconds."""
    if len(raw) < LARGE or not sys.stderr.isatty():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    what = TextColumn(f"reading and judging {len(raw) / 1e6:.0f} MB")
    with Progress(SpinnerColumn(), what, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        progress.add_task("", total=None)
        yield


def show_report(console: Console, curve: list[tuple[int, float]], report: dict[str, Any]) -> None:
    """The picture (where there is a ``curve``: steps and losses) and the report."""
    console.print()
    if len(curve) > 1:
        width = max(20, min(console.width - 14, 76))
        console.print(draw([step for step, _ in curve], [loss for _, loss in curve], width=width, marks=_marks(report)))
        console.print()
    console.print(report_lines(report))
    console.print()


def show(console: Console, diagnosis: Diagnosis, curve: list[tuple[int, float]], report: dict[str, Any]) -> None:
    """The picture and the report, what explains it, and how the document was read."""
    show_report(console, curve, report)
    for told in diagnosis.explanations:
        from losswatch_server.cli.explained import explanation_lines

        console.print(explanation_lines(told, width=max(20, min(console.width - 14, 76))))
        console.print()
    log = diagnosis.log
    if log is None:
        return
    console.print(Text(f"read as {log.format}, {len(log.points)} points: {'; '.join(log.read_as)}", style="dim"))
    for doubt in log.doubts:
        console.print(Text(f"in doubt: {doubt_sentence(doubt)}", style="yellow"))
    if log.skipped_lines:
        console.print(Text(f"{log.skipped_lines} of {log.total_lines} lines were not read:", style="dim"))
        for line in log.skipped[:MOST_SKIPPED]:
            console.print(Text(f"  line {line.line}: {line.text!r}: {line.reason}", style="dim"))


def _curve(raw: bytes, diagnosis: Diagnosis) -> list[tuple[int, float]]:
    """Steps and losses by ascending step; where attempts overlap, the later one."""
    if diagnosis.log is not None:
        losses = {point.step: point.loss for point in diagnosis.log.points}
    else:
        losses = {point.step: point.loss for point in codec.read_body(raw).points if not point.rank}
    return sorted((step, loss) for step, loss in losses.items() if loss is not None)


def _marks(report: dict[str, Any]) -> list[Mark]:
    standing = [finding for finding in report["findings"] if finding["closed_by"] is None]
    return [
        Mark(
            finding["onset_step"],
            f"{finding['condition'].replace('_', ' ')} since {finding['onset_step']}",
            "bold red" if finding["severity"] == "critical" else "bold yellow",
        )
        for finding in standing[:MOST_MARKS]
    ]


def _is_stdin(file: Path) -> bool:
    return str(file) == "-"


def _content(file: Path) -> bytes:
    return sys.stdin.buffer.read() if _is_stdin(file) else file.expanduser().read_bytes()
