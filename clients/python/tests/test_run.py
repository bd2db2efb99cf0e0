"""What a training script can rely on: nothing raises, nothing blocks, everything arrives."""

from __future__ import annotations

import contextlib
import gzip
import logging
import math
import pickle
import subprocess
import sys
import textwrap
import threading

import pytest
from service_stub import HEALTHY, BadService, eventually, free_port

import losswatch

CRITICAL = {
    **HEALTHY,
    "status": "critical",
    "action": "stop",
    "step": 5,
    "headline": "The loss is diverging.",
    "findings": [
        {
            "id": "f_1",
            "severity": "critical",
            "opened_step": 5,
            "closed_by": None,
            "summary": "It grew.",
            "advice": [{"summary": "Lower the learning rate."}],
        }
    ],
}


def test_what_is_logged_arrives_in_order_with_the_context_first() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01, learning_rate=0.01, optimizer="sgd")
        for step in range(500):
            run.log(step, loss=1 / (step + 1), grad_norm=2.0)
        run.finish()
        assert service.steps == list(range(500))
        assert service.requests[0].json["context"] == {"learning_rate": 0.01, "optimizer": "sgd"}
        assert all("context" not in request.json for request in service.requests[1:])
        assert {request.json["writer"] for request in service.requests if "points" in request.json} == {run.writer}
        assert service.requests[-1].path == "/v1/runs/a/finish"
        assert service.requests[-1].json == {"state": "finished"}


def test_the_report_and_its_verdict_are_there_after_a_flush() -> None:
    with BadService(lambda request, service: (200, {}, CRITICAL)) as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        assert (run.report, run.status, run.should_stop) == (None, "waiting", False)
        run.log(1, loss=1.0)
        assert run.flush()
        assert (run.status, run.should_stop) == ("critical", True)
        assert run.report == CRITICAL
        run.finish()


@pytest.mark.parametrize(("quiet", "times"), [(False, 1), (True, 0)])
def test_a_finding_is_said_once_unless_quiet(quiet: bool, times: int, caplog: pytest.LogCaptureFixture) -> None:
    with (
        BadService(lambda request, service: (200, {}, CRITICAL)) as service,
        caplog.at_level(logging.INFO, "losswatch"),
    ):
        run = losswatch.Run("a", url=service.url, quiet=quiet)
        for step in range(3):
            run.log(step, loss=1.0)
            assert run.flush()
        run.finish()
    said = [record.getMessage() for record in caplog.records if record.name == "losswatch"]
    link = f"{service.url}/runs/a"
    assert (
        said
        == [
            f"losswatch: a: reports to {link}",
            "losswatch: a, step 5: The loss is diverging. Lower the learning rate.",
            f"losswatch: a: finished after step 5. The loss is diverging. {link}",
        ]
        * times
    )


def test_values_that_are_not_finite_travel_as_strings() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(1, loss=math.nan, grad_norm=math.inf, layers={"w": -math.inf})
        run.finish()
        assert service.stored == [{"step": 1, "loss": "NaN", "grad_norm": "Infinity", "layers": {"w": "-Infinity"}}]


def test_what_was_not_measured_is_left_out() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(1, loss=1.0, validation_loss=None)
        run.log(2, validation_loss=None)
        run.log(3, loss=None, grad_norm=1)
        run.finish()
        assert service.stored == [{"step": 1, "loss": 1.0}, {"step": 3, "grad_norm": 1.0}]


@pytest.mark.parametrize(
    ("fields", "sent", "said"),
    [
        ({"grad_nrom": 1.0}, {"metrics": {"grad_nrom": 1.0}}, "did you mean grad_norm?"),
        ({"lr": 0.1}, {"metrics": {"lr": 0.1}}, "did you mean learning_rate?"),
        ({"tokens": 9.0}, {"metrics": {"tokens": 9.0}}, "kept and drawn as a metric"),
        ({"vall_loss": 0.9}, {"metrics": {"vall_loss": 0.9}}, "did you mean validation_loss?"),
        ({"val_acuracy": 0.9}, {"metrics": {"val_acuracy": 0.9}}, "did you mean val_accuracy?"),
        ({"loss": "0.5", "grad_norm": 1.0}, {"grad_norm": 1.0}, "loss is left out: it is a str, not a number"),
        ({"loss": True, "grad_norm": 1.0}, {"grad_norm": 1.0}, "loss is left out: it is a bool"),
        ({"loss": object(), "grad_norm": 1.0}, {"grad_norm": 1.0}, "loss is left out: it is a object"),
        ({"loss": 10**400, "grad_norm": 1.0}, {"grad_norm": 1.0}, "too large for a float"),
    ],
)
def test_a_strange_field_is_a_warning_and_never_an_error(
    fields: dict[str, object], sent: dict[str, object], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        for step in range(3):
            run.log(step, **fields)
        run.finish()
        assert service.stored == [{"step": step, **sent} for step in range(3)]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [warning.count(said) for warning in warnings] == [1]


@pytest.mark.parametrize("step", [-1, 2**53, 1.5, "7", True, math.nan, object()])
def test_a_point_with_an_impossible_step_is_left_out_and_said(step: object, caplog: pytest.LogCaptureFixture) -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(step, loss=1.0)
        run.log(3, loss=1.0)
        assert not run.flush()
        run.finish()
        assert service.steps == [3]
        assert run.dropped == 1
    assert "a step must be a whole number" in caplog.text


def test_logging_waits_for_no_answer_of_the_service() -> None:
    """How many microseconds it takes is measured by make bench-client."""
    released, answered = threading.Event(), []

    def hang(request: object, service: object) -> tuple[int, dict[str, str], object]:
        answered.append(released.wait(60))
        return 200, {}, HEALTHY

    with BadService(hang) as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        for step in range(2000):
            run.log(step, loss=1.0, grad_norm=1.0)
        assert answered == []
        released.set()
        run.finish()
        assert service.steps == list(range(2000))


def test_a_value_that_is_still_being_computed_is_waited_for_by_the_sender_alone() -> None:
    computed = threading.Event()

    class OnDevice:
        """Stands for a number on an accelerator: reading it waits until the device has caught up."""

        def item(self) -> float:
            assert threading.current_thread() is not threading.main_thread()
            computed.wait(60)
            return 0.25

    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.01)
        for step in range(100):
            run.log(step, loss=OnDevice())
        assert service.stored == []
        computed.set()
        run.finish()
        assert [point["loss"] for point in service.stored] == [0.25] * 100


def test_a_numpy_value_is_taken_as_it_is_now() -> None:
    import numpy as np

    total = np.zeros(1, np.float32)
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        for step in range(3):
            total += 0.5
            run.log(np.int64(step), loss=total, grad_norm=np.float16(1.5))
        run.finish()
        assert [(point["step"], point["loss"]) for point in service.stored] == [(0, 0.5), (1, 1.0), (2, 1.5)]


def test_a_value_with_many_elements_is_refused_with_what_to_pass(caplog: pytest.LogCaptureFixture) -> None:
    import numpy as np

    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(1, loss=np.zeros(3), grad_norm=1.0)
        run.finish()
        assert service.stored == [{"step": 1, "grad_norm": 1.0}]
    assert "loss is left out" in caplog.text


def test_the_oldest_points_give_way_when_the_queue_is_full(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("losswatch.run.QUEUE_LENGTH", 10)
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.5, optimizer="sgd")
        for step in range(100):
            run.log(step, loss=1.0)
        assert not run.flush()
        assert service.steps == list(range(90, 100))
        assert service.requests[0].json["context"] == {"optimizer": "sgd"}
        assert run.dropped == 90
        run.finish()
    assert caplog.text.count("the oldest are dropped") == 1


def test_a_large_body_is_compressed_and_a_small_one_is_not() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.2)
        run.log(0, loss=1.0)
        assert run.flush()
        for step in range(1, 1500):
            run.log(step, loss=1 / step, grad_norm=step / 7)
        run.finish()
        small, large = service.requests[:2]
        assert "content-encoding" not in small.headers
        assert large.headers["content-encoding"] == "gzip"
        assert large.size < len(gzip.compress(b"")) + 60_000
        assert service.steps == list(range(1500))


def test_a_step_back_begins_a_request_of_its_own() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.3)
        for step in [1, 2, 3, 2, 3, 4]:
            run.log(step, loss=1.0)
        run.finish()
        assert [request.steps for request in service.requests if request.steps] == [[1, 2, 3], [2, 3, 4]]


def test_a_changed_context_travels_with_the_points_that_follow_it() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.3, learning_rate=0.1)
        run.log(1, loss=1.0)
        run.update_context(learning_rate=0.01)
        run.log(2, loss=1.0)
        run.finish()
        sent = [(request.json.get("context"), request.steps) for request in service.requests[:2]]
        assert sent == [({"learning_rate": 0.1}, [1]), ({"learning_rate": 0.01}, [2])]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, {"state": "finished"}),
        (ValueError("x"), {"state": "failed", "error": "ValueError: x"}),
        (KeyboardInterrupt(), {"state": "cancelled"}),
        (SystemExit(0), {"state": "finished"}),
        (SystemExit(3), {"state": "failed", "error": "SystemExit: 3"}),
    ],
)
def test_the_context_manager_ends_the_run_by_how_the_block_ended(
    error: BaseException | None, end: dict[str, str]
) -> None:
    with BadService() as service:
        with (
            contextlib.nullcontext() if error is None else pytest.raises(type(error)),
            losswatch.Run("a", url=service.url) as run,
        ):
            run.log(1, loss=1.0)
            if error is not None:
                raise error
        assert service.requests[-1].json == end


def test_a_forked_child_reports_its_own_points_and_leaves_the_parents_alone() -> None:
    with BadService() as service:
        script = f"""
            import os, sys, losswatch
            run = losswatch.Run("a", url="{service.url}", flush_interval=60)
            run.log(1, loss=1.0)
            child = os.fork()
            if child == 0:
                run.log(2, validation_loss=2.0)
                sys.exit(0)
            os.waitpid(child, 0)
            run.log(3, loss=3.0)
        """
        subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=True, timeout=60)
        by_writer: dict[str, list[int]] = {}
        for request in service.requests:
            if request.steps:
                by_writer.setdefault(request.json["writer"], []).extend(request.steps)
        assert sorted(by_writer.values()) == [[1, 3], [2]]
        assert [request.json for request in service.requests if request.path.endswith("/finish")] == [
            {"state": "finished"}
        ]


def test_a_run_goes_through_pickle_to_a_worker_process_without_its_key() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, api_key="secret")
        pickled = pickle.dumps(run)
        assert b"secret" not in pickled
        copy = pickle.loads(pickled)
        copy.log(7, loss=1.0)
        copy.finish()
        run.finish()
        assert service.steps == [7]
        assert not [request for request in service.requests if request.path.endswith("/finish")]


def test_other_ranks_send_only_what_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(1, loss=1.0)
        run.log(2, loss=math.nan)
        run.finish()
        assert service.stored == [{"step": 2, "loss": "NaN", "rank": 3}]
        assert not [request for request in service.requests if request.path.endswith("/finish")]


def test_the_environment_says_where_and_as_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadService() as service:
        monkeypatch.setenv("LOSSWATCH_URL", service.url)
        monkeypatch.setenv("LOSSWATCH_API_KEY", "secret")
        monkeypatch.setenv("LOSSWATCH_PROJECT", "vision")
        run = losswatch.Run("a")
        run.log(1, loss=1.0)
        run.finish()
        assert service.requests[0].headers["authorization"] == "Bearer secret"
        assert service.requests[0].query == {"project": "vision"}


def test_a_proxy_for_the_outside_world_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(1, loss=1.0)
        assert run.flush()
        run.finish()


def test_a_name_that_cannot_be_one_is_mended_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with BadService() as service:
        run = losswatch.Run("my run: lr=0.1/é", url=service.url)
        run.log(1, loss=1.0)
        run.finish()
        assert service.requests[0].path == "/v1/runs/my-run-lr-0.1-/points"
    assert "cannot be the name of a run" in caplog.text


def test_logging_after_the_end_is_harmless() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url)
        run.log(1, loss=1.0)
        run.finish()
        run.finish()
        run.log(2, loss=1.0)
        assert run.flush()
        assert not run.check()
        assert service.steps == [1]


def test_nothing_is_imported_for_a_network_before_a_run_begins() -> None:
    script = "import sys, losswatch; print('httpx' in sys.modules, 'ssl' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_a_reader_gets_the_first_answer_within_a_flush_interval() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, flush_interval=0.05)
        run.log(1, loss=1.0)
        assert eventually(lambda: run.report == HEALTHY)
        run.finish()
