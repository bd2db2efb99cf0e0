"""A loss is read once from its name, however frameworks and people spell it."""

from __future__ import annotations

import math

import pytest

from losswatch_server.monitor.loss_kind import (
    Family,
    LossKind,
    classes_at_chance,
    family_of,
    is_of_a_game,
    loss_kind,
)
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import diagnose
from losswatch_server.monitor.vocabulary import Condition

F = Family
SPELLINGS: dict[Family, tuple[str, ...]] = {
    F.CROSS_ENTROPY: (
        "cross_entropy", "CrossEntropyLoss", "CrossEntropyLoss(label_smoothing=0.1)", "nn.CrossEntropyLoss()",
        "<class 'torch.nn.modules.loss.CrossEntropyLoss'>", "<function cross_entropy at 0x7f1>", "NLLLoss", "ce",
        "categorical_crossentropy", "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy",
        "keras.losses.CategoricalCrossentropy", "softmax_cross_entropy_with_integer_labels", "ForCausalLMLoss",
        "optax.softmax_cross_entropy", "multi:softprob", "mlogloss", "multi_logloss", "multiclass",
        "softmax cross-entropy over 10 classes", "ce_loss", "xent",
    ),
    F.BINARY: (
        "bce", "BCELoss", "BCEWithLogitsLoss", "BCEWithLogitsLoss(pos_weight=2)", "binary_crossentropy",
        "BinaryCrossentropy", "binary cross-entropy", "binary_cross_entropy_with_logits", "sigmoid_cross_entropy",
        "optax.sigmoid_binary_cross_entropy", "log_loss", "logistic", "binary:logistic", "binary_logloss", "binary",
        "SoftMarginLoss", "MultiLabelSoftMarginLoss",
    ),
    F.SQUARED_ERROR: (
        "mse", "MSELoss", "mean_squared_error", "MeanSquaredError", "reg:squarederror", "l2", "l2_loss", "regression",
        "squared_error", "mean squared error",
    ),
    F.ROOT_SQUARED_ERROR: ("rmse", "root_mean_squared_error"),
    F.ABSOLUTE_ERROR: (
        "L1Loss", "mae", "SmoothL1Loss", "HuberLoss", "huber_loss", "LogCosh", "reg:absoluteerror", "quantile",
        "MeanAbsolutePercentageError", "absolute_error",
    ),
    F.LIKELIHOOD: ("gaussian_nll", "GaussianNLLLoss", "negative ELBO of a VAE"),
    F.COUNT: ("PoissonNLLLoss", "Poisson", "count:poisson", "reg:tweedie"),
    F.MARGIN: ("hinge", "SquaredHinge", "TripletMarginLoss", "CosineEmbeddingLoss", "MarginRankingLoss", "lambdarank"),
    F.CONTRASTIVE: ("InfoNCE", "NTXentLoss"),
    F.FOCAL: ("BinaryFocalCrossentropy", "focal_loss"),
    F.DIVERGENCE: ("KLDivLoss", "kl_divergence"),
    F.OVERLAP: ("Dice", "CosineSimilarity"),
    F.SEQUENCE: ("CTCLoss", "crf_nll"),
    F.ADVERSARIAL: ("gan_generator", "discriminator loss", "wgan-gp"),
    F.REINFORCEMENT: ("ppo", "PolicyLoss", "actor_loss", "GRPO"),
    F.UNKNOWN: ("my_own", "factor", "organ_loss", "total", ""),
}  # fmt: skip


@pytest.mark.parametrize(("name", "family"), [(name, family) for family, names in SPELLINGS.items() for name in names])
def test_a_name_is_read_in_every_spelling(name: str, family: Family) -> None:
    assert family_of(name) is family


@pytest.mark.parametrize(
    ("context", "chance"),
    [
        (Context(loss_name="CrossEntropyLoss", num_classes=10), math.log(10)),
        (Context(loss_name="CrossEntropyLoss"), None),
        (Context(loss_name="BCEWithLogitsLoss"), math.log(2)),
        (Context(loss_name="BCEWithLogitsLoss", num_classes=10), math.log(2)),
        (Context(loss_name="log_loss", num_classes=5), math.log(5)),
        (Context(loss_name="PoissonNLLLoss", num_classes=10), None),
        (Context(loss_name="mse"), None),
        (Context(loss_name="mse", facts=ModelFacts(target_std=3.0)), 9.0),
        (Context(loss_name="rmse", facts=ModelFacts(target_std=3.0)), 3.0),
        (Context(loss_name="mse", baseline_loss=7.5, facts=ModelFacts(target_std=3.0)), 7.5),
        (Context(baseline_loss=0.25), 0.25),
        (Context(loss_name="bce", facts=ModelFacts(class_shares=(0.5, 0.5))), math.log(2)),
        (Context(loss_name="cross_entropy", facts=ModelFacts(class_shares=(1.0,))), None),
    ],
)
def test_the_loss_of_a_model_that_knows_nothing(context: Context, chance: float | None) -> None:
    told = loss_kind(context).chance
    assert told is None if chance is None else told == pytest.approx(chance)


def test_uneven_classes_make_guessing_cheaper() -> None:
    told = loss_kind(Context(loss_name="ce", num_classes=2, facts=ModelFacts(class_shares=(0.9, 0.1)))).chance
    assert told == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1))


def test_a_stated_objective_outweighs_the_name() -> None:
    assert not loss_kind(Context(loss_name="ppo")).minimised
    assert loss_kind(Context(loss_name="ppo", objective="minimize")).minimised
    assert not loss_kind(Context(loss_name="mse", objective="none")).minimised
    assert LossKind().minimised


def test_a_name_says_whether_samples_are_summed() -> None:
    assert loss_kind(Context(loss_name="MSELoss(reduction='sum')")).summed
    assert not loss_kind(Context(loss_name="MSELoss()")).summed


@pytest.mark.parametrize(
    ("metric", "game"),
    [
        ("critic_loss", True), ("train/policy_loss", True), ("rollout/ep_rew_mean", True), ("reward", True),
        ("completion_length", True), ("D_loss", True), ("loss_G", True), ("g_loss", True), ("Discriminator", True),
        ("rewards/chosen", False), ("rewards/accuracies", False), ("accuracy", False), ("factor", False), ("kl", False),
        ("grad_norm", False), ("epoch_time", False), ("ppl", False),
    ],
)  # fmt: skip
def test_the_metrics_of_a_game_are_told_by_name(metric: str, game: bool) -> None:
    assert is_of_a_game(metric) is game


def test_a_binary_classifier_that_ends_at_guessing_is_not_learning_however_its_loss_is_spelt() -> None:
    losses = [1.6 * 0.8**i + math.log(2) + 0.002 * math.sin(9.0 * i) for i in range(300)]
    points = [Point(i, loss) for i, loss in enumerate(losses)]
    for name in ("bce", "BCEWithLogitsLoss", "binary:logistic"):
        found = {f.condition for f in diagnose(points, Context(loss_name=name)).findings}
        assert Condition.NOT_LEARNING in found


def test_the_loss_of_a_game_is_known_by_its_metrics() -> None:
    losses = [2.0 + 0.001 * math.sin(i) for i in range(400)]
    plain = [Point(i, loss, metrics={"seconds": 0.1}) for i, loss in enumerate(losses)]
    game = [Point(i, loss, metrics={"D_loss": 0.7}) for i, loss in enumerate(losses)]
    assert diagnose(plain, Context()).findings
    report = diagnose(game, Context())
    assert not report.findings
    assert any("reinforcement" in note for note in report.notes)
    assert diagnose(game, Context(objective="minimize")).findings


@pytest.mark.parametrize(("stated", "classes"), [(None, 1000), (100, None), (1000, 1000), (1, 1000)])
def test_a_level_is_chance_level_of_the_classes_that_are_stated_or_of_a_usual_number(
    stated: int | None, classes: int | None
) -> None:
    assert classes_at_chance(math.log(1000), 0.01, stated) == classes
