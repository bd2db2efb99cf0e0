"""``diagnose``: exit statuses for scripts, sentences for people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from losswatch_server.demo import trainings
from losswatch_server.monitor.points import CONTEXT_FIELDS


def keras_console(learning_rate: float) -> str:
    """What Keras prints in the first documented case: four decimals, small values in scientific notation."""
    lines = []
    for measured in trainings.linear_model(learning_rate):
        lines.append(f"Epoch {measured.step}/500")
        shown = f"{measured.loss:.4f}" if not measured.loss < 1e-3 else f"{measured.loss:.4e}"
        lines.append(f"1/1 [==============================] - 0s 4ms/step - loss: {shown}")
    return "\n".join(lines) + "\n"


def test_a_diverging_log_is_critical_and_says_what_to_do(command, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(keras_console(0.01))
    done = command("diagnose", str(log), "--learning-rate", "0.01", "--optimizer", "sgd")
    assert done.returncode == 2, done.stderr
    assert "✖ critical" in done.stdout
    assert "learning rate too high" in done.stdout
    assert "0.00347" in done.stdout
    assert "▲ diverging since 1" in done.stdout
    assert "✕" in done.stdout


def test_a_healthy_log_on_standard_input_ends_with_zero(command) -> None:
    done = command("diagnose", "-", "--no-plot", stdin=keras_console(0.0001))
    assert done.returncode == 0, done.stdout
    assert "✓ healthy" in done.stdout


def test_a_warning_ends_with_one(command) -> None:
    points = [{"step": m.step, "loss": m.loss, "grad_norm": m.grad_norm} for m in trainings.random_labels()]
    done = command("diagnose", "-", stdin=json.dumps({"points": points}))
    assert done.returncode == 1, done.stdout


def test_too_short_a_log_is_waiting_and_ends_with_zero(command) -> None:
    done = command("diagnose", "-", stdin='{"step": 1, "loss": 0.5}')
    assert done.returncode == 0, done.stderr
    assert "waiting" in done.stdout


def test_json_output_is_the_report_and_nothing_else(command) -> None:
    done = command("diagnose", "-", "--json", stdin=keras_console(0.01))
    report = json.loads(done.stdout, parse_constant=lambda token: pytest.fail(f"bare {token}"))
    assert done.returncode == 2
    assert report["status"] == "critical"
    assert {"headline", "findings", "forecast", "notes", "action", "points", "step"} <= report.keys()


def test_every_field_of_the_context_is_an_option(command) -> None:
    shown = command("diagnose", "--help", COLUMNS="200").stdout
    for name in set(CONTEXT_FIELDS) - {"layer_order", "tags", "extra", "facts"}:
        assert f"--{name.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "said"),
    [
        (["diagnose"], None, 64, "Missing argument"),
        (["diagnose", "-", "--learning-rte", "1"], "", 64, "--learning-rate"),
        (["diagnose", "-", "--learning-rate", "fast"], "", 64, "--learning-rate"),
        (["diagnose", "-", "--step-unit", "week"], "", 64, "step"),
        (["diagnoze"], None, 64, "Did you mean 'diagnose'?"),
        (["diagnose", "/nowhere/train.log"], None, 66, "/nowhere/train.log"),
        (["diagnose", "/"], None, 66, "irectory"),
        (["diagnose", "-"], "", 66, "empty"),
        (["diagnose", "-"], "lorem ipsum\n" * 50, 66, "No training log"),
        (["diagnose", "-"], '{"points": [{"step": -1, "loss": 1}]}', 66, "step"),
    ],
)
def test_what_cannot_be_done_is_said_on_standard_error(
    command, arguments: list[str], stdin: str | None, status: int, said: str
) -> None:
    done = command(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


TWO_LOSSES = "".join(f"step {i} loss_a: {3 / i:.3f} loss_b: {2 / i:.3f}\n" for i in range(1, 30))


def test_a_reading_in_doubt_is_said_and_a_named_column_settles_it(command) -> None:
    doubted = command("diagnose", "-", "--no-plot", stdin=TWO_LOSSES)
    assert "healthy" not in doubted.stdout
    assert "The reading is in doubt: 'loss_a' was read as the loss" in " ".join(doubted.stdout.split())
    settled = command("diagnose", "-", "--json", "--loss-column", "loss_b", stdin=TWO_LOSSES)
    report = json.loads(settled.stdout)
    assert report["status"] == "healthy"
    assert report["read"]["read_as"][0] == "'loss_b' as loss (29 values)"


def test_each_run_of_a_text_is_shown_and_the_worst_decides(command) -> None:
    fine = "".join(f"step {i} loss {1 / i}\n" for i in range(1, 25))
    bad = "".join(f"step {i} loss nan\n" for i in range(1, 25))
    done = command("diagnose", "-", "--no-plot", stdin=f"run one:\n{fine}run two:\n{bad}")
    assert done.returncode == 2
    assert done.stdout.index("run one") < done.stdout.index("✓ healthy") < done.stdout.index("run two")
    reports = json.loads(command("diagnose", "-", "--json", stdin=f"run one:\n{fine}run two:\n{bad}").stdout)["reports"]
    assert [report["run"] for report in reports] == ["run one", "run two"]


def test_what_diagnose_does_not_need_is_not_loaded() -> None:
    """The verdict on a small file takes the time of starting: a store, a server or scipy would double it."""
    heavy = ("scipy", "sqlalchemy", "fastapi", "uvicorn", "httpx", "asyncio", "losswatch_server.store")
    code = f"import sys, losswatch_server.cli.judgement; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_validation_loss_that_is_not_finite_is_called_so(command) -> None:
    text = "".join(f"epoch {epoch} loss {1 - epoch / 50:.2f} val_loss nan\n" for epoch in range(12))
    assert "The validation loss became NaN" in command("diagnose", "-", "--no-plot", stdin=text).stdout


def test_a_jump_that_is_over_is_told_with_the_step_at_which_the_loss_was_back(command) -> None:
    losses = [2.4, 2.2, 2.1, 2.0, 9.0, 1.9, 1.8, 1.8, 1.7, 1.7]
    text = "".join(f"step {1000 * i} loss {loss}\n" for i, loss in enumerate(losses, 1))
    told = " ".join(command("diagnose", "-", "--no-plot", stdin=text).stdout.split())
    assert "over: loss_spike, steps 5,000 to 6,000. The loss jumped at step 5,000" in told
