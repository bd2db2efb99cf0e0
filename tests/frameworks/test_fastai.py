"""fastai: steps have their loss and norm before clipping, epochs their validation, and the verdict stops a fit."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import losswatch
from frameworks import sent

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("fastai.learner", reason="fastai is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import sets an option that its newest pandas does not have any more
    from fastai.callback.training import GradientAccumulation, GradientClip
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import SGD


def learner(**given: Any) -> Any:
    torch.manual_seed(3)
    x = torch.randn(48, 4)
    pairs = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    loaders = [torch.utils.data.DataLoader(pairs, batch_size=8) for _ in range(2)]
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    given = {"loss_func": torch.nn.MSELoss(), "opt_func": SGD, "lr": 0.01, "wd": 0.0, **given}
    made = Learner(DataLoaders(*loaders), model, **given)
    made.no_logging().__enter__()
    made.no_bar().__enter__()
    return made


def test_every_step_has_its_loss_and_its_norm_before_clipping(service: Any) -> None:
    learn = learner()
    expected = []
    x = torch.utils.data.DataLoader(learn.dls.train.dataset, batch_size=8)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    model.load_state_dict(learn.model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for inputs, targets in list(x) * 2:
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        expected.append((loss.item(), float(norm)))
    learn.fit(2, cbs=[losswatch.fastai.LosswatchCallback("fastai"), GradientClip(0.1)])
    points = [point for point in service.stored if "loss" in point]
    assert [point["step"] for point in points] == list(range(12))
    assert [(point["loss"], point["grad_norm"]) for point in points] == [
        pytest.approx(pair, rel=1e-4) for pair in expected
    ]
    validated = [point for point in service.stored if "validation_loss" in point]
    assert [(point["step"], point["epoch"]) for point in validated] == [(5, 0), (11, 1)]
    context = sent.context(service)
    assert {name: context[name] for name in ("framework", "optimizer", "learning_rate", "total_steps")} == {
        "framework": "fastai", "optimizer": "sgd", "learning_rate": 0.01, "total_steps": 12,
    }  # fmt: skip
    assert context["facts"]["hidden_activations"] == ["relu"]
    assert context["facts"]["optimizer_parameters"] == context["facts"]["parameters"] == 49
    assert service.requests[-1].path.endswith("/finish")


def test_accumulated_passes_are_one_step_with_their_mean_loss(service: Any) -> None:
    learner().fit(1, cbs=[losswatch.fastai.LosswatchCallback(), GradientAccumulation(24)])
    points = [point for point in service.stored if "loss" in point]
    assert [point["step"] for point in points] == [0, 1]


def test_a_verdict_stops_the_fit(service: Any) -> None:
    stop = {"status": "critical", "action": "stop", "headline": "The loss is diverging.", "findings": [], "notes": []}
    service.answer = lambda request, _: (200, {}, stop)
    learn = learner()
    learn.fit(200, cbs=losswatch.fastai.LosswatchCallback(stop_on="stop", flush_interval=0.01))
    assert len(learn.recorder.values) < 200
    assert service.requests[-1].path.endswith("/finish")


def test_the_search_for_a_learning_rate_is_no_training(service: Any) -> None:
    from fastai.callback.schedule import LRFinder

    learn = learner(cbs=losswatch.fastai.LosswatchCallback())
    learn.fit(1, cbs=LRFinder(num_it=4))
    assert service.stored == []
