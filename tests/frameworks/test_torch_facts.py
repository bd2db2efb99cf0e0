"""What is seen of PyTorch models, losses and data is what they are; and only where it may be told."""

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
from frameworks.torch_models import CLASSES, INPUTS, SAMPLES, classifier, data  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Any:
    """Whatever cannot be measured is said: no test here expects that."""
    torch.manual_seed(3)
    with caplog.at_level(logging.WARNING, "losswatch"):
        yield
    assert [r.getMessage() for r in caplog.records if "not measured" in r.getMessage()] == []


def steps_of(model: Any, loss_fn: Any, x: Any, y: Any, count: int = 2, **options: Any) -> Any:
    """Trains a few steps with the two lines, the loss logged as it comes."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    run = losswatch.torch.watch(model, optimizer, name="a", quiet=True, **options)
    for _ in range(count):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        run.log(loss=loss)
    run.finish()
    return model


def test_facts_of_a_sound_classifier(service: Any) -> None:
    x, y = data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=SAMPLES, shuffle=True)
    steps_of(classifier(), F.cross_entropy, x, y, loader=loader)
    facts = sent.facts(service)
    count = INPUTS * 8 + 8 + 8 * 8 + 8 + 8 * CLASSES + CLASSES
    assert {facts[name] for name in ("parameters", "trainable_parameters", "optimizer_parameters")} == {count}
    assert facts["hidden_activations"] == ["relu", "tanh"]
    assert (facts["output_activation"], facts["loss_expects"]) == ("linear", "logits")
    assert (facts["dataset_size"], facts["shuffled"], facts["target_kind"]) == (SAMPLES, True, "classes")
    assert facts["class_shares"] == pytest.approx([float((y == label).float().mean()) for label in range(CLASSES)])
    assert facts["input_mean"] == pytest.approx(float(x.mean()), abs=1e-6)
    assert facts["input_std"] == pytest.approx(float(x.std()))
    assert facts["input_max_abs"] == pytest.approx(float(x.abs().max()))
    assert facts["initial_loss"] == pytest.approx(math.log(CLASSES), abs=0.5)
    assert 0 <= facts["dead_unit_share"] < 0.5
    assert 0 <= facts["saturated_unit_share"] < 0.5
    assert 0 < facts["update_to_weight"] < 0.1
    assert facts["normalization"] == []


def test_a_nan_anywhere_in_a_data_set_in_memory_is_seen_before_it_comes(service: Any) -> None:
    x, y = data()
    late = x.clone()
    late[-1, 0] = math.nan
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(late, y), batch_size=8)
    steps_of(classifier(), F.cross_entropy, x[:8], y[:8], loader=loader)
    assert sent.facts(service)["input_mean"] == "NaN"
    assert sent.context(service)["precision"] == "fp32"


def test_facts_false_tells_nothing_of_model_and_data(service: Any) -> None:
    x, y = data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=SAMPLES)
    steps_of(classifier(), F.cross_entropy, x, y, loader=loader, facts=False)
    assert sent.facts(service) == {}
    assert len(sent.losses(service)) == 2


class Functional(nn.Module):
    """Layers in a plain list, which no optimiser finds, and activations that are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, 8)
        self.rest = [nn.Linear(8, 8), nn.Linear(8, CLASSES)]

    def forward(self, x: Any) -> Any:
        return self.rest[1](F.relu(self.rest[0](F.leaky_relu(self.first(x)))))


def probabilities(output: Any, target: Any) -> Any:
    return F.cross_entropy(torch.softmax(output, -1), target)


def by_hand(output: Any, target: Any) -> Any:
    return ((output - target) ** 2).mean()


def nll(output: Any, target: Any) -> Any:
    return F.nll_loss(F.log_softmax(output, -1), target)


def one_hot(output: Any, target: Any) -> Any:
    return F.mse_loss(output, F.one_hot(target, CLASSES).float())


def binary(output: Any, target: Any) -> Any:
    return F.binary_cross_entropy(torch.sigmoid(output[:, 0]), (target == 0).float())


def binary_logits(output: Any, target: Any) -> Any:
    return F.binary_cross_entropy_with_logits(output[:, 0], (target == 0).float())


@pytest.mark.parametrize(
    ("end", "loss_fn", "output", "expects"),
    [
        ((), F.cross_entropy, "linear", "logits"),
        ((nn.Softmax(-1),), F.cross_entropy, "softmax", "logits"),
        ((nn.ReLU(),), F.cross_entropy, "relu", "logits"),
        ((nn.Flatten(), nn.Dropout(0.1)), nn.CrossEntropyLoss(label_smoothing=0.1), "linear", "logits"),
        ((), probabilities, "softmax", "logits"),
        ((), nll, "linear", "logits"),
        ((nn.LogSoftmax(-1),), F.nll_loss, "linear", "logits"),
        ((), F.nll_loss, "linear", "log_probabilities"),
        ((nn.Softmax(-1),), F.nll_loss, "softmax", "log_probabilities"),
        ((), binary, "sigmoid", "probabilities"),
        ((), binary_logits, "linear", "logits"),
        ((nn.Sigmoid(),), binary_logits, "sigmoid", "logits"),
        ((), one_hot, "linear", "values"),
        ((nn.Sigmoid(),), one_hot, "sigmoid", "values"),
    ],
)
def test_what_the_model_ends_in_and_what_its_loss_expects(
    service: Any, end: Any, loss_fn: Any, output: str, expects: str
) -> None:
    x, y = data()
    steps_of(classifier(*end), loss_fn, x, y)
    facts = sent.facts(service)
    assert (facts["output_activation"], facts["loss_expects"]) == (output, expects)
    assert facts["hidden_activations"] == ["relu", "tanh"]


def test_a_loss_by_hand_and_a_model_without_activations(service: Any) -> None:
    x, _ = data()
    model = nn.Sequential(nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 4), nn.Linear(4, 1))
    steps_of(model, by_hand, x, x.sum(1, keepdim=True) * 100)
    facts = sent.facts(service)
    assert facts["hidden_activations"] == ["linear", "linear"]
    assert (facts["loss_expects"], sent.context(service)["loss_name"]) == ("values", "mse")
    assert facts["normalization"] == ["BatchNorm1d"]


def test_layers_in_a_plain_list_are_counted_as_not_held(service: Any) -> None:
    x, y = data()
    steps_of(Functional(), F.cross_entropy, x, y)
    facts = sent.facts(service)
    assert facts["hidden_activations"] == ["leaky_relu", "relu"]
    assert facts["optimizer_parameters"] == INPUTS * 8 + 8
    assert facts["trainable_parameters"] == INPUTS * 8 + 8 + 8 * 8 + 8 + 8 * CLASSES + CLASSES


def test_frozen_layers_are_counted(service: Any) -> None:
    x, y = data()
    model = classifier()
    model[0].requires_grad_(requires_grad=False)
    steps_of(model, F.cross_entropy, x, y)
    facts = sent.facts(service)
    assert facts["trainable_parameters"] == facts["optimizer_parameters"] == facts["parameters"] - (INPUTS * 8 + 8)


@pytest.mark.parametrize(("bias", "share"), [(-50.0, 1.0), (50.0, 0.0)])
def test_dead_units_are_counted_where_they_are(service: Any, bias: float, share: float) -> None:
    x, y = data()
    model = nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    nn.init.constant_(model[0].bias, bias)
    steps_of(model, F.cross_entropy, x, y)
    assert sent.facts(service)["dead_unit_share"] == share


def test_dead_channels_of_a_convolution_are_channels(service: Any) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, CLASSES))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-50.0, -50.0, -50.0, 50.0]))
    steps_of(model, F.cross_entropy, torch.randn(SAMPLES, 1, 8, 8), data()[1])
    assert sent.facts(service)["dead_unit_share"] == 0.75


def test_saturated_units_are_counted(service: Any) -> None:
    x, y = data()
    model = nn.Sequential(nn.Linear(INPUTS, 8), nn.Sigmoid(), nn.Linear(8, CLASSES))
    steps_of(model, F.cross_entropy, x * 1000, y)
    assert sent.facts(service)["saturated_unit_share"] > 0.9


def test_a_transformer_and_a_recurrent_network_say_what_can_be_said(service: Any) -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(16, 8)
            self.body = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
            self.memory = nn.LSTM(8, 8, batch_first=True)
            self.head = nn.Linear(8, CLASSES)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.memory(self.body(self.embed(tokens)))[0].mean(1))

    steps_of(Encoder(), F.cross_entropy, torch.randint(0, 16, (SAMPLES, 5)), data()[1])
    facts = sent.facts(service)
    assert "relu" in facts["hidden_activations"]
    assert "input_mean" not in facts
    assert facts["normalization"] == ["LayerNorm"]
    assert facts["loss_expects"] == "logits"


@pytest.mark.parametrize(("quiet", "times"), [(False, 1), (True, 0)])
def test_what_no_curve_may_ever_show_is_said_at_once(
    service: Any, quiet: bool, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    x, y = data()
    model = classifier(nn.Softmax(-1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = losswatch.torch.watch(model, optimizer, nn.CrossEntropyLoss(), name="a", quiet=quiet)
    F.cross_entropy(model(x), y).backward()
    nn.CrossEntropyLoss()(model(x), y)
    run.log(loss=F.cross_entropy(model(x), y))
    run.finish()
    said = "The model ends in a softmax, and the loss applies one again."
    assert sum(said in record.getMessage() for record in caplog.records) == times
