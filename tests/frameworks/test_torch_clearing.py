"""A training that forgets ``zero_grad`` is told from every one that adds gradients up on purpose."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import losswatch  # noqa: E402
from frameworks import sent  # noqa: E402
from frameworks.torch_models import classifier, data  # noqa: E402
from losswatch_server.monitor.model_facts import ModelFacts  # noqa: E402
from losswatch_server.monitor.points import Context, Point  # noqa: E402
from losswatch_server.monitor.report import diagnose  # noqa: E402
from losswatch_server.monitor.vocabulary import CauseName, Severity  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

Step = Callable[[Any, Any, Callable[[], Any]], None]


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Any:
    """Whatever cannot be measured is said: no test here expects that."""
    torch.manual_seed(3)
    with caplog.at_level(logging.WARNING, "losswatch"):
        yield
    assert [r.getMessage() for r in caplog.records if "not measured" in r.getMessage()] == []


def trained(step: Step, optimizer_of: Callable[[Any], Any] | None = None, count: int = 5, **options: Any) -> Any:
    """A few steps, each as ``step`` takes it from the model, the optimiser and a function that gives a loss."""
    model, criterion, (x, y) = classifier(), torch.nn.CrossEntropyLoss(), data()
    make = optimizer_of or (lambda model: torch.optim.SGD(model.parameters(), lr=0.05))
    optimizer = make(model)
    run = losswatch.torch.watch(model, optimizer, criterion, name="a", quiet=True, **options)
    for _ in range(count):
        step(model, optimizer, lambda: criterion(model(x), y))
    run.finish()
    return model


def forgotten(model: Any, optimizer: Any, loss: Any) -> None:
    loss().backward()
    optimizer.step()


def forgotten_while_accumulating(model: Any, optimizer: Any, loss: Any) -> None:
    for _ in range(3):
        (loss() / 3).backward()
    optimizer.step()


def forgotten_while_clipping(model: Any, optimizer: Any, loss: Any) -> None:
    loss().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()


@pytest.mark.parametrize("step", [forgotten, forgotten_while_accumulating, forgotten_while_clipping])
def test_gradients_that_nobody_clears_are_seen(service: Any, step: Step) -> None:
    trained(step)
    assert sent.facts(service)["gradients_cleared"] is False


def first(model: Any, optimizer: Any, loss: Any) -> None:
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


def after_the_loss(model: Any, optimizer: Any, loss: Any) -> None:
    computed = loss()
    optimizer.zero_grad()
    computed.backward()
    optimizer.step()


def at_the_end(model: Any, optimizer: Any, loss: Any) -> None:
    loss().backward()
    optimizer.step()
    model.zero_grad(set_to_none=False)


def by_hand(model: Any, optimizer: Any, loss: Any) -> None:
    for p in model.parameters():
        if p.grad is not None:
            p.grad.data.zero_()
    loss().backward()
    optimizer.step()


def accumulating(model: Any, optimizer: Any, loss: Any) -> None:
    for _ in range(4):
        (loss() / 4).backward()
    optimizer.step()
    optimizer.zero_grad()


def against_a_rival(model: Any, optimizer: Any, loss: Any) -> None:
    """As in an adversarial pair: the rival's pass reaches this model too, before its own gradients are cleared."""
    (-loss()).backward()
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


def with_a_closure(model: Any, optimizer: Any, loss: Any) -> None:
    def closure() -> Any:
        optimizer.zero_grad()
        computed = loss()
        computed.backward()
        return computed

    optimizer.step(closure)


@pytest.mark.parametrize(
    "step", [first, after_the_loss, at_the_end, by_hand, accumulating, against_a_rival, with_a_closure]
)
def test_gradients_that_are_cleared_in_any_way_are_known_to_be(service: Any, step: Step) -> None:
    trained(step)
    assert sent.facts(service)["gradients_cleared"] is True


def set_by_hand(model: Any, optimizer: Any, loss: Any) -> None:
    """Gradients that replace the last ones; ``backward`` is never called."""
    parameters = list(model.parameters())
    for p, gradient in zip(parameters, torch.autograd.grad(loss(), parameters), strict=True):
        p.grad = gradient
    optimizer.step()


def decaying(model: Any, optimizer: Any, loss: Any) -> None:
    """A momentum of one's own: the last gradients count nine tenths."""
    for p in model.parameters():
        if p.grad is not None:
            p.grad.mul_(0.9)
    loss().backward()
    optimizer.step()


@pytest.mark.parametrize("step", [set_by_hand, decaying])
def test_nothing_is_said_of_gradients_that_somebody_makes_himself(service: Any, step: Step) -> None:
    trained(step)
    assert sent.facts(service).get("gradients_cleared") is None


def test_gradients_of_what_the_optimiser_does_not_hold_may_add_up(service: Any) -> None:
    model = trained(first, lambda model: torch.optim.SGD(model[-1].parameters(), lr=0.05))
    assert sent.facts(service)["gradients_cleared"] is True
    assert model[0].weight.grad is not None


def test_without_facts_nothing_is_looked_at(service: Any) -> None:
    trained(forgotten, facts=False)
    assert sent.facts(service) == {}


def test_the_hooks_are_gone_after_the_third_step(service: Any) -> None:
    model = trained(forgotten, count=3)
    assert not any(p._backward_hooks for p in model.parameters())


def report_of(step: Step, service: Any) -> Any:
    """What somebody hears who asks about a training long enough to show what it does."""
    trained(step, lambda model: torch.optim.SGD(model.parameters(), lr=0.3), count=150)
    told = sent.context(service)
    context = Context(
        learning_rate=told["learning_rate"], optimizer=told["optimizer"], batch_size=told["batch_size"],
        loss_name=told["loss_name"], facts=ModelFacts.of(told["facts"]),
    )  # fmt: skip
    points = [Point(at, fields["loss"], fields["grad_norm"]) for at, fields in sorted(sent.points(service).items())]
    return diagnose(points, context, asked=True)


def test_the_cause_that_a_forgotten_zero_grad_is_stands_first(service: Any) -> None:
    report = report_of(forgotten, service)
    told = (*report.findings, *report.suspicions)
    assert told
    assert {one.causes[0].cause for one in told} == {CauseName.GRADIENTS_ACCUMULATING}
    assert "nothing clears them" in told[0].causes[0].because[0]
    assert told[0].advice[0].action == "zero_gradients"


def test_its_twin_that_clears_them_is_well(service: Any) -> None:
    report = report_of(first, service)
    assert not [f for f in report.findings if f.severity is not Severity.INFO]
    assert CauseName.GRADIENTS_ACCUMULATING not in {c.cause for s in report.suspicions for c in s.causes}
