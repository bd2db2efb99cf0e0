"""``losswatch import`` and the folders of trainers: what is a run, what it is called, and that twice is once."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from event_bytes import begin, event, simple, tensor

from watching.conftest import PATIENCE, Service, done, lines, start, written


@pytest.mark.slow
def test_runs_that_are_over_are_reported_and_judged(service: Service, tmp_path: Path) -> None:
    written(tmp_path / "good.log", lines(range(40)))
    written(tmp_path / "bad.csv", "step,loss\n" + "".join(f"{step},{0.1 * 2.0**step}\n" for step in range(30)))
    imported = done("import", tmp_path / "good.log", tmp_path / "bad.csv")
    assert imported.returncode == 0, imported.stderr
    assert b"bad: 30 points" in imported.stderr
    assert b"critical: The loss is diverging" in imported.stderr
    assert service.get("good/report")["state"] == "finished"
    assert service.get("bad/report")["status"] == "critical"


def test_imported_twice_is_imported_once(service: Service, tmp_path: Path) -> None:
    written(tmp_path / "twice.log", lines(range(25)))
    assert done("import", tmp_path / "twice.log").returncode == 0
    assert done("import", tmp_path / "twice.log").returncode == 0
    report = service.get("twice/report")
    assert (report["points"], report["attempt"]) == (25, 1)


@pytest.mark.slow
def test_a_long_log_is_imported_whole(service: Service, tmp_path: Path) -> None:
    written(tmp_path / "long.log", lines(range(12_000), ratio=0.9999))
    imported = done("import", tmp_path / "long.log")
    assert imported.returncode == 0, imported.stderr
    assert service.get("long/report")["points"] == 12_000


def test_folders_of_trainers_give_a_run_each_with_names_that_differ(service: Service, tmp_path: Path) -> None:
    for version in (0, 1):
        folder = tmp_path / "sweep" / "lightning_logs" / f"version_{version}"
        folder.mkdir(parents=True)
        written(folder / "metrics.csv", "epoch,step,train_loss\n" + "".join(f"0,{n},{1 / (n + 1)}\n" for n in range(9)))
    state = {"log_history": [{"step": n, "loss": 1 / n, "epoch": n / 10} for n in range(1, 9)], "max_steps": 8}
    for checkpoint in (4, 8):
        folder = tmp_path / "bert" / f"checkpoint-{checkpoint}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    assert done("import", tmp_path / "sweep", tmp_path / "bert").returncode == 0
    assert len(service.points("sweep-version_0")) == len(service.points("sweep-version_1")) == 9
    assert len(service.points("bert")) == 8


def test_what_cannot_be_read_is_said_and_the_rest_is_imported(service: Service, tmp_path: Path) -> None:
    written(tmp_path / "prose.txt", "nothing here\n")
    written(tmp_path / "fine.log", lines(range(10)))
    imported = done("import", tmp_path / "prose.txt", tmp_path / "fine.log", tmp_path / "missing.log")
    assert imported.returncode == 66
    assert b"prose.txt: No training log" in imported.stderr
    assert b"missing.log" in imported.stderr
    assert len(service.points("fine")) == 10


@pytest.mark.slow
def test_event_files_are_followed_with_their_sets(service: Service, tmp_path: Path) -> None:
    logs = tmp_path / "keras-run"
    files = {name: logs / name / "events.out.tfevents.1900000000.host.1.0.v2" for name in ("train", "validation")}
    for path in files.values():
        path.parent.mkdir(parents=True)
        path.write_bytes(begin())

    def epoch(number: int) -> None:
        for name, loss in (("train", 2.0), ("validation", 2.5)):
            with files[name].open("ab") as file:
                file.write(event(number, tensor("epoch_loss", loss / (number + 1))))

    for number in range(10):
        epoch(number)
    process = start("watch", logs)
    service.waits_for("keras-run", lambda losses: len(losses) == 10)
    epoch(10)
    service.waits_for("keras-run", lambda losses: 10 in losses)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    last = service.points("keras-run")[-1]
    assert last["validation_loss"] > last["loss"] > 0.0


def test_a_folder_of_event_files_gives_a_run_for_each_of_its_folders(service: Service, tmp_path: Path) -> None:
    for name, start_loss in (("lr-high", 4.0), ("lr-low", 3.0)):
        folder = tmp_path / "tb" / name
        folder.mkdir(parents=True)
        data = b"".join(event(step, simple("loss", start_loss / (step + 1))) for step in range(12))
        (folder / "events.out.tfevents.1.host").write_bytes(begin() + data)
    assert done("import", tmp_path / "tb").returncode == 0
    assert service.losses("lr-high")[0] == 4.0
    assert service.losses("lr-low")[0] == 3.0
