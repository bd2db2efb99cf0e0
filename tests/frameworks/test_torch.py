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

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

SAMPLES, INPUTS, CLASSES = 64, 6, 3


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Any:
    """Whatever cannot be measured is said: no test here expects that."""
    torch.manual_seed(3)
    with caplog.at_level(logging.WARNING, "losswatch"):
        yield
    assert [r.getMessage() for r in caplog.records if "not measured" in r.getMessage()] == []


def data(samples: int = SAMPLES) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, INPUTS, generator=generator)
    return x, x[:, :CLASSES].argmax(1)


def classifier(*end: Any) -> Any:
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, CLASSES), *end)


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
