"""PyTorch itself trains tiny models; what the watch reports is what PyTorch says, and nothing is ever waited for."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

import losswatch  # noqa: E402
from frameworks import sent  # noqa: E402
from frameworks.torch_models import INPUTS, SAMPLES, classifier, data  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Any:
    """Whatever cannot be measured is said: no test here expects that."""
    torch.manual_seed(3)
    with caplog.at_level(logging.WARNING, "losswatch"):
        yield
    assert [r.getMessage() for r in caplog.records if "not measured" in r.getMessage()] == []


def test_a_loop_with_clipping_reports_each_step_with_the_norm_before_it(service: Any) -> None:
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.1)
    run = losswatch.torch.watch(model, optimizer, name="a", quiet=True, layers_every=3)
    x, y = data()
    norms, trained, rates, layers = [], [], [], []
    for _ in range(12):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        layers.append([math.hypot(m.weight.grad.norm(), m.bias.grad.norm()) for m in model if hasattr(m, "weight")])
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1e-3)))
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        run.log(loss=loss)
        trained.append(loss.item())
    run.finish()
    points = sent.points(service)
    assert sorted(points) == list(range(12))
    assert [points[step]["grad_norm"] for step in range(12)] == pytest.approx(norms, rel=1e-5)
    assert [points[step]["loss"] for step in range(12)] == trained
    assert [points[step]["learning_rate"] for step in range(12)] == rates
    assert [step for step in range(12) if "layers" in points[step]] == [0, 3, 6, 9]
    assert list(points[3]["layers"]) == ["0", "2", "4"]
    assert list(points[3]["layers"].values()) == pytest.approx(layers[3], rel=1e-5)
    told = sent.context(service)
    assert (told["optimizer"], told["learning_rate"], told["grad_norm_is"]) == ("sgd", 0.1, "before_clip")
    assert (told["loss_name"], told["batch_size"], told["framework"]) == ("cross_entropy", SAMPLES, "torch")
    assert told["grad_clip"] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("logs_before_the_step", [True, False])
def test_the_loss_may_be_logged_before_or_after_the_step(service: Any, logs_before_the_step: bool) -> None:
    model = nn.Linear(INPUTS, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    run = losswatch.torch.watch(model, optimizer, name="a", quiet=True)
    x, _ = data()
    trained = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x.sum(1, keepdim=True))
        trained.append(loss.item())
        if logs_before_the_step:
            run.log(loss=loss)
        loss.backward()
        optimizer.step()
        if not logs_before_the_step:
            run.log(loss=loss, accuracy=0.5)
    run.log(validation_loss=2.0)
    run.finish()
    points = sent.points(service)
    assert [points[step]["loss"] for step in range(5)] == trained
    assert all("grad_norm" in points[step] for step in range(5))
    assert sorted(points) == list(range(5))
    assert points[4]["validation_loss"] == 2.0


@pytest.mark.parametrize("is_divided", [True, False])
@pytest.mark.parametrize("logs", [True, False])
def test_accumulated_gradients_are_one_step_with_the_mean_loss(service: Any, is_divided: bool, logs: bool) -> None:
    model, loss_fn = classifier(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    run = losswatch.torch.watch(model, optimizer, None if logs else loss_fn, name="a", quiet=True)
    x, y = data()
    means, norms = [], []
    for _ in range(4):
        optimizer.zero_grad()
        parts = []
        for part in range(4):
            loss = loss_fn(model(x[part * 16 :][:16]), y[part * 16 :][:16])
            parts.append(loss.item())
            loss = loss / 4 if is_divided else loss
            loss.backward()
            if logs:
                run.log(loss=loss)
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1e9)))
        optimizer.step()
        means.append(sum(parts) / 4)
    run.finish()
    points = sent.points(service)
    assert [points[step]["loss"] for step in range(4)] == pytest.approx(means, rel=1e-5)
    assert [points[step]["grad_norm"] for step in range(4)] == pytest.approx(norms, rel=1e-5)
    assert sorted(points) == list(range(4))


def test_one_line_is_enough_where_the_loss_is_a_module(service: Any) -> None:
    model, loss_fn = classifier(), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    run = losswatch.torch.watch(model, optimizer, loss_fn, name="a", quiet=True)
    x, y = data()
    trained = []
    for _ in range(6):
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trained.append(loss.item())
        with torch.no_grad():
            model.eval()
            held_out = loss_fn(model(x[:8]), y[:8])
            model.train()
        run.log(loss=loss, validation_loss=held_out)  # the same loss once more changes nothing
    run.finish()
    points = sent.points(service)
    assert [points[step]["loss"] for step in range(6)] == trained
    assert all("validation_loss" in points[step] for step in range(6))
    assert sent.context(service)["weight_decay"] == 0.01


def test_a_scaler_is_divided_out_and_the_steps_that_it_skips_are_told(service: Any) -> None:
    model = nn.Linear(INPUTS, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    run = losswatch.torch.watch(model, optimizer, scaler=scaler, name="a", quiet=True)
    x, _ = data()
    norms = []
    for step in range(6):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x.sum(1, keepdim=True)) * (math.inf if step in (2, 3) else 1.0)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 0.01)))
        scaler.step(optimizer)
        scaler.update()
        run.log(loss=loss)
    run.finish()
    points = sent.points(service)
    assert sorted(points) == list(range(6))
    assert [points[step]["grad_norm"] for step in (0, 1, 4, 5)] == pytest.approx(norms[:2] + norms[4:], rel=1e-5)
    assert all(isinstance(points[step]["grad_norm"], str) for step in (2, 3))
    assert [isinstance(points[step]["loss"], str) for step in range(6)] == [False, False, True, True, False, False]


def test_groups_of_parameters_have_their_own_rates(service: Any) -> None:
    model = classifier()
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2:].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.25)
    run = losswatch.torch.watch(model, optimizer, nn.CrossEntropyLoss(), name="a", quiet=True)
    x, y = data()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    run.finish()
    (point,) = sent.points(service).values()
    assert (point["learning_rate"], point["metrics"]) == (0.5, {"learning_rate_of_group_1": 0.25})


def test_nothing_is_read_from_a_device_in_the_training_thread(service: Any) -> None:
    """Tensors of the meta device have no numbers at all: whoever asks for one gets an error, and it would be said."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        x, y = torch.empty(16, 3, 8, 8), torch.empty(16, dtype=torch.long)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    run = losswatch.torch.watch(model, optimizer, loss_fn, name="a", quiet=True, flush_interval=60)
    for _ in range(12):
        loss = loss_fn(model(x), y) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss)
    run.remove()
    assert run.run._step_so_far() == 11


def test_hooks_are_gone_after_finish_and_module_level_calls_find_the_run(service: Any) -> None:
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losswatch.init("mine", quiet=True)
    run = losswatch.torch.watch(model, optimizer)
    assert run.run is losswatch.current()
    x, y = data()
    for _ in range(3):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losswatch.log(loss=loss)
    run.finish()
    assert sorted(sent.points(service)) == [0, 1, 2]
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


def test_a_step_that_is_named_resumes_there(service: Any) -> None:
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = losswatch.torch.watch(model, optimizer, name="a", quiet=True)
    x, y = data()
    for step in range(500, 504):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        run.log(step, loss=loss)
    run.finish()
    assert sorted(sent.points(service)) == [500, 501, 502, 503]


def test_losses_that_are_logged_now_and_then_belong_to_their_step(service: Any) -> None:
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = losswatch.torch.watch(model, optimizer, name="a", quiet=True)
    x, y = data()
    for step in range(9):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if step % 3 == 2:
            run.log(loss=loss.item())
    run.finish()
    points = sent.points(service)
    assert [step for step in range(9) if "loss" in points[step]] == [2, 5, 8]
    assert all("grad_norm" in points[step] for step in range(9))


def test_a_script_that_never_steps_is_reported_loss_by_loss_with_weights_that_do_not_move(service: Any) -> None:
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = losswatch.torch.watch(model, optimizer, name="a", quiet=True)
    x, y = data()
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        run.log(loss=loss)
    run.finish()
    assert sorted(sent.points(service)) == list(range(200))
    assert len(set(sent.losses(service))) == 1
    assert sent.facts(service)["update_to_weight"] == 0.0
