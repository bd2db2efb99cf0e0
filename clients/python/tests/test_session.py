"""A script that holds no run in its hand: the environment names it, and the module's own functions report."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from service_stub import BadService

import losswatch
from losswatch import job
from losswatch.names import slug


@pytest.fixture(autouse=True)
def nothing_left_open() -> Any:
    yield
    losswatch.finish()


def run_file(script: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings}
    return subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60)


def test_init_log_and_finish_report_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadService() as service:
        monkeypatch.setenv("LOSSWATCH_URL", service.url)
        run = losswatch.init("a", quiet=True, learning_rate=0.1)
        assert losswatch.current() is run
        losswatch.log(loss=1.0)
        losswatch.log({"loss": 0.5}, step=7)
        losswatch.finish()
        assert losswatch.current() is None
        assert service.steps == [0, 7]
        assert [request.path for request in service.requests][-1] == "/v1/runs/a/finish"


def test_init_ends_the_run_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadService() as service:
        monkeypatch.setenv("LOSSWATCH_URL", service.url)
        losswatch.init("a", quiet=True)
        losswatch.log(loss=1.0)
        losswatch.init("b", quiet=True)
        assert "/v1/runs/a/finish" in [request.path for request in service.requests]


def test_two_lines_are_a_whole_script(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import losswatch\nfor loss in (3.0, 2.0, 1.0): losswatch.log(loss=loss)")
    with BadService() as service:
        done = run_file(script, LOSSWATCH_URL=service.url, LOSSWATCH_RUN="from-outside", LOSSWATCH_PROJECT="team")
        assert done.returncode == 0, done.stderr
        assert service.steps == [0, 1, 2]
        assert {(request.path, request.query["project"]) for request in service.requests} == {
            ("/v1/runs/from-outside/points", "team"),
            ("/v1/runs/from-outside/finish", "team"),
        }


def test_a_disabled_client_sends_nothing_and_every_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadService() as service:
        monkeypatch.setenv("LOSSWATCH_DISABLED", "1")
        run = losswatch.init("a", url=service.url)
        run.log(0, loss=float("nan"))
        run.update_context(learning_rate=0.1)
        assert not run.check()
        assert run.flush()
        assert run.report is None
        losswatch.finish()
        assert service.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_may_log_to_the_run_of_their_parent(method: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import multiprocessing, losswatch

            def work(run):
                run.log(1, loss=2.0)

            if __name__ == "__main__":
                run = losswatch.init("a", quiet=True)
                run.log(0, loss=1.0)
                run.flush()
                worker = multiprocessing.get_context({method!r}).Process(target=work, args=(run,))
                worker.start()
                worker.join()
                losswatch.finish()
            """
        )
    )
    with BadService() as service:
        import os

        environment = {**os.environ, "LOSSWATCH_URL": service.url}
        done = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert sorted(service.steps) == [0, 1]
        ends = [request for request in service.requests if request.path.endswith("/finish")]
        assert len(ends) == 1


def test_a_spawned_worker_without_a_run_is_told_so_and_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing, losswatch

            def work():
                for step in range(3):
                    losswatch.log(step, loss=2.0)

            if __name__ == "__main__":
                worker = multiprocessing.get_context("spawn").Process(target=work)
                worker.start()
                worker.join()
                raise SystemExit(worker.exitcode)
            """
        )
    )
    with BadService() as service:
        import os

        environment = {**os.environ, "LOSSWATCH_URL": service.url}
        done = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0
        assert done.stderr.count("a worker process has no run") == 1
        assert service.requests == []


def test_listeners_hear_of_a_finding_once_and_a_failing_one_is_said(caplog: pytest.LogCaptureFixture) -> None:
    report = {
        "status": "critical",
        "action": "stop",
        "headline": "It is diverging.",
        "findings": [{"id": "f_1", "condition": "diverging", "severity": "critical", "summary": "It grew."}],
    }
    with BadService(lambda request, service: (200, {}, report)) as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        heard: list[Any] = []

        @run.on_finding
        def told(finding: dict[str, Any]) -> None:
            heard.append(finding["condition"])

        @run.on_finding
        def fails(finding: dict[str, Any]) -> None:
            raise ValueError("broken")

        for step in range(3):
            run.log(step, loss=1.0)
            assert run.flush()
        run.finish()
        assert heard == ["diverging"]
        assert sum("ValueError('broken')" in record.getMessage() for record in caplog.records) == 1


RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in (*job._RANKS, *job._JOBS, "MASTER_PORT"):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


@pytest.mark.parametrize("variable", RANKS)
def test_the_rank_is_the_launchers(no_launcher: pytest.MonkeyPatch, variable: str) -> None:
    assert job.own_rank() == 0
    no_launcher.setenv(variable, "3")
    assert job.own_rank() == 3
    assert losswatch.Run("a", url="http://127.0.0.1:9", quiet=True, flush_interval=60).rank == 3


def test_without_a_launcher_the_rank_is_that_of_a_framework_that_is_distributed(
    no_launcher: pytest.MonkeyPatch,
) -> None:
    state = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: False, get_rank=lambda: 2)
    no_launcher.setitem(sys.modules, "torch", SimpleNamespace(distributed=state))  # type: ignore[arg-type]
    jax = SimpleNamespace(
        distributed=SimpleNamespace(is_initialized=lambda: False), process_index=lambda: pytest.fail("starts devices")
    )
    no_launcher.setitem(sys.modules, "jax", jax)  # type: ignore[arg-type]
    assert job.own_rank() == 0
    state.is_initialized = lambda: True
    assert job.own_rank() == 2
    state.is_initialized = lambda: False
    jax.distributed.is_initialized = lambda: True
    jax.process_index = lambda: 5
    assert job.own_rank() == 5


def test_all_ranks_of_a_job_are_one_run(no_launcher: pytest.MonkeyPatch) -> None:
    alone = job.run_name()
    assert alone == slug(alone, "run")
    no_launcher.setenv("RANK", "1")
    no_launcher.setenv("MASTER_PORT", "29500")
    of_rank_1 = job.run_name()
    no_launcher.setenv("RANK", "0")
    assert job.run_name() == of_rank_1
    no_launcher.setenv("SLURM_JOB_ID", "4711")
    assert job.run_name().endswith("-4711")
    no_launcher.setenv("LOSSWATCH_RUN", "mine")
    assert job.run_name() == "mine"
