"""The documented cases, judged both ways: by the monitor alone, and by a service that got every step over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import losswatch
from losswatch_server import codec
from losswatch_server.cli.demo import service
from losswatch_server.demo.trainings import Measurement, Training
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import diagnose

Judge = Callable[[Iterable[Measurement], Mapping[str, Any]], dict[str, Any]]


@cache
def trained(training: Callable[..., Training], *arguments: Any, **named: Any) -> tuple[Measurement, ...]:
    """The whole training, done once however many tests look at it."""
    return tuple(training(*arguments, **named))


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real service for all cases."""
    with service(tmp_path_factory.mktemp("service")) as url:
        yield url


def judge_alone(measured: Iterable[Measurement], context: Mapping[str, Any]) -> dict[str, Any]:
    """The report of the monitor."""
    points = [
        Point(
            m.step, loss=m.loss, grad_norm=m.grad_norm, validation_loss=m.validation_loss, learning_rate=m.learning_rate
        )
        for m in measured
    ]
    return codec.assessment_json(diagnose(points, Context(**context)))


@pytest.fixture(params=["monitor", pytest.param("service", marks=pytest.mark.slow)])
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    """Judges a training, by the monitor alone or by a service over HTTP."""
    if request.param == "monitor":
        return judge_alone
    url = request.getfixturevalue("service_url")
    name = f"case-{abs(hash(request.node.nodeid))}"

    def over_http(measured: Iterable[Measurement], context: Mapping[str, Any]) -> dict[str, Any]:
        run = losswatch.Run(name, url=url, quiet=True, flush_interval=0.02, spool_dir=tmp_path, **context)
        for m in measured:
            run.log(m.step, loss=m.loss, grad_norm=m.grad_norm, validation_loss=m.validation_loss)
        assert run.flush(60)
        run.finish()
        assert run.report is not None
        return run.report

    return over_http
