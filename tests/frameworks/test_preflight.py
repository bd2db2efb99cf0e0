"""A preflight names what stands in the way of a training, passes one that is sound, and leaves no trace in either."""

from __future__ import annotations

import copy
import json
import logging
import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

import losswatch  # noqa: E402
from frameworks import sent  # noqa: E402
from frameworks.torch_models import CLASSES, INPUTS, classifier, data  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


def check(model: Any, loss_fn: Any = F.cross_entropy, batch: Any = None, lr: float = 0.01, **options: Any) -> Any:
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr) if trained else None
    return losswatch.preflight(model, loss_fn, batch or data(32), optimizer, quiet=True, seconds=120, **options)


def causes(report: Any) -> list[Any]:
    return [finding.cause for finding in report.findings]


def test_a_sound_training_passes_every_check() -> None:
    report = check(classifier())
    assert (report.status, report.findings, report.skipped) == ("healthy", (), ())
    assert len(report.passed) == 9
    assert report.facts["overfits_one_batch"] is True
    assert report.facts["initial_loss"] == pytest.approx(math.log(CLASSES), rel=0.3)
    assert 1e-4 < report.suggested_learning_rate <= report.largest_stable_learning_rate <= 10
    assert json.loads(json.dumps(report.as_json()))["status"] == "healthy"


def test_nothing_of_the_training_is_changed() -> None:
    model = nn.Sequential(nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = data(32)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]))
    random, mode = torch.get_rng_state(), model.training
    losswatch.preflight(model, F.cross_entropy, (x, y), optimizer, quiet=True, seconds=120)
    after = (model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()])
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert all(torch.equal(one, other) for one, other in zip(before[2], after[2], strict=True))
    assert before[1]["param_groups"] == after[1]["param_groups"]
    assert torch.equal(random, torch.get_rng_state())
    assert model.training is mode


class PlainList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, 8)
        self.rest = [nn.Linear(8, CLASSES)]

    def forward(self, x: Any) -> Any:
        return self.rest[0](torch.relu(self.first(x)))


class Detached(PlainList):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.first(x)).detach())


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = classifier()

    def forward(self, x: Any) -> Any:
        return self.net(x - x.mean(0, keepdim=True))


def frozen() -> Any:
    return classifier().requires_grad_(requires_grad=False)


def dead() -> Any:
    model = nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    nn.init.constant_(model[0].bias, -50.0)
    return model


def huge() -> Any:
    model = classifier()
    with torch.no_grad():
        model[4].weight.mul_(200)
    return model


def linear() -> Any:
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.Linear(8, CLASSES))


def scaled(factor: float) -> Any:
    x, y = data(32)
    return x * factor, y


def with_nan() -> Any:
    x, y = data(32)
    x[3, 2] = math.nan
    return x, y


@pytest.mark.parametrize(
    ("model", "batch", "name", "cause"),
    [
        (lambda: classifier(nn.Softmax(-1)), None, "end", "wrong_loss_function"),
        (PlainList, None, "gradients", "parameters_not_updated"),
        (Detached, None, "gradients", "parameters_not_updated"),
        (frozen, None, "gradients", "parameters_not_updated"),
        (dead, None, "units", "dead_activations"),
        (huge, None, "start", "poor_initialization"),
        (linear, None, "activations", "missing_nonlinearity"),
        (classifier, lambda: scaled(200.0), "inputs", "inputs_not_scaled"),
        (classifier, with_nan, "inputs", "non_finite_data"),
        (classifier, lambda: (data(32)[0], data(32)[1] * 0), "targets", "labels_uninformative"),
        (Mixing, None, "samples", None),
    ],
)
def test_a_fault_is_the_first_that_is_named(model: Any, batch: Any, name: str, cause: str | None) -> None:
    report = check(model(), batch=batch() if batch else None)
    assert (report.findings[0].check, report.findings[0].cause) == (name, cause), str(report)
    assert report.status != "healthy"


def test_an_optimizer_that_holds_another_model_is_named() -> None:
    model = classifier()
    optimizer = torch.optim.Adam(classifier().parameters())
    report = losswatch.preflight(model, F.cross_entropy, data(32), optimizer, quiet=True, seconds=120)
    assert report.findings[0].summary.startswith("The optimizer does not hold 0.weight")
    assert report.facts["optimizer_parameters"] == 0


def test_the_largest_stable_rate_of_a_quadratic_is_what_theory_says() -> None:
    """Gradient descent on a mean squared error is stable below 2 over the largest curvature (Cohen et al. 2021)."""
    x = torch.randn(64, 4)
    curvature = float(torch.linalg.eigvalsh(2 * x.T @ x / 64).max())
    model = nn.Linear(4, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=3 * 2 / curvature)
    report = losswatch.preflight(model, F.mse_loss, (x, x.sum(1, keepdim=True)), optimizer, quiet=True, seconds=120)
    limit = 2 / curvature
    assert limit / 1.5 < report.largest_stable_learning_rate < limit * 1.5
    assert report.suggested_learning_rate < limit
    rate = next(finding for finding in report.findings if finding.check == "rate")
    assert (rate.cause, rate.action, rate.value) == (
        "learning_rate_too_high",
        "set_learning_rate",
        report.suggested_learning_rate,
    )


def test_labels_that_contradict_each_other_cannot_be_learned() -> None:
    x = torch.zeros(32, INPUTS)
    x[:, 0] = 1.0
    report = check(classifier(), batch=(x + 0.0, torch.arange(32) % CLASSES))
    assert report.facts["overfits_one_batch"] is False
    assert "one_batch" in [finding.check for finding in report.findings]


def test_a_model_that_computes_its_own_loss_is_given_its_batch_by_name() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    tokens = torch.arange(64).reshape(8, 8) % 32
    model = transformers.GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    report = losswatch.preflight(
        model, None, {"input_ids": tokens, "labels": tokens}, optimizer, quiet=True, seconds=200
    )
    assert report.status == "healthy", str(report)
    assert report.facts["overfits_one_batch"] is True


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop", "Adagrad", "NAdam", "Adamax", "Adadelta", "RAdam", "ASGD"])
def test_every_optimizer_can_be_tried_on_copies(name: str) -> None:
    model = nn.Linear(INPUTS, 1)
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.05)
    x, _ = data(16)
    report = losswatch.preflight(model, F.mse_loss, (x, x.sum(1, keepdim=True)), optimizer, quiet=True, seconds=120)
    assert report.skipped == ()
    assert report.largest_stable_learning_rate is not None


def test_what_takes_too_long_is_named_as_not_checked() -> None:
    report = losswatch.preflight(classifier(), F.cross_entropy, data(32), quiet=True, seconds=0.0)
    assert len(report.skipped) == 5
    assert report.findings == ()


def test_the_report_is_said_and_told_to_a_run(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "losswatch"):
        optimizer_less = classifier(nn.Softmax(-1))
        report = losswatch.preflight(optimizer_less, F.cross_entropy, data(32), seconds=120)
    assert any("critical: The model ends in a softmax" in record.getMessage() for record in caplog.records)
    run = losswatch.Run("a", quiet=True)
    report.post(run)
    run.log(0, loss=1.0)
    run.finish()
    told = sent.context(service)
    assert told["facts"]["output_activation"] == "softmax"
    assert "overfits_one_batch" in told["facts"]
    assert told["preflight.status"] == "critical"
    assert told["preflight.findings"][0].startswith("The model ends in a softmax")
