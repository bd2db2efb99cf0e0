"""``losswatch watch``: a file that grows, whatever becomes of it; a pipe; TensorBoard's and other trainers' files."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from watching.conftest import PATIENCE, Service, done, lines, start, written

pytestmark = pytest.mark.slow


def ended(process: object) -> bytes:
    process.send_signal(signal.SIGINT)  # type: ignore[attr-defined]
    _, err = process.communicate(timeout=PATIENCE)  # type: ignore[attr-defined]
    assert process.returncode == 0, err  # type: ignore[attr-defined]
    return bytes(err)


def test_a_file_is_followed_from_before_it_is_there(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    process = start("watch", log, "--run", "followed")
    written(log, "a banner\n" + lines(range(20)))
    service.waits_for("followed", lambda losses: len(losses) == 20)
    written(log, lines(range(20, 30)) + "step 30 lo")
    service.waits_for("followed", lambda losses: len(losses) == 30)
    written(log, "ss 0.25 lr 0.01\n")
    assert service.waits_for("followed", lambda losses: 30 in losses)[30] == 0.25
    ended(process)
    assert service.get("followed/report")["state"] == "running"


def test_rotation_and_truncation_lose_nothing(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, lines(range(12)))
    process = start("watch", log, "--run", "rotated")
    service.waits_for("rotated", lambda losses: len(losses) == 12)
    written(log, lines(range(12, 20)))
    log.rename(tmp_path / "train.log.1")
    written(log, lines(range(20, 30)))
    service.waits_for("rotated", lambda losses: len(losses) == 30)
    written(log, lines(range(30, 36)), mode="w")  # copied away and truncated
    assert sorted(service.waits_for("rotated", lambda losses: len(losses) == 36)) == list(range(36))
    ended(process)
    assert service.get("rotated/report")["attempt"] == 1


def test_started_again_it_goes_on_without_a_duplicate(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, lines(range(15)))
    first = start("watch", log, "--run", "again")
    service.waits_for("again", lambda losses: len(losses) == 15)
    ended(first)
    written(log, lines(range(15, 25)))
    second = start("watch", log, "--run", "again")
    service.waits_for("again", lambda losses: len(losses) == 25)
    ended(second)
    report = service.get("again/report")
    assert (report["attempt"], report["points"]) == (1, 25)


def test_killed_at_once_and_started_again_it_reports_each_point_once(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, lines(range(15)))
    first = start("watch", log, "--run", "killed-watcher")
    service.waits_for("killed-watcher", lambda losses: len(losses) >= 10)
    first.kill()
    first.communicate(timeout=PATIENCE)
    written(log, lines(range(15, 25)))
    assert done("watch", log, "--run", "killed-watcher", "--once").returncode == 0
    report = service.get("killed-watcher/report")
    assert sorted(service.losses("killed-watcher")) == list(range(25))
    assert report["points"] <= 50


def test_a_training_that_begins_anew_in_the_same_file_is_another_attempt(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, lines(range(20)))
    process = start("watch", log, "--run", "resumed")
    service.waits_for("resumed", lambda losses: len(losses) == 20)
    written(log, lines(range(5, 14), ratio=0.9))
    losses = service.waits_for("resumed", lambda found: max(found, default=0) == 13)
    assert losses[13] == pytest.approx(2.0 * 0.9**13, abs=1e-5)
    ended(process)
    assert service.get("resumed/report")["attempt"] == 2


def test_a_pipe_is_passed_on_unchanged(service: Service) -> None:
    text = lines(range(30)).encode() + b"\xff\x00 odd bytes \r\r\n\x1b[0m and no end"
    ended_ = done("watch", "-", "--run", "piped", stdin=text)
    assert (ended_.returncode, ended_.stdout) == (0, text)
    assert len(service.points("piped")) == 30
    assert service.get("piped/report")["state"] == "finished"


def test_a_pipe_without_a_loss_is_passed_on_and_said(service: Service) -> None:
    ended_ = done("watch", "-", "--run", "nothing", stdin=b"hello\nworld\n")
    assert (ended_.returncode, ended_.stdout) == (66, b"hello\nworld\n")
    assert b"nothing was read" in ended_.stderr


@pytest.mark.parametrize("name", ["train.log", "trainer_state.json"])
def test_what_is_not_there_and_what_is_empty_is_said_as_it_is(service: Service, tmp_path: Path, name: str) -> None:
    ended_ = done("watch", tmp_path / name, "--once")
    assert (ended_.returncode, ended_.stderr.count(b"No such file or directory")) == (66, 1)
    assert ended_.stderr.count(name.encode()) == 1
    written(tmp_path / "empty.log", "")
    ended_ = done("watch", tmp_path / "empty.log", "--once")
    assert (ended_.returncode, b"it is empty" in ended_.stderr) == (66, True)
    for words, said in ((["watch", "-"], b"nothing came"), (["run", "--", "true"], b"it printed nothing")):
        assert done(*words, stdin=b"").stderr == b"losswatch: " + said + b"\n"


def test_a_file_that_is_waited_for_is_said(service: Service, tmp_path: Path) -> None:
    process = start("watch", tmp_path / "trian.log")
    assert process.stderr is not None
    assert b"there is no" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 66


def test_late_fields_join_their_points_and_the_context_comes_along(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.jsonl"
    rows = [{"step": step, "loss": 2 * 0.9**step} for step in range(12)]
    written(log, "batch_size=32\n" + "".join(json.dumps(row) + "\n" for row in rows))
    process = start("watch", log, "--run", "late", "--set", "optimizer=sgd")
    service.waits_for("late", lambda losses: len(losses) == 12)
    written(log, json.dumps({"step": 11, "val_loss": 0.75}) + "\n" + json.dumps({"step": 12, "loss": 0.5}) + "\n")
    service.waits_for("late", lambda losses: 12 in losses)
    ended(process)
    last = {point["step"]: point for point in service.points("late")}[11]
    assert last["validation_loss"] == 0.75
    assert service.get("late")["context"]["optimizer"] == "sgd"


def test_metrics_that_are_written_anew_are_followed(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "bert-base" / "version_3"
    folder.mkdir(parents=True)
    metrics = folder / "metrics.csv"
    header = "epoch,step,train_loss\n"
    written(metrics, header + "".join(f"0,{step},{2 * 0.9**step:.4f}\n" for step in range(10)))
    process = start("watch", tmp_path / "bert-base")
    service.waits_for("bert-base-version_3", lambda losses: len(losses) == 10)
    wider = "epoch,step,train_loss,val_loss\n"
    written(metrics, wider + "".join(f"0,{step},{2 * 0.9**step:.4f},0.5\n" for step in range(14)), mode="w")
    service.waits_for("bert-base-version_3", lambda losses: len(losses) == 14)
    ended(process)
    assert {point["validation_loss"] for point in service.points("bert-base-version_3")} == {0.5}


def test_a_file_that_cannot_be_read_is_said(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, "epoch,accuracy\n1,0.5\n2,0.6\n")
    ended_ = done("watch", log, "--once")
    assert ended_.returncode == 66
    assert b"reports an accuracy" in ended_.stderr


def test_it_ends_with_the_process_that_writes(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, lines(range(15)))
    training = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    watcher = start("watch", log, "--run", "with-its-process", "--pid", training.pid)
    service.waits_for("with-its-process", lambda losses: len(losses) == 15)
    training.communicate(timeout=PATIENCE)
    watcher.communicate(timeout=PATIENCE)
    assert watcher.returncode == 0
    assert service.get("with-its-process/report")["state"] == "finished"


def test_it_ends_when_nothing_is_written_any_more(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    written(log, lines(range(15)))
    assert done("watch", log, "--run", "idle", "--idle", "0.5").returncode == 0
    assert service.get("idle/report")["state"] == "finished"
    assert len(service.points("idle")) == 15


def test_a_reading_that_is_revised_supersedes_what_was_sent(service: Service) -> None:
    from losswatch.cli.report import Reporter
    from losswatch_logs import LogPoint

    reporter = Reporter("revised", {}, url=service.url, rank=0, quiet=True)
    reporter.send([LogPoint(step, 1.0 / (step + 1)) for step in range(8)], {})
    reporter.send([LogPoint(step * 100, 1.0 / (step + 1)) for step in range(12)], {}, revised=True)
    reporter.finish("finished")
    assert sorted(service.losses("revised")) == [step * 100 for step in range(12)]
    assert service.get("revised/report")["attempt"] == 2
