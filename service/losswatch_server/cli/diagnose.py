"""``losswatch-server diagnose``: judge a log or a JSON file without a service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from losswatch.logs import UnreadableLogError
from losswatch_server import wire
from losswatch_server.cli.exits import EXIT_OF_STATUS, UNREADABLE, fail
from losswatch_server.cli.plot import Mark, draw
from losswatch_server.cli.render import report_lines
from losswatch_server.diagnosing import Diagnosis, diagnose_bytes
from losswatch_server.same_step import PointsRefusedError

MOST_MARKS = 3
MOST_SKIPPED = 5
_JOB = "What is known of the job"


def _option(help_text: str) -> Any:
    return typer.Option(help=help_text, rich_help_panel=_JOB, show_default=False)


def diagnose(
    file: Annotated[
        Path, typer.Argument(help="A training log, CSV, JSON lines or points as JSON; - for standard input.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, as the service answers it.")] = False,
    plot: Annotated[bool, typer.Option(help="Draw the loss.")] = True,
    learning_rate: Annotated[float | None, _option("Its (first) value.")] = None,
    optimizer: Annotated[str | None, _option("sgd, adam, adamw, …")] = None,
    momentum: Annotated[float | None, _option("Of SGD.")] = None,
    nesterov: Annotated[bool | None, _option("Whether the momentum is Nesterov's.")] = None,
    batch_size: Annotated[int | None, _option("Samples in a batch.")] = None,
    full_batch: Annotated[bool | None, _option("Whether every step sees all samples.")] = None,
    weight_decay: Annotated[float | None, _option("Its coefficient.")] = None,
    warmup_steps: Annotated[int | None, _option("Steps over which the learning rate rises.")] = None,
    total_steps: Annotated[int | None, _option("Steps that are planned.")] = None,
    grad_clip: Annotated[float | None, _option("The largest gradient norm that is let through.")] = None,
    grad_norm_is: Annotated[str | None, _option("before_clip or after_clip.")] = None,
    precision: Annotated[str | None, _option("fp32, fp16, bf16, …")] = None,
    loss_name: Annotated[str | None, _option("mse, cross_entropy, …")] = None,
    num_classes: Annotated[int | None, _option("Of a classifier.")] = None,
    objective: Annotated[str | None, _option("minimize, or none for GAN- and RL-like losses.")] = None,
    step_unit: Annotated[str | None, _option("What a row of the log is: step or epoch.")] = None,
    steps_per_epoch: Annotated[int | None, _option("Optimizer steps in an epoch.")] = None,
    steps_per_point: Annotated[int | None, _option("Optimizer steps between two rows.")] = None,
    framework: Annotated[str | None, _option("keras, pytorch, …")] = None,
    group: Annotated[str | None, _option("The sweep it belongs to.")] = None,
    expected_gap_s: Annotated[float | None, _option("Seconds between reports.")] = None,
) -> None:
    """Judge a training log: what is wrong, why, and what to do. Needs no service.

    Exit status: 0 healthy or too short to judge, 1 warning, 2 critical, 64 wrong usage, 66 unreadable.
    """
    given = {name: value for name, value in locals().items() if name not in ("file", "as_json", "plot")}
    try:
        context = wire.read_context({name: value for name, value in given.items() if value is not None})
    except wire.BodyRefusedError as refusal:
        option = refusal.problems[0].pointer.strip("/").replace("_", "-")
        raise typer.BadParameter(refusal.problems[0].detail, param_hint=f"--{option}") from refusal
    name = "standard input" if _is_stdin(file) else str(file)
    try:
        raw = _content(file)
        diagnosis = diagnose_bytes(raw, context, name=name)
    except OSError as error:
        fail(f"cannot read {name}: {error.strerror or error}", UNREADABLE)
    except UnreadableLogError as error:
        fail(error.detail, UNREADABLE)
    except (wire.BodyRefusedError, PointsRefusedError) as error:
        fail(f"{name}: {error}", UNREADABLE)
    report = wire.assessment_json(diagnosis.assessment)
    if as_json:
        sys.stdout.buffer.write(wire.dumps(report) + b"\n")
    else:
        show(Console(highlight=False), diagnosis, _curve(raw, diagnosis) if plot else [], report)
    raise typer.Exit(EXIT_OF_STATUS[diagnosis.assessment.status])


def show(console: Console, diagnosis: Diagnosis, curve: list[tuple[int, float]], report: dict[str, Any]) -> None:
    """The picture (where there is a ``curve``), the report, and how the document was read."""
    console.print()
    if len(curve) > 1:
        width = max(20, min(console.width - 14, 76))
        console.print(draw([step for step, _ in curve], [loss for _, loss in curve], width=width, marks=_marks(report)))
        console.print()
    console.print(report_lines(report))
    console.print()
    log = diagnosis.log
    if log is None:
        return
    console.print(Text(f"read as {log.format}, {len(log.points)} points: {'; '.join(log.read_as)}", style="dim"))
    if log.skipped_lines:
        console.print(Text(f"{log.skipped_lines} of {log.total_lines} lines were not read:", style="dim"))
        for line in log.skipped[:MOST_SKIPPED]:
            console.print(Text(f"  line {line.line}: {line.text!r}: {line.reason}", style="dim"))


def _curve(raw: bytes, diagnosis: Diagnosis) -> list[tuple[int, float]]:
    """Steps and losses by ascending step; where attempts overlap, the later one."""
    if diagnosis.log is not None:
        losses = {point.step: point.loss for point in diagnosis.log.points}
    else:
        losses = {point.step: point.loss for point in wire.read_body(raw).points if not point.rank}
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
