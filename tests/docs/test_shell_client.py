"""The shell functions against a real service, and against none."""

from __future__ import annotations

import json
import subprocess

import pytest

from docs.parts import ROOT

SOURCE = ". clients/shell/losswatch.sh\n"


def shell(script: str, address: str) -> subprocess.CompletedProcess[str]:
    """A POSIX shell that stops at the first failure, with the functions loaded."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LOSSWATCH_URL": address}
    return subprocess.run(
        ["sh", "-euc", SOURCE + script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "stored"),
    [("0.5", 0.5), ("-1.5e-3", -0.0015), ("nan", "NaN"), ("-nan", "NaN"), ("inf", "Infinity"), ("-INF", "-Infinity")],
)
def test_a_number_arrives_however_the_program_printed_it(address, value, stored):
    run = f"shell-{value.strip('-')}".lower() + ("-minus" if value.startswith("-") else "")
    done = shell(f"losswatch_log {run} 3 loss={value}", address)
    assert (done.returncode, done.stderr) == (0, "")
    points = subprocess.run(
        ["curl", "-sS", f"{address}/v1/runs/{run}/points"], capture_output=True, text=True, timeout=60, check=True
    )
    (point,) = json.loads(points.stdout)["points"]
    assert (point["step"], point["loss"]) == (3, stored)


def test_a_diverging_run_is_told_to_stop_and_finished(address):
    script = """
    step=0
    for loss in 1 3.6 12.7 45 160 569 2020 7200 25600; do
        step=$((step + 1))
        losswatch_log shell-diverging "$step" loss="$loss"
        if losswatch_should_stop shell-diverging; then echo "stopped at $step"; break; fi
    done
    losswatch_finish shell-diverging failed
    losswatch_report shell-diverging
    """
    done = shell(script, address)
    assert (done.returncode, done.stderr) == (0, "")
    first, report = done.stdout.split("\n", 1)
    assert first.startswith("stopped at")
    assert json.loads(report)["state"] == "failed"


def test_a_refused_point_is_named_and_the_script_goes_on(address):
    done = shell("losswatch_log shell-refused 1 los=0.5; echo went on", address)
    assert done.returncode == 0
    assert done.stdout == "went on\n"
    assert "los" in done.stderr


def test_a_service_that_is_away_costs_a_line_and_not_the_script():
    done = shell("losswatch_log shell-away 1 loss=0.5; echo went on", "http://127.0.0.1:9")
    assert done.stdout == "went on\n"
    assert done.stderr.startswith("losswatch: POST http://127.0.0.1:9/v1/runs/shell-away/points")
