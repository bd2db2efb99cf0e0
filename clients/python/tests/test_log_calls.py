"""However `log` is called: it never raises, it counts where no step is given, and what it cannot take is said once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_stub import HEALTHY, BadService, Request, well

import losswatch
from losswatch.points import encode, encode_plain


@given(
    st.integers(-2, 2**53 + 2),
    st.one_of(st.floats(), st.none(), st.integers()),
    st.one_of(st.floats(), st.none(), st.integers()),
)
def test_a_plain_point_is_encoded_by_the_short_way_as_by_the_long_one(step: int, loss: Any, grad_norm: Any) -> None:
    short = encode_plain(step, loss, grad_norm)
    assert short is None or short == encode(step, {"loss": loss, "grad_norm": grad_norm})


def test_the_usual_point_takes_the_short_way() -> None:
    assert encode_plain(3, 0.5, 1e-300) is not None
    assert encode_plain(3, 0.5, None) is not None
    assert encode_plain(3, float("nan"), None) is None


@pytest.mark.parametrize(
    ("calls", "steps"),
    [
        pytest.param([((), {"loss": 1.0})] * 3, [0, 1, 2], id="without steps"),
        pytest.param([((10,), {"loss": 1.0}), ((), {"loss": 1.0})], [10, 11], id="after a step"),
        pytest.param([((), {"loss": 1.0}), ((5,), {"loss": 1.0}), ((), {"loss": 2.0})], [0, 5, 6], id="around a step"),
        pytest.param([((), {"loss": 1.0, "step": 7}), ((), {"loss": 1.0})], [7, 8], id="step by name"),
        pytest.param(
            [((None,), {"loss": 1.0}), ((), {}), ((), {"loss": None}), ((), {"loss": 1.0})], [0, 1], id="empty"
        ),
        pytest.param(
            [(({"loss": 1.0},), {}), (({"loss": 1.0},), {"step": 4}), ((5, {"loss": 1.0}), {})], [0, 4, 5], id="a dict"
        ),
        pytest.param([(({"loss": 1.0}, 3), {}), (({"loss": 1.0, "step": 4},), {})], [3, 4], id="a dict and its step"),
    ],
)
def test_a_step_that_is_not_given_is_the_one_after_the_last(
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]], steps: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        for arguments, values in calls:
            run.log(*arguments, **values)
        assert run.flush()
        run.finish()
        assert service.steps == steps
    assert caplog.records == []


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just(object()), st.binary()
)
ARGUMENTS = st.lists(st.one_of(ODD, st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), ODD)), max_size=3)
NAMES = st.one_of(st.sampled_from(["self", "step", "loss", "layers", "metrics", "time", "rank"]), st.text(max_size=5))


@pytest.fixture(scope="module")
def service() -> Any:
    with BadService() as service:
        yield service


@given(
    st.lists(
        st.tuples(ARGUMENTS, st.dictionaries(NAMES, st.one_of(ODD, st.dictionaries(st.text(max_size=3), ODD)))),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_log_never_raises_and_takes_no_other_point_with_it(
    service: BadService, calls: list[tuple[list[Any], dict[str, Any]]]
) -> None:
    run = losswatch.Run("a", url=service.url, quiet=True, flush_interval=0.01)
    for arguments, values in calls:
        run.log(*arguments, **values)
    run.log(2**52, loss=0.125)
    run.flush()
    run.finish()
    sent = [point for point in service.stored if point["step"] == 2**52 and point.get("loss") == 0.125]
    assert sent
    service.stored.clear()


def test_a_value_without_a_name_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        for step in range(100):
            run.log(step, 0.5)
        run.finish()
    assert caplog.text.count("a value without a name is left out") == 1


def test_two_thousand_bad_points_are_a_handful_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Every kind of notice once a run, none with a whole point in it."""
    with BadService() as service:
        run = losswatch.Run("my run", project="my proj", url=service.url, learnig_rate=0.1)
        for step in range(2000):
            run.log(
                -1 if step % 10 == 0 else step,
                loss="much" if step % 3 == 0 else 1.0,
                layers={f"layer {place}": 1.0 for place in range(1100 if step % 50 == 0 else 3)},
                metrics={"x" * 300: 1.0},
                **{f"metric_{step}": 1.0},
            )
        run.finish()
        assert {request.query["project"] for request in service.requests} == {"my-proj"}
        assert len(service.requests[0].path) < 40
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said)) <= 12
    assert max(map(len, said)) < 300


def critical(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
    """A service that finds fault with step 3, without doubt from step 5 on."""
    step = max(request.steps, default=9)
    action = "stop" if step >= 5 else "look" if step >= 3 else "continue"
    return 200, {}, {**HEALTHY, "status": "critical" if step >= 3 else "healthy", "action": action, "step": step}


@pytest.mark.parametrize(("stop_on", "stops_at"), [("stop", 5), ("critical", 3)])
def test_check_stops_a_loop_of_fast_steps_where_the_service_says_so(stop_on: str, stops_at: int) -> None:
    with BadService(critical) as service:
        run = losswatch.Run("a", url=service.url, quiet=True, stop_on=stop_on)
        for step in range(500):
            run.log(step, loss=1.0)
            if run.check():
                break
        run.finish()
        assert step == stops_at


def test_check_does_not_wait_for_a_service_that_is_away() -> None:
    run = losswatch.Run("a", url="http://127.0.0.1:9", quiet=True, flush_interval=0.01)
    for step in range(200):
        run.log(step, loss=1.0)
        assert not run.check(timeout=3600.0)
    run.finish(timeout=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("logging_is_set_up", [False, True])
def test_a_healthy_run_says_where_it_reports_and_how_it_ended_and_nothing_more(
    quiet: bool, logging_is_set_up: bool
) -> None:
    script = f"""
        import losswatch, logging
        if {logging_is_set_up}:
            logging.basicConfig(format="%(message)s")
        run = losswatch.Run("a", url="URL", quiet={quiet})
        for step in range(50):
            run.log(step, loss=1.0)
        run.finish()
    """
    with BadService(lambda request, service: (200, {}, {**HEALTHY, "step": 49})) as service:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script).replace("URL", service.url)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        link = f"{service.url}/runs/a"
    lines = [
        f"losswatch: a: reports to {link}",
        f"losswatch: a: finished after step 49. Healthy: the loss falls. {link}",
    ]
    assert done.stdout == ""
    assert done.stderr.splitlines() == ([] if quiet else lines)


@pytest.mark.slow
def test_an_answer_of_something_else_than_losswatch_is_not_taken_for_delivery() -> None:
    with BadService(lambda request, service: (200, {}, {"ok": True})) as service:
        run = losswatch.Run("a", url=service.url, quiet=True, flush_interval=0.01)
        run.log(1, loss=1.0)
        assert not run.flush(0.5)
        service.answer = well
        run.finish()
        assert service.steps[-1] == 1


@pytest.mark.slow
def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    with BadService() as service:
        for block in blocks:
            head = f"import os; os.environ['LOSSWATCH_URL'] = {service.url!r}\n"
            done = subprocess.run([sys.executable, "-c", head + block], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        assert json.dumps(service.stored).count('"loss"') > 0


def test_a_forked_child_counts_on_whatever_its_parent_told_last() -> None:
    body = """
        import os, sys
        import losswatch
        run = losswatch.Run("a", url=sys.argv[1], quiet=True, flush_interval=60)
        run.log(5, loss=1.0)
        run.update_context(note="later")
        child = os.fork()
        if child == 0:
            run.log(loss=1.0)
            sys.exit(0)
        os.waitpid(child, 0)
    """
    with BadService() as service:
        subprocess.run([sys.executable, "-c", textwrap.dedent(body), service.url], check=True, timeout=60)
        assert service.steps == [5, 6]
