"""overfitting where no validation loss is sent: the validation metric turns while the training loss falls on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from losswatch_server.monitor.memory.held_out import HeldOut, rank_of
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay import explain
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, watch

Run = tuple[list[Point], Context]
EPOCHS = Context(step_unit="epoch")
TRAIN = (0.9 * np.exp(-np.arange(40) / 10) + 0.001).tolist()


def accuracies(lost: float, *, noise: float = 0.004, seed: int = 0, n: int = 40) -> np.ndarray:
    """Up to 0.8 at the twelfth epoch, then down by ``lost`` until the last."""
    level = np.concatenate([np.linspace(0.5, 0.8, 12), np.linspace(0.8, 0.8 - lost, n - 12)])
    return level + noise * np.random.default_rng(seed).normal(size=n)


def run(
    metric: Sequence[float] | np.ndarray, name: str = "val_accuracy", train: Sequence[float] = TRAIN
) -> list[Point]:
    pairs = zip(train, metric, strict=True)
    return [Point(i + 1, loss=float(loss), metrics={name: float(value)}) for i, (loss, value) in enumerate(pairs)]


def falls_by(lost: float) -> Run:
    return run(accuracies(lost)), EPOCHS


def errors(rise: float) -> Run:
    """From 0.5 down to 0.2, and up by that much."""
    return run(1 - accuracies(rise), "val_error"), EPOCHS


def few_values(lost: float) -> Run:
    """Eight epochs of a plan of ten."""
    level = [0.7, 0.8, *np.linspace(0.8, 0.8 - 1.4 * lost, 6).tolist()]
    return run(level, train=TRAIN[:32:4]), Context(step_unit="epoch", total_steps=10)


def while_training_falls(by: float) -> Run:
    return run(accuracies(0.15), train=[*[1.0] * 12, *np.linspace(1.0, 1.0 - by, 28)]), EPOCHS


def test_the_metric_its_best_step_and_what_it_was_are_named() -> None:
    (found,) = alarms(watch(run(accuracies(0.12)), EPOCHS))
    assert (found.condition, found.series) == (Condition.OVERFITTING, "validation_metric")
    assert 10 <= found.evidence["best_step"] <= 16
    assert found.evidence["metric"] == "val_accuracy"
    assert found.evidence["best_validation"] == pytest.approx(0.8, abs=0.01)
    report = assess(watch(run(accuracies(0.12)), EPOCHS))
    assert report.findings[0].summary.startswith("The validation accuracy was best at step 1")
    assert [c.cause for c in report.findings[0].causes][:1] == ["overfit_small_data"]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("val_accuracy", accuracies(0.12)),
        ("eval/acc", 100 * accuracies(0.12)),
        ("valid_f1", accuracies(0.12)),
        ("test/error", 1 - accuracies(0.25)),
        ("validation_wer", 100 * (1 - accuracies(0.25))),
        ("val_perplexity", np.exp(5 - 4 * accuracies(0.2))),
    ],
)
def test_whichever_way_is_better_and_in_whatever_unit(name: str, metric: np.ndarray) -> None:
    assert conditions(watch(run(metric, name), EPOCHS)) == ["overfitting"]
    (found,) = alarms(watch(run(metric, name), EPOCHS))
    assert float(metric.min()) <= found.evidence["best_validation"] <= float(metric.max())


def test_a_share_and_the_same_in_per_cent_are_judged_alike() -> None:
    of_one, of_a_hundred = (alarms(watch(run(unit * accuracies(0.12)), EPOCHS)) for unit in (1.0, 128.0))
    assert [f.opened_step for f in of_one] == [f.opened_step for f in of_a_hundred]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("noise", [0.005, 0.04])
def test_an_accuracy_that_levels_off_and_jitters_is_not_overfitting(noise: float, seed: int) -> None:
    assert conditions(watch(run(accuracies(0.0, noise=noise, seed=seed)), EPOCHS)) == []


def test_a_model_that_never_answered_well_has_lost_nothing() -> None:
    guesses = run(accuracies(0.12) / 4)
    assert conditions(watch(guesses, EPOCHS.merged(Context(num_classes=4)))) == []
    assert conditions(watch(guesses, EPOCHS.merged(Context(num_classes=20)))) == ["overfitting"]


def test_it_must_fall_by_what_matters() -> None:
    assert conditions(watch(run(accuracies(0.09)), EPOCHS)) == ["overfitting"]
    assert conditions(watch(run(accuracies(0.03)), EPOCHS)) == []


def test_a_training_accuracy_that_falls_says_nothing_of_held_out_data() -> None:
    for name in ("accuracy", "train_accuracy", "train/acc"):
        assert conditions(watch(run(accuracies(0.12), name), EPOCHS)) == []


def test_a_training_loss_that_does_not_fall_on_is_something_else() -> None:
    rests = [*TRAIN[:12], *[TRAIN[12]] * 28]
    assert "overfitting" not in conditions(watch(run(accuracies(0.12), train=rests), EPOCHS))


def test_a_validation_loss_knows_more_than_a_metric() -> None:
    falls = [p._replace(validation_loss=1 / p.step) for p in run(accuracies(0.12))]
    assert conditions(watch(falls, EPOCHS)) == []


def test_a_metric_that_another_process_sends_later_is_judged_as_it_comes() -> None:
    stream = run(accuracies(0.12))
    monitor = watch([p._replace(metrics=None) for p in stream], EPOCHS)
    for point in stream:
        monitor.see_late(Point(point.step, metrics=point.metrics))
    assert conditions(monitor) == ["overfitting"]
    before = freeze(monitor)
    monitor.see_late(Point(3, metrics={"val_accuracy": 0.1}))
    assert freeze(monitor) == before


def test_a_run_that_goes_on_from_a_snapshot_is_judged_alike() -> None:
    stream = run(accuracies(0.12))
    whole, first = watch(stream, EPOCHS), watch(stream[:23], EPOCHS)
    then = thaw(freeze(first))
    for point in stream[23:]:
        then.see(point)
    assert freeze(then) == freeze(whole)


def test_the_finding_is_explained_with_the_values_of_the_metric() -> None:
    stream = run(accuracies(0.12))
    (found,) = alarms(watch(stream, EPOCHS))
    told = explain(stream, EPOCHS, found, "test")
    values = {row.step: row.value for row in told.values}
    assert values[found.opened_step] == pytest.approx(stream[found.opened_step - 1].metrics["val_accuracy"])  # type: ignore[index]


@pytest.mark.parametrize("name", ["val_acc", "eval/accuracy", "validation error", "test_f1_score", "dev_acc"])
def test_a_metric_on_held_out_data_is_known_by_its_name(name: str) -> None:
    assert rank_of(name) is not None


@pytest.mark.parametrize("name", ["accuracy", "train_acc", "val_seconds", "interval/acc", "val_reward", "evaluations"])
def test_any_other_number_is_not(name: str) -> None:
    assert rank_of(name) is None


def test_of_several_metrics_the_most_telling_is_followed_to_the_end() -> None:
    held_out = HeldOut()
    for step in range(3):
        held_out.add(step, {"val_recall": 0.1, "val_acc": 0.5 + step})
    held_out.add(3, {"val_recall": 0.9})
    assert (held_out.name, held_out.n, held_out.recent) == ("val_acc", 3, [-0.5, -1.5, -2.5])


def test_a_run_of_any_length_is_remembered_in_a_few_kilobytes() -> None:
    monitor = Monitor("long")
    sizes = []
    for step in range(2000):
        monitor.memory.add_metrics(step, {"val_acc": step / 2000})
        if step in (500, 1999):
            sizes.append(len(freeze(monitor)))
    assert abs(sizes[1] - sizes[0]) < 2048
