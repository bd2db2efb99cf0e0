"""``losswatch-server diagnose``: judge a log or a JSON file without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_JOB = "What you know about the job (all optional)"
_LOG = "If the log is read wrongly"
_COLUMNS = ("loss", "step", "validation", "gradient_norm", "learning_rate", "epoch")


def _option(help_text: str) -> Any:
    return typer.Option(help=help_text, rich_help_panel=_JOB, show_default=False)


def _column(help_text: str) -> Any:
    return typer.Option(help=help_text, rich_help_panel=_LOG, show_default=False)


def diagnose(
    file: Annotated[
        Path, typer.Argument(help="A training log, CSV, JSON lines or points as JSON; - for standard input.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, like the service.")] = False,
    plot: Annotated[bool, typer.Option(help="Draw the loss.")] = True,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the numbers behind each finding: its rule, statistic and threshold.")
    ] = False,
    loss_column: Annotated[str | None, _column("The column with the loss.")] = None,
    step_column: Annotated[str | None, _column("The column that counts the steps.")] = None,
    validation_column: Annotated[str | None, _column("The column with the validation loss.")] = None,
    gradient_norm_column: Annotated[str | None, _column("The column with the gradient norm.")] = None,
    learning_rate_column: Annotated[str | None, _column("The column with the learning rate.")] = None,
    epoch_column: Annotated[str | None, _column("The column that counts the epochs.")] = None,
    learning_rate: Annotated[float | None, _option("The learning rate, or its first value.")] = None,
    optimizer: Annotated[str | None, _option("The optimizer: sgd, adam, adamw, …")] = None,
    momentum: Annotated[float | None, _option("The momentum of SGD.")] = None,
    nesterov: Annotated[bool | None, _option("Whether it is Nesterov momentum.")] = None,
    batch_size: Annotated[int | None, _option("Examples in a batch.")] = None,
    full_batch: Annotated[bool | None, _option("Whether every step uses all examples.")] = None,
    weight_decay: Annotated[float | None, _option("The coefficient of weight decay.")] = None,
    warmup_steps: Annotated[int | None, _option("Steps over which the learning rate rises at the start.")] = None,
    total_steps: Annotated[int | None, _option("Planned number of steps.")] = None,
    grad_clip: Annotated[float | None, _option("The norm to which gradients are clipped.")] = None,
    grad_norm_is: Annotated[str | None, _option("When the norm was measured: before_clip or after_clip.")] = None,
    precision: Annotated[str | None, _option("Number format: fp32, fp16, bf16, …")] = None,
    loss_name: Annotated[str | None, _option("The loss function: mse, cross_entropy, …")] = None,
    num_classes: Annotated[int | None, _option("Number of classes of a classifier.")] = None,
    baseline_loss: Annotated[float | None, _option("The loss of the best constant answer.")] = None,
    objective: Annotated[str | None, _option("minimize, or none for GAN- and RL-like losses.")] = None,
    step_unit: Annotated[str | None, _option("What a row of the log is: step or epoch.")] = None,
    steps_per_epoch: Annotated[int | None, _option("Optimizer steps in an epoch.")] = None,
    steps_per_point: Annotated[int | None, _option("Optimizer steps between two rows.")] = None,
    framework: Annotated[str | None, _option("The framework: keras, pytorch, …")] = None,
    group: Annotated[str | None, _option("The sweep that the run belongs to.")] = None,
    expected_gap_s: Annotated[float | None, _option("Usual seconds between two posts.")] = None,
) -> None:
    """Diagnose a training log: what is wrong, why, and what to do. Needs no service.

    Exit status: 0 healthy or too short to judge, 1 warning, 2 critical, 64 wrong usage, 66 unreadable.
    """
    given = {name: value for name, value in locals().items() if name not in ("file", "as_json", "plot", "explain")}
    from losswatch_server.cli.judgement import judge_file  # numpy and the rules take their time: --help does without

    columns = {name: given.pop(f"{name}_column") for name in _COLUMNS}
    known = {name: value for name, value in given.items() if value is not None}
    raise typer.Exit(judge_file(file, known, columns, as_json=as_json, plot=plot, explain=explain))
