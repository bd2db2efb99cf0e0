"""``losswatch run``: the training's output, signals and exit status are its own; what it prints is reported."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from watching.conftest import PATIENCE, Service, done, start

TRAINING = """
import random, sys
random.seed(3)
for step in range(40):
    print(f"step {step} loss {2 * 0.95**step + random.gauss(0, 0.01):.4f}")
    print(f"a line of its own {step}", file=sys.stderr)
sys.stdout.write("no newline at the end \\x1b[31m\\xe9\\r")
sys.exit(int(sys.argv[1]))
"""
DIVERGING = """
import sys, time
try:
    for step in range(100_000):
        print(f"step {step} loss {0.5 * 1.4 ** min(step, 900):.6g}", flush=True)
        time.sleep(0.02)
except KeyboardInterrupt:
    print("a checkpoint was saved", flush=True)
    sys.exit(130)
"""
WAITING = """
import signal, sys
def end(number, frame):
    print("ended by", signal.Signals(number).name, flush=True)
    sys.exit(9)
for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"):
    signal.signal(getattr(signal, name), end)
print("step 1 loss 0.5", flush=True)
signal.pause()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "train.py"


TORN = """
import os, time
for step in range(1, 9):
    parts = f"step {step} lo", f"warning {step}: some", f"ss {1 / step:.3f}\\n", "thing\\n"
    for place, part in enumerate(parts):
        os.write(1 + place % 2, part.encode())
        time.sleep(0.02)  # each piece is read by itself
"""


@pytest.mark.slow
def test_what_one_output_prints_never_tears_a_line_of_the_other(service: Service, script: Path) -> None:
    script.write_text(TORN, encoding="utf-8")
    done("run", "--run", "torn", "--quiet", "--", sys.executable, script)
    assert [point["step"] for point in service.points("torn")] == list(range(1, 9))


@pytest.mark.slow
@pytest.mark.parametrize("status", [0, 3])
def test_output_and_exit_status_are_those_of_the_training(service: Service, script: Path, status: int) -> None:
    script.write_text(TRAINING, encoding="utf-8")
    alone = start_alone(script, status)
    watched = done("run", "--run", f"wrapped-{status}", "--quiet", "--", sys.executable, script, status)
    assert (watched.returncode, watched.stdout) == (status, alone[0])
    assert set(alone[1].splitlines()) <= set(watched.stderr.splitlines())
    assert [point["step"] for point in service.points(f"wrapped-{status}")] == list(range(40))
    assert service.get(f"wrapped-{status}/report")["state"] == ("failed" if status else "finished")


def start_alone(script: Path, status: int) -> tuple[bytes, bytes]:
    process = subprocess.run([sys.executable, script, str(status)], capture_output=True, check=False)
    return process.stdout, process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("place", ["foreground", "background"])
def test_a_training_that_diverges_is_ended_with_the_advice(service: Service, script: Path, place: str) -> None:
    """Also where a shell put it into the background: it starts that with SIGINT ignored."""
    script.write_text(DIVERGING, encoding="utf-8")
    sigint = signal.SIG_IGN if place == "background" else signal.SIG_DFL
    words = ["run", "--run", "ended", "--stop-on", "critical", "--set", "learning_rate=0.1", "--", sys.executable]
    ended = done(*words, script, preexec_fn=partial(signal.signal, signal.SIGINT, sigint))
    assert ended.returncode == 130
    assert ended.stdout.endswith(b"a checkpoint was saved\n")
    assert b"ending the training: The loss is diverging" in ended.stderr
    assert b"advice: Lower the learning rate" in ended.stderr
    report = service.get("ended/report")
    assert report["state"] == "failed"
    assert "ended by losswatch" in report["error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
def test_signals_reach_the_training(service: Service, script: Path, name: str) -> None:
    script.write_text(WAITING, encoding="utf-8")
    process = start("run", "--run", f"signalled-{name}", "--", sys.executable, script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"step 1 loss 0.5\n"
    os.kill(process.pid, getattr(signal, name))
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (9, f"ended by {name}\n".encode())


def test_a_training_that_a_signal_ends_gives_the_status_of_a_shell(service: Service) -> None:
    ended = done("run", "--run", "killed", "--", "sh", "-c", "echo step 1 loss 0.5; kill -KILL $$")
    assert ended.returncode == 128 + signal.SIGKILL


def test_on_a_terminal_the_training_has_a_terminal(service: Service, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    code = "import sys; print('terminal:', sys.stdout.isatty(), sys.stderr.isatty()); print('step 1 loss 0.5')"
    process = start("run", "--run", "terminal", "--", sys.executable, "-c", code, stdout=theirs)
    os.close(theirs)
    process.communicate(timeout=PATIENCE)
    assert b"terminal: True True" in os.read(ours, 4096)
    os.close(ours)


@pytest.mark.slow
def test_a_service_that_is_away_changes_nothing_of_the_training(
    script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    script.write_text(TRAINING, encoding="utf-8")
    monkeypatch.setenv("LOSSWATCH_URL", "http://127.0.0.1:9")
    watched = done("run", "--run", "away", "--", sys.executable, script, 5)
    assert (watched.returncode, watched.stdout) == (5, start_alone(script, 5)[0])
    assert b"is away" in watched.stderr
    delivered = done("sync", "--from", "http://127.0.0.1:9", "--url", url)
    assert delivered.returncode == 0, delivered.stdout
    assert len(Service(url).points("away")) == 40


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run", "--", "no-such-command"], 127, b"cannot run no-such-command"),
        (["run", "--", "/"], 126, b"cannot run /"),
        (["run"], 64, b"give a command"),
        (["run", "--stop-on", "boredom", "--", "true"], 64, b"--stop-on"),
        ([], 64, b""),
    ],
)
def test_wrong_usage_is_said(service: Service, words: list[str], status: int, said: bytes) -> None:
    ended = done(*words)
    assert ended.returncode == status
    assert said in ended.stderr


@pytest.mark.slow
def test_a_flood_of_output_is_passed_on_whole(service: Service, script: Path) -> None:
    script.write_text(
        "for number in range(20_000):\n    print('file', number, 'of the test set is valid', 'x' * 60)\n"
        "for step in range(20):\n    print('step', step, 'loss', 2 * 0.9**step)\n",
        encoding="utf-8",
    )
    watched = done("run", "--run", "flood", "--", sys.executable, script)
    assert watched.returncode == 0
    assert watched.stdout == start_alone(script, 0)[0]
    assert len(service.points("flood")) == 20
